# SPDX-License-Identifier: Apache-2.0
"""Being told when a container runs out of memory, and saying so in words.

Version 1 tells through an eventfd that is registered in cgroup.event_control; version 2 wakes those
who poll memory.events for POLLPRI.
"""

import posix
import select

from pyoci.cgroup import KILLS, LIMIT, PEAK
from pyoci.cgroup.directory import GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup, Shortage
    from pyoci.cgroup.directory import Directory

KIB = 1 << 10
MIB = 1 << 20
UNLIMITED = 1 << 62  # version 1 writes no limit as the greatest number of pages, in bytes


class Eventfd:
    """Version 1: the kernel adds one for each time that memory ran out."""

    def __init__(self, directory: "Directory") -> None:
        self.fd = posix.eventfd(0, posix.EFD_CLOEXEC | posix.EFD_NONBLOCK)
        self.events = select.POLLIN
        control = directory.open_file("memory.oom_control", posix.O_RDONLY)
        try:
            directory.write("cgroup.event_control", f"{self.fd} {control}")
        finally:
            posix.close(control)

    def new(self) -> int:
        """Return how often memory ran out since the last call."""
        try:
            return posix.eventfd_read(self.fd)
        except BlockingIOError:
            return 0


class Counter:
    """Version 2: memory.events counts the processes that were killed, also in cgroups below."""

    def __init__(self, directory: "Directory") -> None:
        self.fd = directory.open_file("memory.events", posix.O_RDONLY)
        self.events = select.POLLPRI
        self.known = 0
        self.new()

    def new(self) -> int:
        """Return how many processes were killed since the last call."""
        try:
            text = posix.pread(self.fd, 4096, 0)
        except OSError as error:
            if error.errno in GONE:
                return 0
            raise
        before, self.known = self.known, killed(text)
        return self.known - before


def watch(cgroup: "Cgroup") -> "Eventfd | Counter":
    """Return what tells of lack of memory from now on; an OSError where the kernel does not."""
    part = cgroup.controller("memory")
    if part is None:
        raise FileNotFoundError(2, "no memory controller")
    return Counter(part) if cgroup.version == 2 else Eventfd(part)


class Witness:
    """Remembers what the kernel has counted: systemd removes a cgroup as soon as its last process has ended.

    Who is killed for want of memory is counted before it dies. That is a POLLPRI on `fd`, but a second
    one within 10 ms comes late: whoever waits for a process looks when that has ended, too, and first
    of all. So looking is cheap: what counts is open already. Where systemd was faster all the same, the
    cgroup above is left, which on version 2 counts who is killed in any below it.
    """

    def __init__(self, directory: "Directory", version: int) -> None:
        self.directory = directory
        self.fd = directory.open_file(KILLS[version], posix.O_RDONLY)
        self.peak = -1
        if directory.has(PEAK[version]):  # of version 2 since Linux 5.19
            self.peak = directory.open_file(PEAK[version], posix.O_RDONLY)
        self.above, self.killed_above = -1, 0
        where, _, _ = directory.path.rpartition("/")
        if version == 2 and where:  # the root has no such file
            above = f"{directory.mount}{where}/{KILLS[version]}"
            self.above = posix.open(above, posix.O_RDONLY | posix.O_NOFOLLOW)
        self.limit_file = LIMIT[version]
        self.limit: int | None = None
        self.shortage: Shortage | None = None
        self.read_limit()
        self.look()

    def look(self) -> bool:
        """Remember what stands there now; return whether there will be more to see."""
        above = killed(self.read(self.above))  # first: what it has then is not ours if we have none
        text = self.read(self.fd)
        if kills := killed(text):
            peak = self.read(self.peak)
            self.read_limit()
            known = self.shortage[2] if self.shortage else None
            self.shortage = (kills, self.limit, int(peak) if peak else known, "")
        elif text:
            self.killed_above = above
        return bool(text)

    def found(self) -> "Shortage | None":
        """Return what there was to see; where the cgroup is gone, what was counted above it since the last look."""
        if self.look() or self.shortage or not self.limit:
            return self.shortage
        kills = killed(self.read(self.above)) - self.killed_above
        above = self.directory.path.split("/")[-2]
        return (kills, self.limit, None, above) if kills > 0 else None

    def read_limit(self) -> None:
        """Remember the limit as it is now, after an `update` for instance."""
        try:
            text = self.directory.read(self.limit_file)
        except OSError as error:
            if error.errno in GONE:
                return
            raise
        self.limit = int(text) if text != b"max\n" else None

    def read(self, fd: int) -> bytes:
        """Return what one of the files says, nothing where it is gone."""
        try:
            return posix.pread(fd, 4096, 0) if fd >= 0 else b""
        except OSError as error:
            if error.errno in GONE:
                return b""
            raise

    def close(self) -> None:
        """Look no more."""
        for fd in (self.fd, self.peak, self.above):
            if fd >= 0:
                posix.close(fd)


def killed(events: bytes) -> int:
    """Return how many were killed by what memory.events or memory.oom_control says; 0 of an empty text."""
    return int(events.partition(b"\noom_kill ")[2].split(None, 1)[0]) if events else 0


def explain(shortage: "Shortage") -> str:
    """Say that the kernel killed for want of memory, with limit and peak."""
    kills, limit, peak, above = shortage
    text = f"out of memory: the kernel killed {kills} process{'es' if kills > 1 else ''}"
    if above:
        text += f" in {above} (systemd has removed the container's own cgroup and its counts)"
    if limit is None or limit >= UNLIMITED:
        return f"{text}; the container has no limit: a cgroup above it or the host ran out"
    return f"{text}; the limit is {size(limit)}" + (f", the peak {size(peak)}" if peak else "")


def size(count: int) -> str:
    """Return a number of bytes for people: exactly, and in the unit that fits."""
    short = f"{count / MIB:.1f} MiB" if count >= MIB else f"{count / KIB:.1f} KiB"
    return f"{count} bytes ({short})"
