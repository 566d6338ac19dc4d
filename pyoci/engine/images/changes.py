# SPDX-License-Identifier: Apache-2.0
"""What a writable layer has changed, without comparing contents: what lies in it was written (Docker's `diff`)."""

import os
import stat

from pyoci.engine.errors import EngineError

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_OPAQUE = ("trusted.overlay.opaque", "user.overlay.opaque")
# What the runtime makes in the writable layer to mount on, where the image has it not, and the mark of a container: empty files.
MOUNT_POINTS = frozenset(
    ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/console", "/.dockerenv")
)
_DEEPEST = 200  # directories, each of them open in every layer that has it


def changes(upper: str, lowers: list[str]) -> list[tuple[str, str]]:
    """Return (A | C | D, path) of all that differs, each directory before what is in it."""
    fds = [os.open(path, _DIRECTORY) for path in (upper, *lowers)]
    try:
        found = _changes(fds[0], fds[1:], "")
    except OSError as error:
        raise EngineError(f"{upper}: {(error.strerror or '').lower()}") from error
    finally:
        for fd in fds:
            os.close(fd)
    return _without_mount_points(found, upper)


def _without_mount_points(found: list[tuple[str, str]], upper: str) -> list[tuple[str, str]]:
    """Leave out what the runtime made to mount on, and the directory that changed by nothing else."""
    made = {
        path
        for kind, path in found
        if kind == "A" and path in MOUNT_POINTS and is_mount_point(os.lstat(upper + path))
    }
    kept = [change for change in found if change[1] not in made]
    for parent in {path.rpartition("/")[0] for path in made}:
        if not any(path.startswith(f"{parent}/") for _, path in kept):
            kept = [change for change in kept if change != ("C", parent)]
    return kept


def is_mount_point(status: os.stat_result) -> bool:
    """Tell whether a file may be nothing but what something is mounted on."""
    return stat.S_ISREG(status.st_mode) and not status.st_size


def _changes(upper: int, lowers: list[int], path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for name in sorted(os.listdir(upper)):
        status = os.stat(name, dir_fd=upper, follow_symlinks=False)
        before = _before(lowers, name)
        where = f"{path}/{name}"
        if is_whiteout(status):
            if before is not None:
                found.append(("D", where))
            continue
        inner = []
        if stat.S_ISDIR(status.st_mode):
            inner = _inside(upper, lowers, name, where)
        if before is None:
            found.append(("A", where))
        elif inner or not _is_same_directory(status, before):
            found.append(("C", where))
        found += inner
    return found


def _inside(upper: int, lowers: list[int], name: str, where: str) -> list[tuple[str, str]]:
    """Return the changes within a directory; an opaque one has nothing below it."""
    if where.count("/") > _DEEPEST:
        raise EngineError(f"{where[:80]}...: directories are nested more than {_DEEPEST} deep")
    fd = os.open(name, _DIRECTORY, dir_fd=upper)
    below: list[int] = []
    try:
        if not is_opaque(fd):
            below = _merged(lowers, name)
        return _changes(fd, below, where)
    finally:
        for opened in (fd, *below):
            os.close(opened)


def _merged(lowers: list[int], name: str) -> list[int]:
    """Open a directory in each layer below that has it, down to what hides the rest."""
    below: list[int] = []
    for lower in lowers:
        try:
            fd = os.open(name, _DIRECTORY, dir_fd=lower)
        except FileNotFoundError:
            continue
        except OSError:
            break  # a file or a whiteout
        below.append(fd)
        if is_opaque(fd):
            break
    return below


def _before(lowers: list[int], name: str) -> os.stat_result | None:
    """Return what the layers below have under a name; None for nothing."""
    for lower in lowers:
        try:
            status = os.stat(name, dir_fd=lower, follow_symlinks=False)
        except FileNotFoundError:
            continue
        return None if is_whiteout(status) else status
    return None


def _is_same_directory(now: os.stat_result, before: os.stat_result) -> bool:
    """Tell whether a directory was copied up for what is in it only."""
    if not stat.S_ISDIR(now.st_mode) or not stat.S_ISDIR(before.st_mode):
        return False
    return (now.st_mode, now.st_uid, now.st_gid, now.st_mtime_ns) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
        before.st_mtime_ns,
    )


def is_whiteout(status: os.stat_result) -> bool:
    """Tell whether this is overlayfs's mark of deletion."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def is_opaque(fd: int) -> bool:
    """Tell whether a directory hides those of its name in the layers below."""
    names = os.listxattr(fd)
    return any(name in names and os.getxattr(fd, name) == b"y" for name in _OPAQUE)
