# SPDX-License-Identifier: Apache-2.0
"""Tell of processes that the kernel kills because their container has used up its memory, when it does so.

Version 2 wakes who polls memory.events; version 1 writes into an eventfd that was given to cgroup.event_control.
"""

import posix
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.monitor.watch import Watch

_READ = posix.O_RDONLY | posix.O_CLOEXEC
_LARGEST = 4096
_VERSION_1 = "memory.oom_control"


class Memory:
    """What is open to hear of one run's cgroup: its file, and the eventfd of version 1."""

    __slots__ = ("eventfd", "file", "kills", "told", "watch")

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch
        self.file = self.eventfd = -1
        self.kills = 0
        self.told = False

    def begin(self, path: str) -> None:
        """Listen, where the container has a limit and its cgroup can tell."""
        self.told = False
        if not self.watch.settings["limited"] or not path:
            return
        try:
            self.file = posix.open(path, _READ)
        except OSError:
            return  # it has ended already
        if path.endswith(_VERSION_1):
            self.eventfd = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
            _register(path.removesuffix(_VERSION_1), self.eventfd, self.file)
        else:
            self.kills = self.count()
        self.listen()

    def listen(self) -> None:
        """Be woken by what is open."""
        if self.eventfd >= 0:
            self.watch.watch(self.eventfd, self.look)
        elif self.file >= 0:
            self.watch.watch(self.file, self.look, select.EPOLLPRI)

    @property
    def watched(self) -> int:
        """The descriptor that wakes us, -1 for none."""
        return self.eventfd if self.eventfd >= 0 else self.file

    def state(self) -> "dict[str, Any]":
        """Return what go_on needs after a rest."""
        return {"file": self.file, "eventfd": self.eventfd, "kills": self.kills, "told": self.told}

    def go_on(self, state: "dict[str, Any]") -> None:
        """Listen on; what happened during the rest is still to be heard."""
        self.file, self.eventfd = state["file"], state["eventfd"]
        self.kills, self.told = state["kills"], state["told"]
        self.listen()

    def look(self) -> None:
        """Tell, if that is what has happened: version 2 counts other things in the same file."""
        if self.eventfd >= 0:
            try:
                posix.eventfd_read(self.eventfd)
            except BlockingIOError:
                return
        else:
            before, self.kills = self.kills, self.count()
            if self.kills == before:
                return
        self.told = True
        self.watch.tell("oom")

    def count(self) -> int:
        """Return how many processes were killed."""
        words = posix.pread(self.file, _LARGEST, 0).split()
        return int(words[words.index(b"oom_kill") + 1])

    def end(self, *, killed: bool) -> None:
        """Listen no more; tell that a process was `killed`, if nobody has heard of it."""
        if self.file >= 0:
            try:
                self.look()
            except OSError:
                pass  # the cgroup has gone
            self.watch.unwatch(self.watched)
            if self.eventfd >= 0:
                posix.close(self.file)
            self.file = self.eventfd = -1
        if killed and not self.told:
            self.watch.tell("oom")


def _register(directory: str, eventfd: int, file: int) -> None:
    """Have the kernel write into the eventfd when memory runs out (cgroup-v1/memory.rst, section 10)."""
    control = posix.open(f"{directory}cgroup.event_control", posix.O_WRONLY | posix.O_CLOEXEC)
    try:
        posix.write(control, f"{eventfd} {file}".encode())
    finally:
        posix.close(control)
