/* SPDX-License-Identifier: Apache-2.0 */
/* Open, write, close, verify. */
#include "files.h"

#include <asm/statfs.h>
#include <linux/openat2.h>

long open_resolved(int dir, const char *path, u64 flags, u64 mode, u64 resolve)
{
    enum { TRIES = 128 };
    struct open_how how = {flags | O_CLOEXEC, mode, resolve};
    long fd = -EAGAIN;
    for (int i = 0; i < TRIES && fd == -EAGAIN; i++)
        fd = SYS(openat2, dir, path, &how, sizeof(how));
    return fd;
}

long open_in_root(int root, const char *path, u64 flags)
{
    return open_resolved(root, path, flags, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

long describe(long fd, struct statx *file)
{
    return SYS(statx, fd, "", AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, file);
}

u64 device_of(const struct statx *file)
{
    u64 minor = file->stx_rdev_minor;
    return (minor & 0xff) | (u64)file->stx_rdev_major << 8 | (minor & ~(u64)0xff) << 12;
}

bool is_character_device(long fd, u32 first_major, u32 last_major, s64 minor)
{
    struct statx file;
    return describe(fd, &file) >= 0 && S_ISCHR(file.stx_mode) &&
           file.stx_rdev_major >= first_major && file.stx_rdev_major <= last_major &&
           (minor < 0 || file.stx_rdev_minor == minor);
}

long op_open(const u64 *a)
{
    long fd = open_resolved(fd_at(a[1]), text_at(a[2]), a[3], a[4], a[5]);
    return keep(a[0], check(fd, "openat2", text_at(a[2])));
}

long op_write(const u64 *a)
{
    const struct bytes *bytes = bytes_at(a[1]);
    long written = TRY(SYS(write, fd_at(a[0]), bytes->data, bytes->length));
    return (u64)written == bytes->length ? 0 : fail(-EIO, "write: only a part was taken", NULL);
}

long op_close(const u64 *a)
{
    int fd = fd_at(a[0]);
    if (fd < 0) /* also AT_FDCWD */
        return -EBADF;
    slots[a[0]] = -1;
    return SYS(close, fd);
}

long op_verify_type(const u64 *a)
{
    struct statx file;
    TRY(describe(fd_at(a[0]), &file));
    if ((file.stx_mode & S_IFMT) != a[1])
        return fail(a[1] == S_IFDIR ? -ENOTDIR : -ENODEV, "a file of another type", NULL);
    if (S_IFDEVICE(file.stx_mode) && device_of(&file) != a[2])
        return fail(-ENODEV, "another device", NULL);
    return 0;
}

long op_verify_filesystem(const u64 *a)
{
    struct statfs filesystem;
    TRY(SYS(fstatfs, fd_at(a[0]), &filesystem));
    return (u64)filesystem.f_type == a[1] ? 0 : fail(-EINVAL, "another file system", NULL);
}
