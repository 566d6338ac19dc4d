# SPDX-License-Identifier: Apache-2.0
"""Being told when a container runs out of memory, and saying so in words.

Version 1 tells through an eventfd that is registered in cgroup.event_control; version 2 wakes those
who poll memory.events for POLLPRI.
"""

import posix
import select

from pyoci.cgroup.directory import GONE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup
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
        before, self.known = self.known, int(text.partition(b"\noom_kill ")[2].split(None, 1)[0])
        return self.known - before


def watch(cgroup: "Cgroup") -> "Eventfd | Counter":
    """Return what tells of lack of memory from now on; an OSError where the kernel does not."""
    part = cgroup.controller("memory")
    if part is None:
        raise FileNotFoundError(2, "no memory controller")
    return Counter(part) if cgroup.version == 2 else Eventfd(part)


def explain(cgroup: "Cgroup") -> str:
    """Say that the kernel killed for want of memory, with limit and peak; "" where it did not."""
    kills, part = cgroup.oom_kills(), cgroup.controller("memory")
    if not kills or part is None:
        return ""
    limit = part.number("memory.max" if cgroup.version == 2 else "memory.limit_in_bytes")
    text = f"out of memory: the kernel killed {kills} process{'es' if kills > 1 else ''}"
    if limit is None or limit >= UNLIMITED:
        return f"{text}; the container has no limit: a cgroup above it or the host ran out"
    peak = cgroup.memory_peak()
    return f"{text}; the limit is {size(limit)}" + (f", the peak {size(peak)}" if peak else "")


def size(count: int) -> str:
    """Return a number of bytes for people: exactly, and in the unit that fits."""
    short = f"{count / MIB:.1f} MiB" if count >= MIB else f"{count / KIB:.1f} KiB"
    return f"{count} bytes ({short})"
