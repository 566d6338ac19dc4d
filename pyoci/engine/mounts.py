# SPDX-License-Identifier: Apache-2.0
"""The new mount API from Python: fsopen, fsconfig, fsmount, move_mount; umount2, unshare, openat2 (manual pages, section 2).

By their numbers, for the interpreter has none of these and mount(2) takes at most 4095 bytes of options: 31 layers.
"""

import errno
import posix
from _struct import pack

from pyoci.engine.errors import EngineError
from pyoci.engine.libc import call, syscall
from pyoci.linux.mount import (
    FSCONFIG_CMD_CREATE,
    FSCONFIG_SET_FLAG,
    FSCONFIG_SET_STRING,
    RESOLVE_BENEATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    RESOLVE_NO_SYMLINKS,
)

IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS  # links lead where they would after chroot(2)
BELOW = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS  # no link at all
_MOVE_MOUNT, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 430, 431, 432  # the same on every architecture
_OPENAT2 = 437
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_CLOEXEC = 1  # of fsopen and fsmount
_FROM_EMPTY_PATH = 4
_AT_FDCWD = -100
_DETACH, _NOFOLLOW = 2, 8  # of umount2
_LOG_BYTES = 4096


def mount(kind: str, options: "list[tuple[str, str]]", target: str) -> None:
    """Mount a new file system; an option without a value is a flag. Raises EngineError with the kernel's own words."""
    context = syscall(_FSOPEN, kind.encode(), _CLOEXEC)
    where = target
    try:
        for key, value in options:
            where = value or key
            command = FSCONFIG_SET_STRING if value else FSCONFIG_SET_FLAG
            syscall(_FSCONFIG, context, command, key.encode(), _bytes(value) or None, 0)
        where = target
        syscall(_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        made = syscall(_FSMOUNT, context, _CLOEXEC, 0)
        try:
            syscall(_MOVE_MOUNT, made, b"", _AT_FDCWD, _bytes(target), _FROM_EMPTY_PATH)
        finally:
            posix.close(made)
    except OSError as error:
        words = _log(context) or (error.strerror or "").lower()
        raise EngineError(f"mount {kind}: {where}: {words}") from error
    finally:
        posix.close(context)


def unmount(target: str) -> bool:
    """Unmount what lies on a path, also what is still used there; False when nothing does."""
    try:
        call("umount2", _bytes(target), _DETACH | _NOFOLLOW)
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return False
        raise OSError(error.errno, error.strerror, target) from None
    return True


def leave_host() -> None:
    """Have a mount namespace of our own: what we mount ends with us, however we end; what the host mounts is seen."""
    call("unshare", _CLONE_NEWNS)
    call("mount", b"none", b"/", None, _MS_REC | _MS_SLAVE, None)


def sync(path: str) -> None:
    """Wait until all of a file system is on its disk (syncfs(2))."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        call("syncfs", fd)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        posix.close(fd)


def open_below(directory: int, path: str, flags: int, resolve: int = IN_ROOT) -> int:
    """Open a path that cannot lead out of a directory: links end IN_ROOT, or are refused (BELOW)."""
    how = pack("=QQQ", flags | posix.O_CLOEXEC, 0, resolve)  # struct open_how
    try:
        return syscall(_OPENAT2, directory, _bytes(path) or b".", how, len(how))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _bytes(path: str) -> bytes:
    return path.encode("utf-8", "surrogateescape")


def _log(context: int) -> str:
    """Return what the kernel wrote into the log of a context: lines "e overlay: reason"."""
    try:
        line = posix.read(context, _LOG_BYTES)
    except OSError:
        return ""
    return line.decode("utf-8", "replace").strip()[2:]
