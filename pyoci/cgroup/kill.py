# SPDX-License-Identifier: Apache-2.0
"""Send a signal to every process of a container, so that none escapes by forking or by its pid."""

import posix

from pyoci.cgroup import freezer, v1, v2
from pyoci.cgroup.directory import GONE, refuse
from pyoci.cgroup.wait import Deadline

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci.cgroup import Cgroup
else:
    import _signal

SIGKILL = 9
FREEZE_SECONDS = 2.0  # a kill goes on without it
ROUNDS = 64  # of signalling what was forked meanwhile, where nothing could be frozen
BATCH = 128  # pidfds open at a time: a fork bomb has more processes than we may open


def kill(cgroup: "Cgroup", signal: int) -> None:
    """Kill with one write where the kernel can, else freeze, signal each process, thaw."""
    if signal == SIGKILL and kill_at_once(cgroup):
        thaw_all(cgroup)
        return
    signal_each(cgroup, signal)


def kill_at_once(cgroup: "Cgroup") -> bool:
    """Write cgroup.kill; return whether that reached every process."""
    unified = cgroup.part("")
    if unified is None:
        return False
    if cgroup.version == 2:
        return v2.kill(unified)
    # A process with a writable mount can be in our version 1 cgroups only: look before they die.
    known = set(unified.pids())
    strays = set(cgroup.all_pids()) - known
    return v2.kill(unified) and not strays


def signal_each(cgroup: "Cgroup", signal: int) -> None:
    """Signal each process; one that was frozen before stays so, unless it is to die."""
    was_frozen = cgroup.is_frozen()
    if not was_frozen:
        try_freeze(cgroup)
    try:
        sent: set[int] = set()
        for _ in range(ROUNDS):
            fresh = set(cgroup.all_pids()) - sent
            if not fresh:
                break
            send(cgroup, signal, sorted(fresh))
            sent |= fresh
    finally:
        if signal == SIGKILL:
            thaw_all(cgroup)
        elif not was_frozen:
            cgroup.thaw()


def try_freeze(cgroup: "Cgroup") -> None:
    """Freeze, so that nothing is forked meanwhile; without it more rounds are needed."""
    part = freezer.freezable(cgroup)
    if part is None:
        return
    try:
        freezer.freeze_part(part, Deadline(FREEZE_SECONDS))
    except OSError:
        # No such file, no permission, gone: the rounds do without.
        return


def send(cgroup: "Cgroup", signal: int, pids: list[int]) -> None:
    """Signal processes by pidfd, after a second look at who is a member: pids are used again."""
    for start in range(0, len(pids), BATCH):
        pidfds = open_pidfds(pids[start : start + BATCH])
        try:
            still = set(cgroup.all_pids())
            for pid, pidfd in pidfds.items():
                if pid in still:
                    send_one(signal, pidfd)
        finally:
            for pidfd in pidfds.values():
                posix.close(pidfd)


def open_pidfds(pids: list[int]) -> dict[int, int]:
    """Return a pidfd of each process that still exists."""
    found = {}
    for pid in pids:
        try:
            found[pid] = posix.pidfd_open(pid)
        except ProcessLookupError:
            continue
    return found


def send_one(signal: int, pidfd: int) -> None:
    """Send a signal; a process that has just ended has got it."""
    try:
        _signal.pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        return
    except OSError as error:
        raise refuse("cannot signal a process of the container", error) from error


def thaw_all(cgroup: "Cgroup") -> None:
    """Thaw also what the container froze itself: on version 1 a frozen process does not die."""
    cgroup.thaw()
    part = cgroup.part("freezer")
    if part is None:
        return
    try:
        v1.thaw_below(part)
    except OSError as error:
        if error.errno not in GONE:
            raise refuse(f"cannot thaw cgroups below {part.full_path}", error) from error
