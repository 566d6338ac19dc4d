# SPDX-License-Identifier: Apache-2.0
"""sd_notify(3) through the container's wall: a socket of our own inside (cli.md section 3.5)."""

import _socket
import errno
import posix
import select

from pyoci.errors import StepError
from pyoci.linux.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.spec import Mount

INSIDE = "/run/notify"
SOCKET = "notify.sock"
_BARRIER_MS = 30_000
_BYTES = 4096
_MSG_NOSIGNAL = 0x4000


def is_wanted() -> bool:
    """Tell whether our caller waits for a READY=1."""
    return variable("NOTIFY_SOCKET") != ""


def prepare(directory: str) -> "tuple[Mount, str]":
    """Make directory/notify; returns the mount and the variable that lead the container to it."""
    source = f"{directory}/notify"
    try:
        posix.mkdir(source)
        posix.chmod(
            source, 0o755
        )  # whatever our umask is: the container's user must reach the socket
    except OSError as error:
        raise _failure(f"make {source}", error) from error
    mount: Mount = {
        "destination": INSIDE,
        "type": "bind",
        "source": source,
        "options": ["bind", "nosuid", "noexec", "nodev", "ro"],
        "uidMappings": [],
        "gidMappings": [],
    }
    return mount, f"NOTIFY_SOCKET={INSIDE}/{SOCKET}"


def is_prepared(directory: str) -> bool:
    """Tell whether the container was created with a place for the socket."""
    try:
        posix.stat(f"{directory}/notify", follow_symlinks=False)
    except OSError:
        return False
    return True


class Relay:
    """The socket that the container writes to: to be made before its program may run."""

    __slots__ = ("_sock", "fd", "main_pid")

    def __init__(self, directory: str, main_pid: int) -> None:
        """Bind directory/notify/notify.sock; `main_pid` is who the service manager shall watch."""
        self.main_pid = main_pid
        self._sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
        self.fd = self._sock.fileno()
        try:
            _bind(self._sock, f"{directory}/notify")
        except OSError as error:
            self.close()
            raise _failure(f"bind {directory}/notify/{SOCKET}", error) from error

    def relay(self) -> bool:
        """Read one datagram; True when it said READY= and the service manager has been told."""
        for line in self._sock.recv(_BYTES).split(b"\n"):
            if line.startswith(b"READY="):
                _tell(line, self.main_pid)
                return True
        return False

    def wait(self, pidfd: int) -> None:
        """Relay until the container is ready or its process has ended."""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        poll.register(pidfd, select.POLLIN)
        while True:
            ready = dict(poll.poll())
            if self.fd in ready and self.relay():
                return
            if pidfd in ready:
                return

    def close(self) -> None:
        """Close the socket; the container's later words have no reader."""
        self._sock.close()


def _bind(sock: _socket.socket, directory: str) -> None:
    """Bind by descriptor: a state directory may lie deeper than a socket's address is long."""
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    place = posix.open(directory, flags)
    address = f"/proc/self/fd/{place}/{SOCKET}"
    umask = posix.umask(0)  # the mode comes from bind(2): no chmod of a name that may be replaced
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        posix.unlink(SOCKET, dir_fd=place)  # of a start that failed
        sock.bind(address)
    finally:
        posix.umask(umask)
        posix.close(place)


def _tell(ready: bytes, main_pid: int) -> None:
    """Tell the service manager, and wait until it has read it (sd_notify_barrier(3))."""
    address = variable("NOTIFY_SOCKET")
    if address.startswith("@"):
        address = "\0" + address[1:]
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    read, write = posix.pipe2(posix.O_CLOEXEC)
    try:
        sock.connect(address.encode("utf-8", "surrogateescape"))
        sock.send(ready, _MSG_NOSIGNAL)
        sock.send(b"MAINPID=%d" % main_pid, _MSG_NOSIGNAL)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, write.to_bytes(4, "little"))]
        sock.sendmsg([b"BARRIER=1"], rights, _MSG_NOSIGNAL)
        posix.close(write)
        write = -1
        poll = select.poll()
        poll.register(read, 0)  # POLLHUP alone: nobody writes
        poll.poll(_BARRIER_MS)
    except OSError as error:
        raise _failure("tell the service manager", error) from error
    finally:
        sock.close()
        posix.close(read)
        if write >= 0:
            posix.close(write)


def _failure(step: str, error: OSError) -> StepError:
    return StepError(f"{step}: {(error.strerror or '').lower()}", errno=error.errno or 0)
