/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that are one system call. */
#include "report.h"

#include <linux/mount.h>
#include <linux/prctl.h>
#include <linux/resource.h>

#define CALL(name, ...) OPERATION(name, SYS(__VA_ARGS__))
#define OPENED(name, ...) OPERATION(name, keep(a[0], SYS(__VA_ARGS__)))
#define BY_DESCRIPTOR (MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)

CALL(setns, setns, fd_at(a[0]), a[1])
CALL(unshare, unshare, a[0])
CALL(hostname, sethostname, text_at(a[0]), strlen(text_at(a[0])))
CALL(domainname, setdomainname, text_at(a[0]), strlen(text_at(a[0])))
CALL(dumpable, prctl, PR_SET_DUMPABLE, a[0])
CALL(set_groups, setgroups, bytes_at(a[0])->length / sizeof(u32), bytes_at(a[0])->data)
CALL(set_gid, setresgid, a[0], a[0], a[0])
CALL(set_uid, setresuid, a[0], a[0], a[0])
CALL(keep_capabilities, prctl, PR_SET_KEEPCAPS, a[0])
CALL(no_new_privs, prctl, PR_SET_NO_NEW_PRIVS, 1)
CALL(personality, personality, a[0])
CALL(set_sid, setsid)
CALL(set_limit, prlimit64, 0, a[0], (&(struct rlimit64){a[1], a[2]}))
CALL(umask, umask, a[0])
CALL(affinity, sched_setaffinity, 0, bytes_at(a[0])->length, bytes_at(a[0])->data)
CALL(scheduler, sched_setattr, 0, bytes_at(a[0])->data, 0)
CALL(io_priority, ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, a[0])
CALL(memory_policy, set_mempolicy, a[0], bytes_at(a[1])->data, bytes_at(a[1])->length * 8 + 1)
CALL(attribute, fsetxattr, fd_at(a[0]), text_at(a[1]), bytes_at(a[2])->data, bytes_at(a[2])->length)
CALL(move_mount, move_mount, fd_at(a[0]), "", fd_at(a[1]), "", BY_DESCRIPTOR)
CALL(slave_root, mount_setattr, AT_FDCWD, "/", a[0], (&(struct mount_attr){.propagation = a[1]}),
     sizeof(struct mount_attr))
OPENED(fsopen, fsopen, pointer_at(a[1]), FSOPEN_CLOEXEC)
OPENED(fspick, fspick, fd_at(a[1]), "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH)
OPERATION(default_signals, (reset_signals(), 0))
OPERATION(tell, report(REPORT_TOLD, 0, (u32)a[0], -1))
