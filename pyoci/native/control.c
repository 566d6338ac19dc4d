/* SPDX-License-Identifier: Apache-2.0 */
/* Control: what passes between init and the runtime, and the end of the plan. */
#include "report.h"

#include <asm/poll.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <linux/time_types.h>

/* A runtime that is gone, or says anything but go, ends init. What follows the word is HOME. */
long op_ask(const u64 *a)
{
    static char word[sizeof(home) - sizeof("HOME=")];
    report(REPORT_ASKED, 0, (u32)a[0], -1);
    long length = SYS(read, slots[REPORT_SLOT], word, sizeof(word));
    if (length < 1 || word[0] != 'g')
        leave(1);
    if (length > 1)
        memcpy(home + strlen("HOME="), word + 1, (size_t)length - 1);
    return 0;
}

long op_pass_fd(const u64 *a)
{
    int fd = fd_at(a[0]);
    return fd < 0 ? -EBADF : report(REPORT_PASSED, 0, (u32)a[1], fd);
}

/* A runtime that died before the call sends no signal: then its end of the socket is closed. */
long op_parent_death_signal(const u64 *a)
{
    struct pollfd peer = {.fd = slots[REPORT_SLOT]};
    struct __kernel_timespec now = {0};
    TRY(SYS(prctl, PR_SET_PDEATHSIG, a[0]));
    if (a[0] && SYS(ppoll, &peer, 1, &now, 0, 0) != 0)
        leave(1);
    return 0;
}

/* Reads one byte from the exec fifo, which is open for both directions: it blocks until `start`.
 * From here on nobody listens on the report socket. */
long op_wait_start(const u64 *a)
{
    char byte;
    if (!TRY(SYS(read, fd_at(a[0]), &byte, 1)))
        return -EPIPE;
    progress.started = true;
    return 0;
}

void close_from(int first, int kept)
{
    long result = 0;
    if (kept >= first) {
        result = kept > first ? SYS(close_range, first, kept - 1, 0) : 0;
        first = kept + 1;
    }
    if (result >= 0 && SYS(close_range, first, ~0u, 0) >= 0)
        return;
    /* The container's seccomp filter forbids it: what we opened is known. */
    for (u32 slot = 0; slot < SLOTS; slot++)
        if (slots[slot] > STDERR && slots[slot] != kept)
            SYS(close, slots[slot]);
}

/* Really closed, not close-on-exec: execve looks the program up while those are still open, so
 * "/proc/self/fd/7/../.." would be a way out (CVE-2024-21626). The kept one is a fifo or a socket,
 * and closes on exec. */
long op_close_fds(const u64 *a)
{
    int kept = fd_at(a[0]);
    int first = (int)a[1];
    close_from(first, kept);
    for (u32 slot = 0; slot < SLOTS; slot++)
        if (slots[slot] >= first && slots[slot] != kept)
            slots[slot] = -1;
    return 0;
}
