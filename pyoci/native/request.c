/* SPDX-License-Identifier: Apache-2.0 */
/* The command lines that engines send, word for word; every other one is Python's. */
#include "shortcut.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_ID = 255, LAST_SIGNAL = 64 };

static int is_one_of(const char *word, const char *const *words)
{
    for (; *words != NULL; words++)
        if (strcmp(word, *words) == 0)
            return 1;
    return 0;
}

/* The value of option NAME, be it behind '=' or the next word; NULL when *INDEX is another option.
 */
static const char *value_of(const char *name, int argc, char **argv, int *index)
{
    size_t length = strlen(name);
    if (strncmp(argv[*index], name, length) != 0)
        return NULL;
    if (argv[*index][length] == '=')
        return argv[*index] + length + 1;
    if (argv[*index][length] != '\0' || *index + 1 >= argc)
        return NULL;
    return argv[++*index];
}

/* A path that means the same however it is read: absolute, no empty part, no "." and no "..". */
static int is_clean(const char *path)
{
    if (path[0] != '/' || path[1] == '\0')
        return 0;
    for (const char *part = path; *part == '/';) {
        size_t length = strcspn(++part, "/");
        if (length == 0 || (length == 1 && part[0] == '.') ||
            (length == 2 && part[0] == '.' && part[1] == '.'))
            return 0;
        part += length;
    }
    return 1;
}

/* Where the containers are when nobody says so; NULL for an ordinary user, whose place is made. */
static const char *default_root(const char *name)
{
    const char *runtime_directory = getenv("XDG_RUNTIME_DIR");
    const char *slash = strrchr(name, '/');
    if (geteuid() != 0 || (runtime_directory != NULL && runtime_directory[0] != '\0'))
        return NULL;
    return strcmp(slash != NULL ? slash + 1 : name, "runc") == 0 ? "/run/runc" : "/run/pyoci";
}

/* Index of the command behind the global options; 0 where one of them is not usual. */
static int read_options(int argc, char **argv, struct request *request)
{
    static const char *const formats[] = {"text", "json", NULL};
    static const char *const rootless[] = {"true", "false", "auto", NULL};
    int index = 1;
    for (; index < argc && argv[index][0] == '-'; index++) {
        const char *value;
        if (strcmp(argv[index], "--systemd-cgroup") == 0)
            continue;
        if ((value = value_of("--root", argc, argv, &index)) != NULL)
            request->root = value;
        else if ((value = value_of("--log-format", argc, argv, &index)) != NULL) {
            if (!is_one_of(value, formats))
                return 0;
        } else if (strncmp(argv[index], "--rootless=", 11) == 0) {
            if (!is_one_of(argv[index] + 11, rootless))
                return 0;
        } else if ((value = value_of("--log", argc, argv, &index)) != NULL)
            request->log = value;
        else
            return 0;
    }
    return index;
}

/* As ids.py. */
static int is_id(const char *id)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-.";
    size_t length = strlen(id);
    return length > 0 && length <= LONGEST_ID && strspn(id, letters) == length && id[0] != '.' &&
           id[0] != '-';
}

/* A number without a leading zero, or a name in capitals; -1 for any other word. Signal 0 asks
 * whether init lives. */
static int signal_number(const char *word)
{
    /* the generic table, as linux/signals.py */
    static const char *const names[] = {
        "",     "HUP",  "INT",  "QUIT", "ILL",    "TRAP",   "ABRT",  "BUS",  "FPE",  "KILL", "USR1",
        "SEGV", "USR2", "PIPE", "ALRM", "TERM",   "STKFLT", "CHLD",  "CONT", "STOP", "TSTP", "TTIN",
        "TTOU", "URG",  "XCPU", "XFSZ", "VTALRM", "PROF",   "WINCH", "IO",   "PWR",  "SYS"};
    if (word[0] >= '0' && word[0] <= '9') {
        char *end;
        long number = strtol(word, &end, 10);
        return *end == '\0' && number <= LAST_SIGNAL && (word[0] != '0' || end == word + 1)
                   ? (int)number
                   : -1;
    }
    if (strncmp(word, "SIG", 3) == 0)
        word += 3;
    for (int number = 1; number < (int)(sizeof names / sizeof *names); number++)
        if (strcmp(word, names[number]) == 0)
            return number;
    return -1;
}

/* update --LIMIT VALUE ID, or --LIMIT=VALUE ID: one limit is ordinary. */
static int read_update(int argc, char **argv, struct request *request)
{
    const char *equals = strchr(argv[1], '=');
    request->command = UPDATE;
    request->id = argv[argc - 1];
    if (strncmp(argv[1], "--", 2) != 0 || argc != (equals != NULL ? 3 : 4))
        return 0;
    request->limit = argv[1] + 2;
    request->limit_length = equals != NULL ? (size_t)(equals - argv[1]) - 2 : strlen(argv[1]) - 2;
    request->value = equals != NULL ? equals + 1 : argv[2];
    return 1;
}

/* The command and its words; argv[0] is the command. */
static int read_command(int argc, char **argv, struct request *request)
{
    static const char *const force[] = {"-f", "--force", NULL};
    static const char *const everything[] = {"-a", "--all", NULL};
    static const struct {
        const char *name;
        enum command command;
    } plain[] = {{"start", START}, {"state", STATE}, {"pause", PAUSE}, {"resume", RESUME}};
    const char *name = argv[0];
    request->id = argv[1];
    if (strcmp(name, "kill") == 0) {
        /* With a pid namespace of its own, and only then is there a shortcut, the end of init is
         * the end of all. */
        int all = argc > 2 && is_one_of(argv[1], everything);
        request->command = KILL;
        request->id = argv[1 + all];
        request->signal = signal_number(argc - all == 3 ? argv[2 + all] : "TERM");
        return argc - all <= 3 && request->signal >= 0 && (!all || request->signal == SIGKILL);
    }
    if (strcmp(name, "delete") == 0) {
        request->command = DELETE;
        request->force = argc == 3 && is_one_of(argv[1], force);
        request->id = argv[argc - 1];
        return argc == 2 || request->force;
    }
    if (strcmp(name, "update") == 0)
        return read_update(argc, argv, request);
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(name, plain[i].name) == 0) {
            request->command = plain[i].command;
            return argc == 2;
        }
    return 0;
}

int understand(int argc, char **argv, struct request *request)
{
    *request = (struct request){.root = NULL};
    int command = argc > 0 ? read_options(argc, argv, request) : 0;
    if (command == 0 || argc - command < 2)
        return 0;
    if (!read_command(argc - command, argv + command, request) || !is_id(request->id))
        return 0;
    if (request->root == NULL)
        request->root = default_root(argv[0]);
    return request->root != NULL && is_clean(request->root);
}
