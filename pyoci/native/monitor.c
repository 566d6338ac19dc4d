/* SPDX-License-Identifier: Apache-2.0 */
/* What the launcher of pypod does of its own: a container's monitor rests here, and begins here. */
#include "launcher.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { MONITOR_NAME = 256 }; /* room for the run directory that a monitor will be of */

/* `pypod _monitor RUN rest EPOLL MILLISECONDS STATE`: a monitor that has nothing to do waits here,
 * without an interpreter, for the next event or the moment that is due (monitor/rest.py). So does
 * `pypod _exec_die CONTAINER rest PIDFD -1 PROCESS` for the end of a process. */
void without_interpreter(int argc, char **argv)
{
    if (argc != 7 || argv[1][0] != '_' || strcmp(argv[3], "rest") != 0)
        return;
    struct pollfd events = {.fd = atoi(argv[4]), .events = POLLIN};
    while (poll(&events, 1, atoi(argv[5])) < 0 && errno == EINTR)
        ;
}

/* A monitor has nothing open that its caller had: a lock, a pipe would be held as long as the
 * container runs. */
static void close_all_but(int first, int second)
{
    unsigned low = (unsigned)(first < second ? first : second);
    unsigned high = (unsigned)(first < second ? second : first);
    if (low > 3)
        syscall(SYS_close_range, 3U, low - 1, 0);
    if (high > low + 1)
        syscall(SYS_close_range, low + 1, high - 1, 0);
    syscall(SYS_close_range, high + 1, ~0U, 0);
}

/* The monitor adopts the container when who made it has ended (monitor/__init__.py). */
static _Noreturn void become_monitor(struct place *place, int argc, char **argv)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (argc == 5)
        close_all_but(atoi(argv[3]), atoi(argv[4]));
    else if (argc == 3)
        close_all_but(STDERR_FILENO, STDERR_FILENO);
    start_interpreter(place, "pyoci.engine.monitor", argc, argv);
}

/* `run` and `start` need a monitor, whose interpreter starts on another processor while ours does.
 * Which sockets lead to it and to the creator is told by three words before the command:
 * containers/ahead.py. An ordinary user's monitor belongs into namespaces that are not made yet. */
static char **start_monitor(struct place *place, int *argc, char **argv)
{
    static char owner[16], work[16], name[MONITOR_NAME];
    static char *monitor[] = {"pypod", "_monitor", name, owner, work, NULL};
    int owners[2], works[2];
    if (*argc < 2 || geteuid() != 0 ||
        (strcmp(argv[1], "run") != 0 && strcmp(argv[1], "start") != 0))
        return argv;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, owners) < 0 ||
        socketpair(AF_UNIX, SOCK_STREAM, 0, works) < 0)
        die("cannot make", "a socket");
    pid_t pid = fork();
    if (pid < 0)
        die("cannot start", "a monitor");
    int side = pid == 0;
    close(owners[!side]);
    close(works[!side]);
    snprintf(owner, sizeof owner, "%d", owners[side]);
    snprintf(work, sizeof work, "%d", works[side]);
    if (pid == 0) {
        memset(name, ' ', sizeof name - 1);
        become_monitor(place, 5, monitor);
    }
    char **words = calloc((size_t)*argc + 4, sizeof *words);
    if (words == NULL)
        die("cannot start", place->python);
    words[0] = argv[0];
    words[1] = "_ahead";
    words[2] = owner;
    words[3] = work;
    memcpy(words + 4, argv + 1, (size_t)(*argc - 1) * sizeof *words);
    *argc += 3;
    return words;
}

_Noreturn void with_interpreter(struct place *place, int argc, char **argv)
{
    if (argc >= 2 && strcmp(argv[1], "_monitor") == 0)
        become_monitor(place, argc, argv);
    argv = start_monitor(place, &argc, argv);
    start_interpreter(place, "pyoci.engine.cli", argc, argv);
}
