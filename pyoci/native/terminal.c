/* SPDX-License-Identifier: Apache-2.0 */
/* The terminal and what else stdin, stdout and stderr may be. Nothing is believed because of its
 * name (CVE-2025-52565): every device is verified by descriptor. */
#include "files.h"

#include <asm/ioctls.h>

enum { NULL_MAJOR = 1, NULL_MINOR = 3, PTMX_MAJOR = 5, PTMX_MINOR = 2 };
enum { FIRST_PTS_MAJOR = 136, LAST_PTS_MAJOR = 143 };

/* Opens a character device inside the root; it is verified before it is opened, so that the open
 * of another device has no effect, and after. */
static long open_device(int root, const char *path, u64 flags, u32 major, s64 minor)
{
    OWNED there = (int)TRY(check(open_in_root(root, path, O_PATH), "open", path));
    if (!is_character_device(there, major, major, minor))
        return fail(-ENODEV, "open", path);
    long fd = TRY(check(open_in_root(root, path, flags), "open", path));
    if (is_character_device(fd, major, major, minor))
        return fd;
    SYS(close, fd);
    return fail(-ENODEV, "open", path);
}

static long open_slave(int master, u16 rows, u16 columns)
{
    const s32 unlocked = 0;
    const u16 window[4] = {rows, columns}; /* struct winsize */
    TRY(check(SYS(fcntl, master, F_SETFL, O_RDWR), "fcntl", NULL));
    TRY(check(SYS(ioctl, master, TIOCSPTLCK, &unlocked), "ioctl(TIOCSPTLCK)", NULL));
    if (rows || columns)
        TRY(check(SYS(ioctl, master, TIOCSWINSZ, window), "ioctl(TIOCSWINSZ)", NULL));
    long slave = SYS(ioctl, master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    TRY(check(slave, "ioctl(TIOCGPTPEER)", NULL));
    if (is_character_device(slave, FIRST_PTS_MAJOR, LAST_PTS_MAJOR, -1))
        return slave;
    SYS(close, slave);
    return fail(-ENODEV, "the slave is no terminal", NULL);
}

/* O_NONBLOCK: whatever is there, the open ends; taken off again. */
long op_open_terminal(const u64 *a)
{
    const u64 flags = O_RDWR | O_NOCTTY | O_NONBLOCK;
    long master = TRY(open_device(fd_at(a[2]), "dev/pts/ptmx", flags, PTMX_MAJOR, PTMX_MINOR));
    keep(a[0], master);
    return keep(a[1], open_slave((int)master, (u16)a[3], (u16)a[4]));
}

/* Gives a descriptor to the container's user. Where that cannot be, it goes without: a read-only
 * place, an id that is not mapped. */
static long give(int fd, u64 uid)
{
    long result = SYS(fchown, fd, uid, -1);
    if (result == -EPERM || result == -EROFS || result == -EINVAL)
        return 0;
    return check(result, "fchown", NULL);
}

long op_use_terminal(const u64 *a)
{
    int slave = fd_at(a[0]);
    TRY(give(slave, a[1]));
    TRY(check(SYS(ioctl, slave, TIOCSCTTY, 0), "ioctl(TIOCSCTTY)", NULL));
    for (int fd = STDIN; fd <= STDERR; fd++)
        TRY(check(SYS(dup3, slave, fd, 0), "dup3", NULL));
    return 0;
}

/* Pipes and sockets are ours to give; a file or a device may be the host's. */
long op_own_stdio(const u64 *a)
{
    struct statx file;
    for (int fd = STDIN; fd <= STDERR; fd++)
        if (describe(fd, &file) >= 0 && (S_ISFIFO(file.stx_mode) || S_ISSOCK(file.stx_mode)))
            TRY(give(fd, a[0]));
    return 0;
}

/* The host's null device would be a descriptor of a host file; what is not one in the container is
 * not used (CVE-2025-31133). */
long op_reopen_null(const u64 *a)
{
    OWNED null = -1;
    for (int fd = STDIN; fd <= STDERR; fd++) {
        if (!is_character_device(fd, NULL_MAJOR, NULL_MAJOR, NULL_MINOR))
            continue;
        if (null < 0)
            null = (int)open_device(fd_at(a[0]), "dev/null", O_RDWR, NULL_MAJOR, NULL_MINOR);
        if (null < 0)
            return 0;
        SYS(dup3, null, fd, 0);
    }
    return 0;
}
