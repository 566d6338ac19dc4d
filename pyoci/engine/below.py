# SPDX-License-Identifier: Apache-2.0
"""Open paths that cannot lead out of a directory, one component after the other: what most paths need is no link, and no ctypes.

Each component is opened in the one before, never through a link, and none is `..`.
"""

import errno
import os
import stat

_STEP = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEEDS_KERNEL = (errno.ELOOP, errno.ENOTDIR, errno.EXDEV)  # a link, or `..`


def open_below(directory: int, path: str, flags: int) -> int:
    """Open a path of which no component is a link; only with O_PATH the last one may be."""
    above, at = directory, 0
    try:
        *parents, last = path.split("/")
        if ".." in (last, *parents):
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))  # as RESOLVE_BENEATH of openat2(2)
        for part in parents:
            opened = os.open(part, _STEP, dir_fd=above)
            if at:
                os.close(above)
            above, at = opened, at + 1
        return os.open(last or ".", flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None
    finally:
        if at:
            os.close(above)


def open_within(directory: int, path: str, flags: int) -> int:
    """Open a path whose links lead where they would after chroot(2)."""
    try:
        fd = open_below(directory, path, flags)
    except OSError as error:
        if error.errno not in _NEEDS_KERNEL:
            raise
    else:
        if not stat.S_ISLNK(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
    from pyoci.engine import mounts

    return mounts.open_below(directory, path, flags)
