/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts, by descriptor only, and the change of the root. */
#include "files.h"

#include <linux/mount.h>
#include <linux/sched.h>

#define MNT_DETACH 2 /* in no uapi header */

/* Takes what the file system said about a failure: one message a read(2), fsopen(2). */
static long with_log(long result, int fs, const char *call, const char *object)
{
    enum { MESSAGES = 16 };
    char message[256];
    if (result >= 0)
        return result;
    detail.length = 0;
    for (int i = 0; i < MESSAGES; i++) {
        long length = SYS(read, fs, message, sizeof(message));
        if (length <= 0)
            break;
        if (detail.length)
            say("\n", 1);
        if (message[length - 1] == '\n')
            length--;
        say(message, (size_t)length);
    }
    return detail.length ? result : fail(result, call, object);
}

long op_open_tree(const u64 *a)
{
    long fd = SYS(open_tree, fd_at(a[1]), text_at(a[2]), a[3] | OPEN_TREE_CLOEXEC);
    return keep(a[0], check(fd, "open_tree", text_at(a[2])));
}

long op_fsconfig(const u64 *a)
{
    int fs = fd_at(a[0]);
    long result = SYS(fsconfig, fs, a[1], pointer_at(a[2]), pointer_at(a[3]), 0);
    return with_log(result, fs, "fsconfig", pointer_at(a[2]));
}

long op_fsmount(const u64 *a)
{
    int fs = fd_at(a[1]);
    long fd = SYS(fsmount, fs, FSMOUNT_CLOEXEC, a[2]);
    return keep(a[0], with_log(fd, fs, "fsmount", NULL));
}

long op_mount_setattr(const u64 *a)
{
    struct mount_attr attributes = {a[2], a[3], a[4], 0};
    if (a[5] != NO_SLOT)
        attributes.userns_fd = (u64)fd_at(a[5]);
    return SYS(mount_setattr, fd_at(a[0]), "", a[1] | AT_EMPTY_PATH, &attributes,
               sizeof(attributes));
}

static long attach(int mount, const char *path)
{
    long result = SYS(move_mount, mount, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH);
    return check(result, "move_mount", path);
}

/* In a user namespace the way to the root may be closed (EACCES); pivot_root(2) then works from /
 * as well, where the new root hides the old one, which goes away anyway. */
long op_attach_root(const u64 *a)
{
    int mount = fd_at(a[0]);
    long result = attach(mount, text_at(a[1]));
    return result == -EACCES ? attach(mount, "/") : result;
}

/* Goes where whoever joins our mount namespace will be: that must be the new root. In a chroot(2)
 * it is the root of the host. */
static long verify_root(int wanted)
{
    struct statx root, here;
    OWNED self = (int)TRY(check(SYS(pidfd_open, SYS(getpid)), "pidfd_open", NULL));
    TRY(check(SYS(setns, self, CLONE_NEWNS), "setns", NULL));
    TRY(describe(wanted, &root));
    TRY(SYS(statx, AT_FDCWD, "/", 0, STATX_INO, &here));
    if (root.stx_ino == here.stx_ino && root.stx_dev_major == here.stx_dev_major &&
        root.stx_dev_minor == here.stx_dev_minor)
        return 0;
    return fail(-EOPNOTSUPP, "the runtime itself lives in a chroot(2)", NULL);
}

/* pivot_root(2), "pivot_root(".", ".")": no directory for the old root is needed. It is detached
 * without a trace on the host. */
long op_pivot_root(const u64 *a)
{
    struct mount_attr slave = {.propagation = MS_SLAVE};
    OWNED old = (int)SYS(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    TRY(check(old, "open", "/"));
    TRY(check(SYS(fchdir, fd_at(a[0])), "fchdir", "to the new root"));
    TRY(check(SYS(pivot_root, ".", "."), "pivot_root", NULL));
    long result = SYS(mount_setattr, old, "", AT_EMPTY_PATH | AT_RECURSIVE, &slave, sizeof(slave));
    TRY(check(result, "mount_setattr", "of the old root"));
    TRY(check(SYS(fchdir, old), "fchdir", "to the old root"));
    TRY(check(SYS(umount2, ".", MNT_DETACH), "umount2", "of the old root"));
    return verify_root(fd_at(a[0]));
}

long op_chroot(const u64 *a)
{
    TRY(check(SYS(fchdir, fd_at(a[0])), "fchdir", "to the new root"));
    TRY(check(SYS(chroot, "."), "chroot", NULL));
    return check(SYS(chdir, "/"), "chdir", "/");
}

long op_move_root(const u64 *a)
{
    TRY(attach(fd_at(a[0]), "/"));
    TRY(op_chroot(a));
    return verify_root(fd_at(a[0]));
}

/* Where we are must be below our root: the kernel shows another place as "(unreachable)/..."
 * (CVE-2024-21626). A directory that only the container's user may enter, or only the runtime, is
 * tried with both identities: the plan has two chdir, before and after the change. */
long op_chdir(const u64 *a)
{
    static bool done;
    char place[PATH_MAX];
    if (done)
        return 0;
    long result = SYS(chdir, text_at(a[0]));
    if (result == -EACCES && !a[1])
        return 0;
    TRY(check(result, "chdir", text_at(a[0])));
    TRY(check(SYS(getcwd, place, sizeof(place)), "getcwd", text_at(a[0])));
    if (place[0] != '/')
        return fail(-ENOENT, "outside of the container:", text_at(a[0]));
    done = true;
    return 0;
}
