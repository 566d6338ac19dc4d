# SPDX-License-Identifier: Apache-2.0
"""What only version 1 hierarchies have: the freezer controller, cpusets that start empty.

Documentation/admin-guide/cgroup-v1/ is the source for all of it.
"""

import posix

from pyoci.cgroup.directory import GONE, Directory, descendants, read, write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.wait import Deadline

FREEZE_AGAIN_MS = 20
WATCHED = 64


def fill_cpuset(parent: str, child: str, *, new: bool) -> None:
    """Copy the parent's cpus and memory nodes into an empty cpuset: nothing could enter it."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if new or not read(f"{child}/{file}").strip():
            write(f"{child}/{file}", read(f"{parent}/{file}").strip())


def freeze(directory: Directory, deadline: "Deadline") -> bool:
    """Freeze the cgroup and wait until it is; return whether it is within the deadline.

    The state says FREEZING while a process cannot be frozen yet, one that is just being forked or
    moved for instance, and some of these never change: thawing for a moment lets them go on to
    where they can be.
    """
    from pyoci.cgroup.wait import Deadline, until

    deadline_again = Deadline(FREEZE_AGAIN_MS / 1000)
    directory.write("freezer.state", "FROZEN")

    def is_done() -> bool:
        nonlocal deadline_again
        state = directory.read("freezer.state")
        if state == b"FREEZING\n" and not deadline_again.left_ms():
            directory.write("freezer.state", "THAWED")
            directory.write("freezer.state", "FROZEN")
            deadline_again = Deadline(FREEZE_AGAIN_MS / 1000)
        return state == b"FROZEN\n"

    return until(is_done, [], 0, deadline)


def thaw(directory: Directory) -> None:
    """Thaw the cgroup; what was frozen further below stays so."""
    directory.write("freezer.state", "THAWED")


def thaw_below(directory: Directory) -> None:
    """Thaw every cgroup below this one: a frozen process does not die of SIGKILL on version 1."""
    for parent, name in descendants(directory.open()):
        write(f"{name}/freezer.state", b"THAWED", parent)


def is_frozen(directory: Directory) -> bool:
    """Tell whether the cgroup is frozen or about to be, by itself or by one above it."""
    try:
        return directory.read("freezer.state") != b"THAWED\n"
    except OSError as error:
        if error.errno in GONE:
            return False
        raise


def wait_empty(directory: Directory, deadline: "Deadline") -> bool:
    """Wait until no live process is in the cgroup or below; return whether that is so.

    Version 1 has no event for it, but each process has one: its pidfd.
    """
    import select

    from pyoci.cgroup.wait import until

    pidfds = []
    try:
        for pid in directory.pids()[:WATCHED]:  # a fork bomb has more than we may open
            try:
                pidfds.append(posix.pidfd_open(pid))
            except ProcessLookupError:
                continue
        return until(lambda: not directory.pids(), pidfds, select.POLLIN, deadline)
    finally:
        for fd in pidfds:
            posix.close(fd)
