# SPDX-License-Identifier: Apache-2.0
"""What `events` reports: the statistics of a container, again and again, and each lack of memory."""

import posix
import select
import time

from pyoci import log
from pyoci import state as store
from pyoci.cgroup import statistics, statistics_text
from pyoci.errors import CgroupError, StateError
from pyoci.identity import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.cgroup.oom import Counter, Eventfd
    from pyoci.state import Container

    Event = dict[str, object]

LONGEST_MS = (1 << 31) - 1


def once(root: str, identity: str) -> "Event":
    """Return one event with the statistics of now."""
    container, pidfd = opened(root, identity)
    try:
        return sample(container)
    finally:
        posix.close(pidfd)
        container.close()


def stream(root: str, identity: str, interval: float) -> "Iterator[Event]":
    """Yield statistics each `interval` seconds and an event for each lack of memory, until the container ends."""
    container, pidfd = opened(root, identity)
    try:
        yield from follow(container, pidfd, interval)
    finally:
        posix.close(pidfd)
        container.close()


def follow(container: "Container", pidfd: int, interval: float) -> "Iterator[Event]":
    """Yield the events of a container whose init has this pidfd."""
    shortage = watch(container)
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    if shortage is not None:
        poll.register(shortage.fd, shortage.events)
    due = time.monotonic() + interval
    while True:
        left_ms = max(0, int((due - time.monotonic()) * 1000) + 1)
        ready = [fd for fd, _ in poll.poll(min(left_ms, LONGEST_MS))]
        for _ in range(shortage.new() if shortage is not None else 0):
            yield {"type": "oom", "id": container.id}
        if pidfd in ready:
            return
        if time.monotonic() >= due:
            event = sample(container)
            if pidfd not in (fd for fd, _ in poll.poll(0)):  # what had ended may have been removed
                yield event
            due = max(due + interval, time.monotonic())


def opened(root: str, identity: str) -> "tuple[Container, int]":
    """Return a container that has not ended, and a pidfd of its init."""
    container = store.load(root, identity)
    pidfd = container.open_init()
    if pidfd is None:
        container.close()
        raise StateError(f"container with id {identity} is not running")
    return container, pidfd


def watch(container: "Container") -> "Eventfd | Counter | None":
    """Return what tells of lack of memory; None, and a warning, where nothing does."""
    from pyoci.cgroup import oom

    cgroup = container.cgroup()
    try:
        return None if cgroup is None else oom.watch(cgroup)
    except OSError as error:
        reason = (error.strerror or "").lower()
        log.warning(f"container {container.id}: no notice of lack of memory: {reason}")
        return None


def sample(container: "Container") -> "Event":
    """Return an event with the statistics of now."""
    cgroup, init = container.cgroup(), container.known()["init"]
    if cgroup is None or init is None:
        raise CgroupError("cannot read statistics: the container has no cgroup")
    data = statistics.collect(cgroup)
    cgroup.close()
    data["intel_rdt"] = {}
    if container.known()["rdt"] is not None:
        from pyoci import rdt_statistics

        data["intel_rdt"] = rdt_statistics.collect(container.known()["rdt"])
    data["network_interfaces"] = interfaces(init["pid"])
    return {"type": "stats", "id": container.id, "data": data}


def interfaces(pid: int) -> list[dict[str, object]] | None:
    """Return the counters of the container's own network interfaces; None where they are the host's."""
    try:
        if posix.readlink(f"/proc/{pid}/ns/net") == posix.readlink("/proc/self/ns/net"):
            return None
        text = read(f"/proc/{pid}/net/dev").decode()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return statistics_text.interfaces(text) or None
