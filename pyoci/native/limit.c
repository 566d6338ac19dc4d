/* SPDX-License-Identifier: Apache-2.0 */
/* update of one limit that is one value of one file, as pyoci/shortcut.py wrote it down. It is
 * remembered first, as pyoci/updating.py reads it, and forgotten where the kernel refuses it: then
 * Python tries it again, and says what is wrong. docs/adr/0012-update.md has the reasons. */
#include "shortcut.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VALUE = 24, DIGITS = 15, MIN_SHARES = 2, MAX_SHARES = 262144, LONGEST_MEMORY = 64 << 10 };

static const char cpus[] = "0123456789,-";
static const char letters[] = "abcdefghijklmnopqrstuvwxyz-";

/* What was remembered, until it becomes too long: Python makes it short again. */
struct memory {
    int fd;
    size_t length;
    char text[LONGEST_MEMORY + 1];
};

/* What is asked for: for people and config.json, and for the kernel's file. */
struct limit {
    const char *file;
    char value[VALUE];
    char written[VALUE];
};

static int starts(const char *text, const char *word)
{
    return strncmp(text, word, strlen(word)) == 0;
}

/* A number from 1 on, in bytes where it is a size; 0 for every word that is not plain. */
static unsigned long long number(const char *word, int is_size)
{
    static const char units[] = "kmg";
    char *end;
    unsigned long long value = strtoull(word, &end, 10);
    /* a leading zero is octal for the kernel, and for Python it is not */
    if (word[0] < '1' || word[0] > '9' || end - word > DIGITS)
        return 0;
    const char *unit = is_size && *end != '\0' ? strchr(units, *end | ' ') : NULL;
    if (unit == NULL)
        return *end == '\0' ? value : 0;
    int shift = 10 * (int)(unit - units + 1);
    return end[1] == '\0' && value <= (unsigned long long)LLONG_MAX >> shift ? value << shift : 0;
}

/* Both forms of the value; 0 where it is not an ordinary one. */
static int read_value(const struct request *request, struct limit *limit)
{
    if (starts(request->limit, "cpuset-")) {
        size_t length = strlen(request->value);
        if (length == 0 || length >= VALUE || strspn(request->value, cpus) != length)
            return 0;
        memcpy(limit->value, request->value, length + 1);
        memcpy(limit->written, request->value, length + 1);
        return 1;
    }
    unsigned long long value = number(request->value, starts(request->limit, "memory"));
    int is_weight = strcmp(strrchr(limit->file, '/'), "/cpu.weight") == 0;
    if (value == 0 ||
        (starts(request->limit, "cpu-share") && (value < MIN_SHARES || value > MAX_SHARES)))
        return 0;
    snprintf(limit->value, VALUE, "%llu", value);
    snprintf(limit->written, VALUE, "%llu", is_weight ? (unsigned)weight_of(value) : value);
    return 1;
}

static int take_lock(const struct container *container)
{
    int fd = openat(container->directory, "config.json", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    close(fd);
    return -1;
}

static int open_memory(const struct container *container, struct memory *memory)
{
    static const int flags = O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
    struct stat status;
    memory->fd = openat(container->directory, "resources", flags, 0600);
    if (memory->fd < 0 || fstat(memory->fd, &status) < 0 || !is_ours(&status) ||
        status.st_size > LONGEST_MEMORY)
        return 0;
    ssize_t length = read(memory->fd, memory->text, LONGEST_MEMORY);
    memory->length = length > 0 ? (size_t)length : 0;
    return length == status.st_size && (length == 0 || memory->text[length - 1] == '\n');
}

/* "PART KEY FILE" of the limit: as Python remembered it, or where it has not yet, as `create` had
 * it. */
static const char *find_limit(const struct container *container, const struct request *request,
                              struct memory *memory)
{
    char word[64];
    int length =
        snprintf(word, sizeof word, "limit %.*s ", (int)request->limit_length, request->limit);
    if (length >= (int)sizeof word || strspn(request->limit, letters) != request->limit_length)
        return NULL;
    if (memory->length == 0 || memory->text[0] == '\n')
        return next_value(container, word, NULL);
    for (char *end = memory->text; (end = strchr(end, '\n')) != NULL;)
        *end++ = '\0';
    return find_line(memory->text, memory->text + memory->length, word);
}

/* Remembers it, then writes it; the first is taken back where the second is refused. */
static int change(const struct memory *memory, const char *row, const struct limit *limit)
{
    char line[PATH_MAX];
    int length = snprintf(line, sizeof line, "%sset %.*s%s\n", memory->length == 0 ? "\n" : "",
                          (int)(limit->file - row), row, limit->value);
    int fd = open_on_cgroups(limit->file, O_WRONLY);
    if (fd < 0 || length >= (int)sizeof line)
        return 0;
    ssize_t size = (ssize_t)strlen(limit->written);
    int done = write(memory->fd, line, (size_t)length) == length &&
               write(fd, limit->written, (size_t)size) == size;
    close(fd);
    if (!done && ftruncate(memory->fd, (off_t)memory->length) < 0)
        return 0; /* and Python fails to remember it, too */
    return done;
}

int update(const struct container *container, const struct request *request)
{
    static struct memory memory;
    struct limit limit;
    int lock = container->pidfd < 0 ? -1 : take_lock(container), done = 0;
    if (lock < 0)
        return 0;
    if (open_memory(container, &memory)) {
        const char *row = find_limit(container, request, &memory);
        limit.file = row == NULL ? NULL : strchr(row, '/');
        done = limit.file != NULL && read_value(request, &limit) && change(&memory, row, &limit);
    }
    if (memory.fd >= 0)
        close(memory.fd);
    close(lock);
    return done;
}
