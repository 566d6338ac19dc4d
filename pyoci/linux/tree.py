# SPDX-License-Identifier: Apache-2.0
"""Trees of files that somebody else has filled: walked and emptied through descriptors, following no link, however deep."""

import errno
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC


class Walk:
    """A place in a tree, for a with block; holds two descriptors, and goes no way back but the one it came."""

    __slots__ = ("_above", "here")

    def __init__(self, directory: int) -> None:
        self.here = posix.open(".", _DIRECTORY, dir_fd=directory)
        self._above: list[tuple[int, int]] = []

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        posix.close(self.here)

    def down(self, name: str) -> None:
        """Go into a directory."""
        self._above.append(_identity(self.here))
        self._change(name)

    def up(self) -> None:
        """Go back; raises OSError, ESTALE, where the directory was moved away meanwhile."""
        self._change("..")
        if _identity(self.here) != self._above.pop():
            raise OSError(errno.ESTALE, posix.strerror(errno.ESTALE), "..")

    def _change(self, name: str) -> None:
        there = posix.open(name, _DIRECTORY, dir_fd=self.here)
        posix.close(self.here)
        self.here = there


def empty(directory: int) -> None:
    """Remove everything in an open directory. Raises OSError, ESTALE, where one in it was moved away meanwhile."""
    with Walk(directory) as walk:
        left = posix.listdir(walk.here)
        above: list[tuple[str, list[str]]] = []
        while left or above:
            if not left:
                name, left = above.pop()
                walk.up()
                posix.rmdir(name, dir_fd=walk.here)
                continue
            name = left.pop()
            try:
                posix.unlink(name, dir_fd=walk.here)
            except IsADirectoryError:
                walk.down(name)
                above.append((name, left))
                left = posix.listdir(walk.here)


def _identity(directory: int) -> tuple[int, int]:
    status = posix.fstat(directory)
    return status.st_dev, status.st_ino
