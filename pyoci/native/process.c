/* SPDX-License-Identifier: Apache-2.0 */
/* The process itself: signals, identity, capabilities, limits, seccomp, and its children. */
#include "report.h"

#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

/* The kernel's struct sigaction; zero is SIG_DFL. */
struct action {
    u64 handler;
    u64 flags;
    u64 restorer;
    u64 mask;
};

enum { SIGNALS = 64 };

void reset_signals(void)
{
    static const struct action by_default;
    static const u64 none;
    for (int signal = 1; signal <= SIGNALS; signal++) /* SIGKILL and SIGSTOP: EINVAL, as it is */
        SYS(rt_sigaction, signal, &by_default, 0, sizeof(none));
    SYS(rt_sigprocmask, SIG_SETMASK, &none, 0, sizeof(none));
}

long spawn(u64 flags, int *pidfd)
{
    long parent = SYS(getpid);
    long pid = SYS(clone, flags | CLONE_PIDFD | SIGCHLD, 0, pidfd, 0, 0);
    if (pid)
        return pid;
    SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
    long now = SYS(getppid); /* 0: in another PID namespace */
    if (now && now != parent)
        leave(1);
    return 0;
}

long op_drop_bounding(const u64 *a)
{
    for (u32 capability = 0; capability < 64; capability++) {
        long held = SYS(prctl, PR_CAPBSET_READ, capability);
        if (held < 0) /* EINVAL: the kernel knows no more */
            break;
        if (!held || a[0] >> capability & 1)
            continue;
        TRY(SYS(prctl, PR_CAPBSET_DROP, capability));
    }
    return 0;
}

long op_capabilities(const u64 *a)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct sets[2] = {
        {(u32)a[0], (u32)a[1], (u32)a[2]},
        {(u32)(a[0] >> 32), (u32)(a[1] >> 32), (u32)(a[2] >> 32)},
    };
    return SYS(capset, &header, sets);
}

long op_ambient(const u64 *a)
{
    TRY(SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    for (u32 capability = 0; capability < 64; capability++) {
        if (!(a[0] >> capability & 1))
            continue;
        long result = SYS(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
        if (result < 0)
            report(REPORT_WARNED, result, capability, -1);
    }
    return 0;
}

long op_seccomp(const u64 *a)
{
    const struct bytes *filter = bytes_at(a[1]);
    u64 length = filter->length / sizeof(struct sock_filter);
    if (!length || length > BPF_MAXINSNS || filter->length % sizeof(struct sock_filter))
        return fail(-EINVAL, "the length of the filter", NULL);
    struct sock_fprog program = {(u16)length, (struct sock_filter *)(uintptr_t)filter->data};
    long result = SYS(seccomp, SECCOMP_SET_MODE_FILTER, a[2], &program);
    return a[2] & SECCOMP_FILTER_FLAG_NEW_LISTENER ? keep(a[0], result) : result;
}

/* What a new keyring gives (security/keys/process_keys.c), and search for its owner, so that
 * processes that join the container later reach its keys. */
long op_session_keyring(const u64 *a)
{
    const u32 mask = 0x3f1b0000; /* KEY_POS_ALL, KEY_USR_VIEW, _READ, _SEARCH, _LINK */
    long keyring = SYS(keyctl, KEYCTL_JOIN_SESSION_KEYRING, pointer_at(a[0]), 0, 0, 0);
    TRY(check(keyring, "keyctl(KEYCTL_JOIN_SESSION_KEYRING)", NULL));
    return check(SYS(keyctl, KEYCTL_SETPERM, keyring, mask, 0, 0), "keyctl(KEYCTL_SETPERM)", NULL);
}

long op_raise_limit(const u64 *a)
{
    struct rlimit64 limit;
    TRY(SYS(prlimit64, 0, a[0], 0, &limit));
    if (limit.rlim_max >= a[1])
        return 0;
    limit.rlim_max = a[1];
    return SYS(prlimit64, 0, a[0], &limit, 0);
}
