/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary start, state, kill and delete, as `create` wrote them down (update: limit.c; pause,
 * resume: freeze.c). One rule: before the first thing that cannot be taken back, every doubt is a
 * `return 0`. */
#include "shortcut.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

enum { NAME = 64, DEADLINE_MS = 10000 };

static const char fifo_name[] = "exec.fifo";

/* The exec fifo, where init still holds it; -1 with errno otherwise. */
static int open_fifo(const struct container *container)
{
    return openat(container->directory, fifo_name, O_WRONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
}

static int is_waiting(const struct container *container)
{
    int fifo = open_fifo(container);
    if (fifo >= 0)
        close(fifo);
    return fifo >= 0;
}

static int lock(const struct container *container)
{
    struct stat status;
    return flock(container->directory, LOCK_EX | LOCK_NB) == 0 &&
           fstat(container->directory, &status) == 0 && status.st_nlink != 0;
}

/* As container._release and _await_program, without hooks: nobody reads what init may leave there.
 */
static int start(const struct container *container)
{
    const char *notify = getenv("NOTIFY_SOCKET");
    if (next_value(container, "start", NULL) == NULL || (notify != NULL && notify[0] != '\0') ||
        container->pidfd < 0 || !is_thawed(container))
        return 0;
    int fifo = open_fifo(container);
    if (fifo < 0)
        return 0;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, before;
    sigaction(SIGPIPE, &ignore, &before);
    ssize_t written = write(fifo, "0", 1);
    sigaction(SIGPIPE, &before, NULL);
    if (written == 1) {
        struct pollfd ends[] = {{.fd = fifo}, {.fd = container->pidfd, .events = POLLIN}};
        while (poll(ends, 2, -1) < 0 && errno == EINTR)
            continue;
        unlinkat(container->directory, fifo_name, 0);
    }
    close(fifo);
    return written == 1;
}

/* All of it to standard output; 0 when nothing was written. */
static int write_output(const char *text, size_t length)
{
    for (size_t done = 0; done < length;) {
        ssize_t written = write(STDOUT_FILENO, text + done, length - done);
        if (written < 0 && done == 0)
            return 0;
        if (written < 0 && errno == EAGAIN)
            poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        else if (written < 0 && errno != EINTR)
            _exit(1);
        else if (written > 0)
            done += (size_t)written;
    }
    return 1;
}

static int state(const struct container *container)
{
    static char text[LONGEST + NAME];
    const char *word = "stopped";
    int pid = 0;
    if (container->pidfd >= 0) {
        if (!is_thawed(container))
            return 0;
        word = is_waiting(container) ? "created" : "running";
        if (word[0] == 'r' && errno != ENXIO && errno != ENOENT)
            return 0;
        pid = atoi(next_value(container, "init ", NULL));
    }
    const char *at_pid = strchr(container->state, PID_MARK);
    const char *at_status = strchr(container->state, STATUS_MARK);
    int length = snprintf(text, sizeof text, "%.*s%d%.*s%s%s", (int)(at_pid - container->state),
                          container->state, pid, (int)(at_status - at_pid - 1), at_pid + 1, word,
                          at_status + 1);
    return length > 0 && (size_t)length < sizeof text && write_output(text, (size_t)length);
}

static int send_signal(const struct container *container, int number)
{
    return container->pidfd >= 0 && (number != SIGKILL || is_thawed(container)) &&
           syscall(SYS_pidfd_send_signal, container->pidfd, number, NULL, 0) == 0;
}

int open_on_cgroups(const char *path, unsigned long long flags)
{
    struct open_how how = {.flags = flags | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    struct statfs system;
    int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
    if (fd < 0 || (fstatfs(fd, &system) == 0 &&
                   (system.f_type == CGROUP_SUPER_MAGIC || system.f_type == CGROUP2_SUPER_MAGIC)))
        return fd;
    close(fd);
    return -1;
}

/* Removes a cgroup that is empty; where no cgroups are mounted, nothing. */
static int remove_cgroup(const char *path)
{
    char above[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (slash == path || (size_t)(slash - path) >= sizeof above || slash[1] == '\0' ||
        slash[1] == '.')
        return 0;
    memcpy(above, path, (size_t)(slash - path));
    above[slash - path] = '\0';
    int fd = open_on_cgroups(above, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return 0;
    int gone = unlinkat(fd, slash + 1, AT_REMOVEDIR) == 0 || errno == ENOENT;
    close(fd);
    return gone;
}

/* Goes through the container's files: removes each, or only says whether all of them are such that
 * it could. */
static int go_through_files(const struct container *container, int removing)
{
    int fd = openat(container->directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *files = fd < 0 ? NULL : fdopendir(fd);
    int good = files != NULL;
    for (struct dirent *file; good && (file = readdir(files)) != NULL;) {
        if (strcmp(file->d_name, ".") == 0 || strcmp(file->d_name, "..") == 0)
            continue;
        good = removing ? unlinkat(container->directory, file->d_name, 0) == 0
                        : file->d_type != DT_DIR && file->d_type != DT_UNKNOWN;
    }
    if (files != NULL)
        closedir(files);
    else if (fd >= 0)
        close(fd);
    return good;
}

/* Renamed first, so that the id is free at once; as state.py's remove. */
static int remove_directory(const struct container *container, const struct request *request)
{
    char path[PATH_MAX], gone[PATH_MAX];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int length = snprintf(gone, sizeof gone, "%s/.del.%d.%lld%09ld", request->root, (int)getpid(),
                          (long long)now.tv_sec, now.tv_nsec);
    if (length >= (int)sizeof gone ||
        snprintf(path, sizeof path, "%s/%s", request->root, request->id) >= (int)sizeof path ||
        rename(path, gone) < 0)
        return 0;
    if (go_through_files(container, 1) && rmdir(gone) == 0)
        return 1;
    rename(gone, path); /* for Python, which says what is wrong */
    return 0;
}

static int remove_container(const struct container *container, const struct request *request)
{
    if (next_value(container, "delete", NULL) == NULL || !go_through_files(container, 0))
        return 0;
    if (container->pidfd >= 0) {
        struct pollfd end = {.fd = container->pidfd, .events = POLLIN};
        if (!is_thawed(container) || (!request->force && !is_waiting(container)) ||
            !send_signal(container, SIGKILL) || poll(&end, 1, DEADLINE_MS) != 1)
            return 0;
    }
    for (const char *cgroup = NULL; (cgroup = next_value(container, "cgroup ", cgroup)) != NULL;)
        if (!remove_cgroup(cgroup))
            return 0;
    return remove_directory(container, request);
}

/* Opens the container, with the lock where something of it changes. */
static int open_container(struct container *container, const struct request *request)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/%s", request->root, request->id) >= (int)sizeof path)
        return 0;
    container->directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (container->directory < 0)
        return 0;
    int changes = request->command != STATE && request->command != KILL;
    if (changes && request->command != UPDATE && !lock(container))
        return 0;
    return read_container(container) && open_init(container);
}

static int carry_out(const struct container *container, const struct request *request)
{
    switch (request->command) {
    case START: return start(container);
    case STATE: return state(container);
    case KILL: return send_signal(container, request->signal);
    case UPDATE: return update(container, request);
    case PAUSE: return freeze(container);
    case RESUME: return thaw(container);
    default: return remove_container(container, request);
    }
}

/* A log is made by the first command that is told its name, and must be one that can be written. */
static int make_log(const char *path)
{
    if (path == NULL || path[0] == '\0' || strcmp(path, "/dev/stderr") == 0)
        return 1;
    int fd = open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

/* What --force does not mind: containerd deletes each container a second time. */
static int is_gone(const struct container *container, const struct request *request)
{
    return container->directory < 0 && errno == ENOENT && request->command == DELETE &&
           request->force;
}

void shortcut(int argc, char **argv)
{
    static struct container container = {.directory = -1, .pidfd = -1};
    struct request request;
    if (!understand(argc, argv, &request))
        return;
    errno = 0;
    if (open_container(&container, &request)
            ? make_log(request.log) && carry_out(&container, &request)
            : is_gone(&container, &request) && make_log(request.log))
        _exit(0);
    if (container.pidfd >= 0)
        close(container.pidfd);
    if (container.directory >= 0)
        close(container.directory);
}
