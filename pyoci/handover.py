# SPDX-License-Identifier: Apache-2.0
"""What passes between caller and runtime: sockets, descriptors, pid files (cli.md section 3)."""

import _socket
import fcntl
import posix
import sys

from pyoci.errors import StepError
from pyoci.linux.environment import variable
from pyoci.linux.path import name, parent

FIRST_FD = 3
_TIMEOUT_SECONDS = 10
_PATH_BYTES = 107  # sockaddr_un(7): 108 with the NUL
_MSG_NOSIGNAL = 0x4000


def connect(path: str) -> int:
    """Connect to the caller's socket; one that nobody accepts on is an error after ten seconds."""
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    pinned = -1
    try:
        sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, _timeval(_TIMEOUT_SECONDS))
        address = path
        if len(path.encode("utf-8", "surrogateescape")) > _PATH_BYTES:
            pinned = posix.open(path, posix.O_PATH | posix.O_CLOEXEC)
            address = f"/proc/self/fd/{pinned}"
        sock.connect(address)
    except OSError as error:
        sock.close()
        reason = (error.strerror or "").lower()
        if isinstance(error, BlockingIOError):
            reason = "nobody accepts"
        raise StepError(f"connect to {path}: {reason}", errno=error.errno or 0) from error
    finally:
        if pinned >= 0:
            posix.close(pinned)
    return sock.detach()


def send_fd(sock: int, fd: int, payload: bytes) -> None:
    """Send one descriptor in one message, as conmon's recvfd wants it; the caller closes both."""
    borrowed = _socket.socket(fileno=sock)
    rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fd.to_bytes(4, sys.byteorder))]
    try:
        borrowed.sendmsg([payload], rights, _MSG_NOSIGNAL)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise StepError(f"send a descriptor: {reason}", errno=error.errno or 0) from error
    finally:
        borrowed.detach()


def check_preserved(count: int, first: int = FIRST_FD) -> None:
    """Fail unless the caller handed over descriptors first..first+count-1.

    Ours are close-on-exec and so not inherited: the log must not be taken for the caller's file.
    """
    for index in range(count):
        try:
            flags = fcntl.fcntl(first + index, fcntl.F_GETFD)
        except OSError:
            flags = fcntl.FD_CLOEXEC
        if flags & fcntl.FD_CLOEXEC:
            raise StepError(
                f"unable to stat preserved-fd {index} (of {count}): "
                f"stat /proc/self/fd/{first + index}: no such file or directory"
            )


def listen_fds() -> tuple[int, list[str]]:
    """Return how many sockets systemd passed to us, and the container's variables (sd_listen_fds(3))."""
    count = variable("LISTEN_FDS")
    if variable("LISTEN_PID") != str(posix.getpid()):
        return 0, []
    if not (count.isascii() and count.isdigit()) or int(count) == 0:
        return 0, []
    return int(count), [f"LISTEN_FDS={int(count)}", "LISTEN_PID=1"]


def write_pid_file(path: str, pid: int) -> None:
    """Write the pid, without a newline, into a file that appears whole: callers poll for it."""
    temporary = f"{parent(path)}/.{name(path)}"
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC
    try:
        try:
            fd = posix.open(temporary, flags, 0o666)
        except FileExistsError:  # of a runtime that was killed just here
            posix.unlink(temporary)
            fd = posix.open(temporary, flags, 0o666)
        try:
            posix.write(fd, str(pid).encode())
        finally:
            posix.close(fd)
        posix.rename(temporary, path)
    except OSError as error:
        reason = (error.strerror or "").lower()
        raise StepError(f"write pid file {path}: {reason}", errno=error.errno or 0) from error


def _timeval(seconds: int) -> bytes:
    """Return a struct timeval (two longs of 8 bytes on every machine that we support)."""
    return seconds.to_bytes(8, sys.byteorder) + bytes(8)
