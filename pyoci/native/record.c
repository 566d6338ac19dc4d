/* SPDX-License-Identifier: Apache-2.0 */
/* Reads what `create` wrote down for later: pyoci/shortcut.py makes the file and says what its
 * lines mean. Each line is looked for when it is needed; nothing is allocated. */
#include "shortcut.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SMALL = 4096, NAME = 64, STATE_FIELD = 3, START_TIME = 22 };

/* Read a small file whole; its length, or -1. */
static ssize_t read_file(int directory, const char *path, char *text, size_t size)
{
    int fd = openat(directory, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -1;
    ssize_t length = read(fd, text, size - 1);
    close(fd);
    text[length > 0 ? length : 0] = '\0';
    return length;
}

const char *find_line(const char *line, const char *end, const char *word)
{
    for (; line < end; line += strlen(line) + 1)
        if (strncmp(line, word, strlen(word)) == 0)
            return line + strlen(word);
    return NULL;
}

const char *next_value(const struct container *container, const char *word, const char *last)
{
    const char *line = last == NULL ? container->text : last + strlen(last) + 1;
    return find_line(line, container->state, word);
}

int is_ours(const struct stat *status)
{
    return S_ISREG(status->st_mode) && status->st_uid == geteuid() && (status->st_mode & 022) == 0;
}

/* The last line before the state is whole, and each line is one that we know. */
static int is_whole(struct container *container, size_t length)
{
    static const char head[] = "pyoci 1\n", mark[] = "\nstate\n";
    static const char *const words[] = {"boot ",    "record ", "init ",  "start",   "delete",
                                        "cgroup /", "is /",    "limit ", "freeze /"};
    char *end = strstr(container->text, mark);
    if (strlen(container->text) != length || end == NULL ||
        strncmp(container->text, head, sizeof head - 1) != 0 || container->text[length - 1] != '}')
        return 0;
    container->state = end + sizeof mark - 1;
    *end = '\0';
    for (char *line = container->text; (line = strchr(line, '\n')) != NULL;) {
        int known = 0;
        *line++ = '\0';
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            known |= strncmp(line, words[i], strlen(words[i])) == 0;
        if (!known)
            return 0;
    }
    memset(end, '\0', sizeof mark - 1);
    const char *pid = strchr(container->state, PID_MARK);
    const char *status = strchr(container->state, STATUS_MARK);
    return pid != NULL && status != NULL && pid < status && strchr(pid + 1, PID_MARK) == NULL &&
           strchr(status + 1, STATUS_MARK) == NULL;
}

int read_container(struct container *container)
{
    struct stat status;
    unsigned long long inode, change;
    char boot[SMALL];
    if (fstatat(container->directory, "shortcut", &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !is_ours(&status) || status.st_size > LONGEST)
        return 0;
    ssize_t length =
        read_file(container->directory, "shortcut", container->text, sizeof container->text);
    if (length <= 0 || length != status.st_size || !is_whole(container, (size_t)length))
        return 0;
    const char *recorded = next_value(container, "boot ", NULL);
    length = read_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot, sizeof boot);
    if (recorded == NULL || length < 2 || strlen(recorded) != (size_t)length - 1 ||
        strncmp(recorded, boot, (size_t)length - 1) != 0)
        return 0;
    recorded = next_value(container, "record ", NULL);
    return recorded != NULL && sscanf(recorded, "%llu %llu", &inode, &change) == 2 &&
           fstatat(container->directory, "state.json", &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           status.st_ino == inode &&
           (unsigned long long)status.st_ctim.tv_sec * 1000000000ULL +
                   (unsigned long long)status.st_ctim.tv_nsec ==
               change;
}

/* As identity.py: the process lives, began when ours did, and has its inode. */
static int is_same(pid_t pid, int pidfd, unsigned long long start, unsigned long long inode)
{
    char path[NAME], text[SMALL];
    struct stat status;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (read_file(AT_FDCWD, path, text, sizeof text) <= 0 || fstat(pidfd, &status) < 0)
        return 0;
    const char *field = strrchr(text, ')');
    if (field == NULL || field[1] != ' ' || field[2] == 'Z' || field[2] == 'X')
        return 0;
    field += 2;
    for (int number = STATE_FIELD; field != NULL && number < START_TIME; number++)
        if ((field = strchr(field, ' ')) != NULL)
            field++;
    return field != NULL && strtoull(field, NULL, 10) == start && status.st_ino == inode;
}

int open_init(struct container *container)
{
    int pid;
    unsigned long long start, inode;
    const char *init = next_value(container, "init ", NULL);
    if (init == NULL || sscanf(init, "%d %llu %llu", &pid, &start, &inode) != 3 || pid <= 0 ||
        start == 0)
        return 0;
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (pidfd < 0)
        return errno == ESRCH || errno == EINVAL;
    if (is_same(pid, pidfd, start, inode))
        container->pidfd = pidfd;
    else
        close(pidfd);
    return 1;
}

int holds(int fd, const char *line)
{
    char text[SMALL];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    text[size > 0 ? size : 0] = '\0';
    const char *found = text;
    size_t length = strlen(line);
    while (found != NULL && (strncmp(found, line, length) != 0 || found[length] != '\n'))
        if ((found = strchr(found, '\n')) != NULL)
            found++;
    return found != NULL;
}

int says(const char *path, const char *line)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    int found = fd >= 0 && holds(fd, line);
    if (fd >= 0)
        close(fd);
    return found;
}

int is_thawed(const struct container *container)
{
    char path[PATH_MAX];
    for (const char *is = NULL; (is = next_value(container, "is ", is)) != NULL;) {
        const char *line = strrchr(is, '\t');
        if (line == NULL || (size_t)(line - is) >= sizeof path)
            return 0;
        memcpy(path, is, (size_t)(line - is));
        path[line++ - is] = '\0';
        if (!says(path, line))
            return 0;
    }
    return 1;
}
