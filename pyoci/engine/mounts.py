# SPDX-License-Identifier: Apache-2.0
"""The new mount API from Python: fsopen, fsconfig, fsmount, move_mount; umount2, unshare, openat2 (manual pages, section 2).

Through ctypes, for the interpreter has none of these and mount(2) takes at most 4095 bytes of options: 31 layers.
"""

import ctypes
import errno
import os

from pyoci.engine.errors import EngineError
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
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def mount(kind: str, options: "list[tuple[str, str]]", target: str) -> None:
    """Mount a new file system; an option without a value is a flag. Raises EngineError with the kernel's own words."""
    context = _call(_FSOPEN, kind.encode(), _CLOEXEC)
    where = target
    try:
        for key, value in options:
            where = value or key
            command = FSCONFIG_SET_STRING if value else FSCONFIG_SET_FLAG
            _call(_FSCONFIG, context, command, key.encode(), os.fsencode(value) or None, 0)
        where = target
        _call(_FSCONFIG, context, FSCONFIG_CMD_CREATE, None, None, 0)
        made = _call(_FSMOUNT, context, _CLOEXEC, 0)
        try:
            _call(_MOVE_MOUNT, made, b"", _AT_FDCWD, os.fsencode(target), _FROM_EMPTY_PATH)
        finally:
            os.close(made)
    except OSError as error:
        words = _log(context) or (error.strerror or "").lower()
        raise EngineError(f"mount {kind}: {where}: {words}") from error
    finally:
        os.close(context)


def unmount(target: str) -> bool:
    """Unmount what lies on a path, also what is still used there; False when nothing does."""
    if _libc.umount2(os.fsencode(target), _DETACH | _NOFOLLOW) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EINVAL, errno.ENOENT):
        return False
    raise OSError(code, os.strerror(code), target)


def leave_host() -> None:
    """Have a mount namespace of our own: what we mount ends with us, however we end; what the host mounts is seen."""
    if (
        _libc.unshare(_CLONE_NEWNS) != 0
        or _libc.mount(b"none", b"/", None, _MS_REC | _MS_SLAVE, None) != 0
    ):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), "unshare(CLONE_NEWNS)")


def sync(path: str) -> None:
    """Wait until all of a file system is on its disk (syncfs(2))."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), path)
    finally:
        os.close(fd)


def open_below(directory: int, path: str, flags: int, resolve: int = IN_ROOT) -> int:
    """Open a path that cannot lead out of a directory: links end IN_ROOT, or are refused (BELOW)."""
    how = bytes((ctypes.c_uint64 * 3)(flags | os.O_CLOEXEC, 0, resolve))  # struct open_how
    try:
        return _call(_OPENAT2, directory, os.fsencode(path) or b".", how, len(how))
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _call(number: int, *arguments: "int | bytes | None") -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _log(context: int) -> str:
    """Return what the kernel wrote into the log of a context: lines "e overlay: reason"."""
    try:
        line = os.read(context, _LOG_BYTES)
    except OSError:
        return ""
    return line.decode("utf-8", "replace").strip()[2:]
