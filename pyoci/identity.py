# SPDX-License-Identifier: Apache-2.0
"""Which process a pid meant: pids are used again, a pidfs inode within one boot never is (pidfd_open(2))."""

import errno
import posix

from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypedDict

    class Recorded(TypedDict):
        """A process as a state record holds it."""

        pid: int
        start: int
        inode: int


_PARENT = 1
_FLAGS = 6
_FORKED_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC of linux/sched.h; a zombie keeps it
_boot: list[str] = []  # its name, once somebody asked
_START_TIME = 19  # fields behind the command: state is 0, so field 22 of proc(5) is 19


def record(pid: int) -> "Recorded":
    """Describe a living process so that it can be recognized later; raises PyociError when it is gone."""
    pidfd = posix.pidfd_open(pid)
    try:
        fields = _stat(pid)
        if fields is None:
            raise PyociError(f"process {pid} is gone")
        return {"pid": pid, "start": int(fields[_START_TIME]), "inode": posix.fstat(pidfd).st_ino}
    finally:
        posix.close(pidfd)


def open_same(recorded: "Recorded | None") -> int | None:
    """Return a pidfd of exactly the process that was recorded; None when it is gone, a zombie or was never known."""
    if not recorded or not recorded.get("start") or recorded.get("pid", 0) <= 0:
        return None
    try:
        pidfd = posix.pidfd_open(recorded["pid"])
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL):
            return None
        raise
    fields = _stat(recorded["pid"])
    # Read after the pidfd was opened: if the pid had changed hands in between, the inode differs.
    if (
        fields is not None
        and fields[0] not in (b"Z", b"X")
        and int(fields[_START_TIME]) == recorded["start"]
        and posix.fstat(pidfd).st_ino == recorded["inode"]
    ):
        return pidfd
    posix.close(pidfd)
    return None


def is_alive(recorded: "Recorded | None") -> bool:
    """Tell whether exactly the recorded process still runs."""
    pidfd = open_same(recorded)
    if pidfd is None:
        return False
    posix.close(pidfd)
    return True


def has_executed(pid: int) -> bool:
    """Tell whether a process has called execve(2) since it was forked; of one that is gone nobody knows."""
    fields = _stat(pid)
    return fields is not None and not int(fields[_FLAGS]) & _FORKED_NOT_EXECUTED


def is_ancestor(pid: int) -> bool:
    """Tell whether a process is our parent, or a parent of it."""
    child: int = posix.getpid()
    while child > 1:
        if child == pid:
            return True
        fields = _stat(child)
        if fields is None:
            return False
        child = int(fields[_PARENT])
    return False


def boot_id() -> str:
    """Return what names this boot: processes of a record from another boot are gone."""
    if not _boot:
        _boot.append(read("/proc/sys/kernel/random/boot_id").decode().strip())
    return _boot[0]


def inner_pid(pid: int) -> int:
    """Return the pid as the process itself sees it (NSpid in proc_pid_status(5))."""
    for line in read(f"/proc/{pid}/status").split(b"\n"):
        if line.startswith(b"NSpid:"):
            return int(line.split()[-1])
    return pid


def _stat(pid: int) -> list[bytes] | None:
    """Return the fields of /proc/PID/stat behind the command, which may itself hold spaces and brackets."""
    try:
        text = read(f"/proc/{pid}/stat")
    except FileNotFoundError:
        return None
    except ProcessLookupError:
        return None
    return text.rpartition(b")")[2].split()


def read(path: str) -> bytes:
    """Read a small file of /proc or /sys whole."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, 1 << 20)
    finally:
        posix.close(fd)
