# SPDX-License-Identifier: Apache-2.0
"""What has become of a container: status.json, written by its monitor alone, whole or not at all.

Who holds the lock of the run directory is the monitor, and the one writer; when it was killed, the next command takes the lock and
heals. A status of another boot is that of a container that has ended. Manual stop and pause are files in the run directory, so that
they are there before the monitor looks.
"""

import errno
import fcntl
import posix

from pyoci.engine.errors import EngineError
from pyoci.errors import SpecError
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Fields = dict[str, Any]

FILE, LOCK = "status.json", "monitor.lock"
STOPPED_BY_HAND, PAUSED = "stopped", "paused"
LOST = 255  # the exit status of a container whose end nobody saw
FULL = (errno.ENOSPC, errno.EDQUOT)
_LONGEST = 4096  # bytes of a status that is written over another; the least that a file system gives a file
_FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
_CREATED: "Fields" = {
    "Status": "created",
    "Pid": 0,
    "ExitCode": 0,
    "Error": "",
    "OOMKilled": False,
    "StartedAt": 0,
    "FinishedAt": 0,
    "RestartCount": 0,
    "Health": None,
    "Boot": "",
    "Events": "",  # the file of the memory cgroup that tells of OOM kills
}


def initial() -> "Fields":
    """Return the status of a container that has never run."""
    return dict(_CREATED)


def read(directory: str) -> "Fields":
    """Return the status in a container's directory; moments are nanoseconds since 1970, 0 never. EngineError when it is damaged."""
    try:
        fd = posix.open(f"{directory}/{FILE}", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return initial()
    try:
        return {**_CREATED, **parse_object(posix.read(fd, posix.fstat(fd).st_size))}
    except SpecError as error:
        raise EngineError(f"{directory}/{FILE} is damaged: {error.problem}") from error
    finally:
        posix.close(fd)


def write(directory: str, fields: "Fields") -> None:
    """Replace the status; for who holds the lock. On a full disk it takes the place of the old one, which has some."""
    temporary, content = f"{directory}/.{FILE}.new", dumps(fields).encode()
    try:
        _put(temporary, content, _FLAGS)
    except OSError as error:
        if error.errno not in FULL or not posix.access(f"{directory}/{FILE}", posix.F_OK):
            raise
        posix.unlink(temporary)
        # One call, over what is there: space behind an object is none of JSON's.
        _put(f"{directory}/{FILE}", content.ljust(_LONGEST), posix.O_WRONLY | posix.O_CLOEXEC)
        return
    posix.rename(temporary, f"{directory}/{FILE}")


def _put(path: str, content: bytes, flags: int) -> None:
    fd = posix.open(path, flags, 0o600)
    try:
        if posix.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, posix.strerror(errno.ENOSPC), path)
    finally:
        posix.close(fd)


def lock(run: str) -> int | None:
    """Take the monitor's lock and return the descriptor that holds it; None while a monitor lives."""
    fd = posix.open(f"{run}/{LOCK}", posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        posix.close(fd)
        return None
    return fd


def is_watched(run: str) -> bool:
    """Tell whether a monitor lives, without taking its lock from one that begins."""
    try:
        fd = posix.open(f"{run}/{LOCK}", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        posix.close(fd)
    return False


def mark(run: str, name: str) -> None:
    """Make a mark: STOPPED_BY_HAND or PAUSED."""
    posix.close(
        posix.open(f"{run}/{name}", posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC, 0o600)
    )


def unmark(run: str, name: str) -> None:
    """Take a mark away, where there is one."""
    try:
        posix.unlink(f"{run}/{name}")
    except FileNotFoundError:
        return


def is_marked(run: str, name: str) -> bool:
    """Tell whether a mark is there."""
    return posix.access(f"{run}/{name}", posix.F_OK)
