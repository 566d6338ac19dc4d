/* SPDX-License-Identifier: Apache-2.0 */
/* Hooks: run, listened to, waited for, for no longer than they may. */
#include "report.h"

#include <asm/poll.h>
#include <asm/signal.h>
#include <linux/time_types.h>

/* A hook that runs. */
struct hook {
    long pid;
    int pidfd;
    int output;  /* its stdout and stderr */
    int failure; /* the errno of an execve that failed */
};

/* In the child: a process group of its own, the state on stdin, and none of our descriptors. */
static _Noreturn void become_hook(const u64 *a, int output, int failure)
{
    const char *path = text_at(a[0]);
    const char *const only_path[] = {path, NULL};
    char *const *argv = list_at(a[1]);
    s32 error;
    SYS(setpgid, 0, 0);
    reset_signals();
    error = (s32)SYS(dup3, fd_at(a[3]), STDIN, 0);
    if (error >= 0 && (error = (s32)SYS(dup3, output, STDOUT, 0)) >= 0)
        error = (s32)SYS(dup3, output, STDERR, 0);
    close_from(FIRST_OTHER_FD, failure);
    if (error >= 0)
        error = (s32)SYS(execve, path, argv[0] ? argv : (char *const *)(uintptr_t)only_path,
                         list_at(a[2]));
    SYS(write, failure, &error, sizeof(error));
    leave(127);
}

/* Starts the hook; our ends of the pipes are the caller's to close. */
static long start_hook(struct hook *hook, const u64 *a)
{
    int output[2];
    int failure[2];
    TRY(check(SYS(pipe2, output, O_CLOEXEC), "pipe2", NULL));
    OWNED output_end = output[1];
    hook->output = output[0];
    TRY(check(SYS(pipe2, failure, O_CLOEXEC | O_NONBLOCK), "pipe2", NULL));
    OWNED failure_end = failure[1];
    hook->failure = failure[0];
    SYS(lseek, fd_at(a[3]), 0, 0);
    hook->pid = TRY(check(spawn(0, &hook->pidfd), "clone", NULL));
    if (!hook->pid)
        become_hook(a, output_end, failure_end);
    SYS(setpgid, hook->pid, hook->pid); /* whoever is first, we or the child */
    return SYS(fcntl, hook->output, F_SETFL, O_NONBLOCK);
}

/* Takes what the hook wrote so far; 0 at its end. */
static long take_output(const struct hook *hook)
{
    char chunk[512];
    long length = SYS(read, hook->output, chunk, sizeof(chunk));
    if (length > 0)
        say(chunk, (size_t)length);
    return length;
}

/* Reads until the process has ended; a daemon that it left may keep the pipe. */
static long listen(const struct hook *hook, u64 timeout_ms)
{
    struct __kernel_timespec left = {(s64)(timeout_ms / 1000), (s64)(timeout_ms % 1000) * 1000000};
    struct pollfd files[] = {{hook->pidfd, POLLIN, 0}, {hook->output, POLLIN, 0}};
    for (;;) {
        /* The kernel takes the time that has passed off `left`. */
        if (!TRY(check(SYS(ppoll, files, 2, timeout_ms ? &left : NULL, 0, 0), "ppoll", NULL)))
            return -ETIME;
        if (files[1].revents && !take_output(hook))
            files[1].fd = -1;
        if (files[0].revents)
            return 0;
    }
}

/* Takes the status and the last words: a full pipe (64 KiB) at most, whoever still writes. */
static long finish_hook(const struct hook *hook)
{
    s32 error = 0;
    u32 status = 0;
    SYS(wait4, hook->pid, &status, WALL, 0);
    for (int chunks = 128; chunks && take_output(hook) > 0; chunks--)
        ;
    if (SYS(read, hook->failure, &error, sizeof(error)) == sizeof(error))
        return fail(error, "exec", NULL);
    detail.value = status;
    return status ? -ECHILD : 0;
}

static long run_hook(struct hook *hook, const u64 *a)
{
    TRY(start_hook(hook, a));
    long result = listen(hook, a[4]);
    if (result < 0) { /* all of its group, and itself in case that it left the group */
        SYS(kill, -hook->pid, SIGKILL);
        SYS(kill, hook->pid, SIGKILL);
    }
    long ended = finish_hook(hook);
    if (result >= 0)
        return ended;
    detail.value = 0;
    return result;
}

long op_hook(const u64 *a)
{
    struct hook hook = {.pidfd = -1, .output = -1, .failure = -1};
    long result = run_hook(&hook, a);
    close_owned(&hook.pidfd);
    close_owned(&hook.output);
    close_owned(&hook.failure);
    return result;
}
