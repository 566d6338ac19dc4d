# SPDX-License-Identifier: Apache-2.0
"""How a program ended: its exit status from a pidfd, whoever its parent was, and whether memory was the reason."""

import _struct
import fcntl
import posix
import time

from pyoci.engine.containers.status import LOST

# struct pidfd_info of Linux 6.13: mask, cgroup id, eleven ids, exit code (linux/pidfd.h)
_INFO = _struct.Struct("=QQ11Ii")
_PIDFD_GET_INFO = 3 << 30 | _INFO.size << 16 | 0xFF << 8 | 11
_PIDFD_INFO_EXIT = 1 << 3  # since Linux 6.15
_EVENTS_BYTES = 4096
_PATIENCE, _PAUSE = 2.0, 0.01  # seconds: between the end of a process and its parent's looking


def exit_status(pidfd: int, pid: int) -> int:
    """Return the exit status of a process that has ended, 128 + signal where one did it; LOST when the kernel does not say."""
    try:
        found = posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED)
    except ChildProcessError:
        return _status_of_stranger(pidfd, pid)
    if found is None:
        return LOST
    return found.si_status if found.si_code == posix.CLD_EXITED else 128 + found.si_status


def _status_of_stranger(pidfd: int, pid: int) -> int:
    """Return the status of a process that is not our child: from what is left of it, or, once it is reaped, from the kernel."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        status = _of_reaped(pidfd)
        if status is None:
            status = _of_zombie(pid)
        if status is not None:
            code = posix.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        time.sleep(_PAUSE)
    return LOST


def _of_reaped(pidfd: int) -> int | None:
    """Ask the kernel, which knows the status from when the process is reaped for as long as a pidfd is open."""
    blank = _INFO.pack(_PIDFD_INFO_EXIT, *[0] * 13)
    try:
        fields = _INFO.unpack(fcntl.ioctl(pidfd, _PIDFD_GET_INFO, blank))
    except OSError:
        return None
    return int(fields[-1]) if fields[0] & _PIDFD_INFO_EXIT else None


def _of_zombie(pid: int) -> int | None:
    """Read the status of a process that nobody has reaped yet (proc_pid_stat(5): state, and the last field)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[-1]) if fields[0] == "Z" else None


def was_out_of_memory(path: str) -> bool:
    """Tell from the events of a memory cgroup whether the kernel has killed one of its processes for want of memory."""
    try:
        fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        words = posix.read(fd, _EVENTS_BYTES).split()
    except OSError:
        return False
    finally:
        posix.close(fd)
    return b"oom_kill" in words and words[words.index(b"oom_kill") + 1] != b"0"
