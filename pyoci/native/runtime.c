/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher of pyoci does of its own. */
#include "launcher.h"
#include "shortcut.h"

#include <string.h>
#include <sys/prctl.h>

/* Global options that take their value from the next argument (runc's command line). */
static int takes_value(const char *option)
{
    static const char *const names[] = {"log", "log-format", "root", "rootless", "criu"};
    option += option[1] == '-' ? 2 : 1;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(option, names[i]) == 0)
            return 1;
    return 0;
}

/* Index of the command in argv, behind the global options; argc when there is none. */
static int find_command(int argc, char **argv)
{
    int index = 1;
    while (index < argc && argv[index][0] == '-' && argv[index][1] != '\0')
        index += takes_value(argv[index]) ? 2 : 1;
    return index < argc ? index : argc;
}

/* The interpreter has no prctl(2) among its built-in modules, and the attribute outlives execve: so
 * it is set here. */
static void become_subreaper(int argc, char **argv)
{
    static const char *const commands[] = {"run", "exec", "restore"};
    int command = find_command(argc, argv);
    int wanted = 0;
    for (size_t i = 0; i < sizeof commands / sizeof *commands && command < argc; i++)
        wanted |= strcmp(argv[command], commands[i]) == 0;
    /* Behind `exec`'s id stand the words of the container's program; an option of runc's name among
     * them is harmless here. */
    for (int i = command + 1; i < argc; i++)
        if (strcmp(argv[i], "--no-subreaper") == 0 || strcmp(argv[i], "-no-subreaper") == 0)
            wanted = 0;
    if (wanted)
        prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

void without_interpreter(int argc, char **argv)
{
    shortcut(argc, argv);
}

_Noreturn void with_interpreter(struct place *place, int argc, char **argv)
{
    become_subreaper(argc, argv);
    start_interpreter(place, "pyoci.cli", argc, argv);
}
