/* SPDX-License-Identifier: Apache-2.0 */
/* The ordinary pause and resume: one write into the file that `create` wrote down, then the wait
 * until the kernel says that it is done. As pyoci/cgroup/freezer.py, v1.py and v2.py have it;
 * docs/adr/0019-freeze.md has the reasons. */
#include "shortcut.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Version 1 is frozen at once, or needs what Python knows to do. */
enum { V1_MS = 20, V2_MS = 2000, LONGEST_PAUSE_MS = 128 };

struct freezer {
    const char *file; /* to be written */
    const char *frozen, *thawed;
    char says[PATH_MAX]; /* the file that tells, with one of these lines */
    const char *is_frozen, *is_thawed;
    int patience_ms;
};

static int find_freezer(const struct container *container, struct freezer *freezer)
{
    static const char v1[] = "/freezer.state", v2[] = "/cgroup.freeze";
    const char *file = next_value(container, "freeze ", NULL);
    const char *name = file == NULL ? NULL : strrchr(file, '/');
    if (name == NULL || container->pidfd < 0)
        return 0;
    int is_v1 = strcmp(name, v1) == 0, length = (int)(name - file);
    if (!is_v1 && strcmp(name, v2) != 0)
        return 0;
    freezer->file = file;
    freezer->frozen = is_v1 ? "FROZEN" : "1";
    freezer->thawed = is_v1 ? "THAWED" : "0";
    freezer->is_frozen = is_v1 ? "FROZEN" : "frozen 1";
    freezer->is_thawed = is_v1 ? "THAWED" : "frozen 0";
    freezer->patience_ms = is_v1 ? V1_MS : V2_MS;
    return snprintf(freezer->says, PATH_MAX, "%.*s%s", length, file,
                    is_v1 ? v1 : "/cgroup.events") < PATH_MAX;
}

static int put(const struct freezer *freezer, const char *value)
{
    int fd = open_on_cgroups(freezer->file, O_WRONLY);
    if (fd < 0)
        return 0;
    ssize_t length = (ssize_t)strlen(value);
    int done = write(fd, value, (size_t)length) == length;
    close(fd);
    return done;
}

static long long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

/* Waits for the line. A change of cgroup.events is a POLLPRI; version 1 has no event, and is asked
 * again after 1, 2, 4 ... ms. */
static int await(const struct freezer *freezer, const char *line)
{
    int fd = open_on_cgroups(freezer->says, O_RDONLY), found = 0;
    long long end = now_ms() + freezer->patience_ms;
    for (int pause = 1; fd >= 0; pause = pause < LONGEST_PAUSE_MS ? pause * 2 : pause) {
        int left = (int)(end - now_ms());
        if ((found = holds(fd, line)) || left <= 0)
            break;
        struct pollfd change = {.fd = fd, .events = POLLPRI};
        poll(&change, 1, pause < left ? pause : left);
    }
    if (fd >= 0)
        close(fd);
    return fd >= 0 && found;
}

int freeze(const struct container *container)
{
    struct freezer freezer;
    if (!find_freezer(container, &freezer) || !is_thawed(container) ||
        !put(&freezer, freezer.frozen))
        return 0;
    if (await(&freezer, freezer.is_frozen))
        return 1;
    put(&freezer, freezer.thawed); /* Python tries it for longer, and says what is wrong */
    return 0;
}

int thaw(const struct container *container)
{
    struct freezer freezer;
    if (!find_freezer(container, &freezer) || !says(freezer.file, freezer.frozen) ||
        !put(&freezer, freezer.thawed))
        return 0;
    /* Where a cgroup above is frozen, too, or the other hierarchy, Python says so. */
    return await(&freezer, freezer.is_thawed) && is_thawed(container);
}
