# SPDX-License-Identifier: Apache-2.0
"""Trees of files that containers have filled: removed, measured and copied through descriptors, following no link."""

import posix
from _stat import S_ISDIR

from pyoci.linux.tree import Walk, empty

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_READ = posix.O_RDONLY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_MAKE = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC


def remove_tree(path: str) -> None:
    """Remove a directory with all that is in it, or a file; what is not there is no error."""
    try:
        status = posix.lstat(path)
        if not S_ISDIR(status.st_mode):
            posix.unlink(path)
            return
        fd = posix.open(path, _DIRECTORY)
    except FileNotFoundError:
        return
    try:
        empty(fd)
    finally:
        posix.close(fd)
    posix.rmdir(path)


def measure(path: str) -> int:
    """Return how many bytes the files below a directory have, each inode once (du --apparent-size)."""
    try:
        fd = posix.open(path, _DIRECTORY)
    except FileNotFoundError:
        return 0
    try:
        return _measure(fd)
    finally:
        posix.close(fd)


def _measure(fd: int) -> int:
    total = 0
    seen: set[tuple[int, int]] = set()
    with Walk(fd) as walk:
        left = posix.listdir(walk.here)
        above: list[list[str]] = []
        while left or above:
            if not left:
                left = above.pop()
                walk.up()
                continue
            name = left.pop()
            status = posix.stat(name, dir_fd=walk.here, follow_symlinks=False)
            if S_ISDIR(status.st_mode):
                walk.down(name)
                above.append(left)
                left = posix.listdir(walk.here)
            elif (status.st_dev, status.st_ino) not in seen:
                seen.add((status.st_dev, status.st_ino))
                total += status.st_size
    return total


def copy_tree(source: int, target: int) -> None:
    """Copy what is in one open directory into another: owners, modes, times, extended attributes, links and nodes."""
    with posix.scandir(source) as entries:
        for entry in entries:
            _copy(entry.name, source, target)
    copy_metadata(source, target)


def copy_metadata(source: int, target: int) -> None:
    """Give an open file the owner, mode, attributes and times of another."""
    status = posix.fstat(source)
    posix.fchown(target, status.st_uid, status.st_gid)
    posix.fchmod(target, status.st_mode & 0o7777)
    for name in posix.listxattr(source):
        posix.setxattr(target, name, posix.getxattr(source, name))
    posix.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def _copy(name: str, source: int, target: int) -> None:
    status = posix.stat(name, dir_fd=source, follow_symlinks=False)
    kind = status.st_mode & 0o170000
    if kind == 0o040000:
        posix.mkdir(name, 0o700, dir_fd=target)
        _copy_opened(name, source, target, directory=True)
    elif kind == 0o100000:
        _copy_opened(name, source, target, directory=False)
    elif kind == 0o120000:
        posix.symlink(posix.readlink(name, dir_fd=source), name, dir_fd=target)
        posix.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)
    else:
        posix.mknod(name, status.st_mode, status.st_rdev, dir_fd=target)
        posix.chown(name, status.st_uid, status.st_gid, dir_fd=target, follow_symlinks=False)


def _copy_opened(name: str, source: int, target: int, *, directory: bool) -> None:
    """Copy a directory that was made, or a file."""
    fds = []
    try:
        fds.append(posix.open(name, _DIRECTORY if directory else _READ, dir_fd=source))
        fds.append(posix.open(name, _DIRECTORY if directory else _MAKE, 0o600, dir_fd=target))
        if directory:
            copy_tree(*fds)
        else:
            _copy_file(*fds)
    finally:
        for fd in fds:
            posix.close(fd)


def _copy_file(source: int, target: int) -> None:
    rest = posix.fstat(source).st_size
    while rest > 0:
        done = posix.sendfile(target, source, None, rest)
        if not done:
            break
        rest -= done
    copy_metadata(source, target)
