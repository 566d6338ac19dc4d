# SPDX-License-Identifier: Apache-2.0
"""Mounts that nobody else sees, and that are gone with us: however we end, the host has none left (mount_namespaces(7))."""

import ctypes
import posix

from pyoci.linux.mount import MS_SLAVE
from pyoci.linux.process import CLONE_NEWNS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_MS_BIND, _MS_REC = 4096, 16384


class Mounts:
    """A with block in a mount namespace of our own; what the host mounts meanwhile is seen in it."""

    __slots__ = ("_directory", "_libc", "_own")

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._own = posix.open("/proc/self/ns/mnt", posix.O_RDONLY | posix.O_CLOEXEC)
        self._directory = posix.open(".", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)

    def __enter__(self) -> "Self":
        self._call("unshare", CLONE_NEWNS)
        self._call("mount", b"none", b"/", None, MS_SLAVE | _MS_REC, None)
        return self

    def __exit__(self, *_: object) -> None:
        self._call("setns", self._own, CLONE_NEWNS)
        posix.fchdir(self._directory)
        posix.close(self._own)
        posix.close(self._directory)

    def bind(self, source: str, target: str) -> None:
        """Mount a directory, with what is mounted below it, in another place."""
        self._call("mount", source.encode(), target.encode(), None, _MS_BIND | _MS_REC, None)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._libc, name)(*arguments):
            number = ctypes.get_errno()
            raise OSError(number, posix.strerror(number), name)
