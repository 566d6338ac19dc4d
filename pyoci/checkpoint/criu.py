# SPDX-License-Identifier: Apache-2.0
"""The program criu: found, started as a worker of ours, talked with, and its failures explained (criu.org/RPC)."""

import _socket
import posix

from pyoci.checkpoint import messages
from pyoci.errors import StepError, Unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Mapping
    from typing import Any

    Notes = Mapping[str, Callable[[int, int | None], None]]
else:
    import _signal

DUMP, RESTORE, PRE_DUMP, NOTIFY = 1, 2, 4, 6
NAMES = {DUMP: "DUMP", RESTORE: "RESTORE", PRE_DUMP: "PRE_DUMP", NOTIFY: "NOTIFY"}
CGROUP_MODES = {"ignore": 0, "soft": 3, "full": 4, "strict": 5}
NETWORK_LOCKS = {"iptables": 1, "nftables": 2, "skip": 3}
LOG_LEVEL = 4
CONFIGURATION = "/etc/criu/runc.conf"
ANNOTATION = "org.criu.config"
_PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
_ANSWER_BYTES = 64 << 10
_CMSG_CLOEXEC = 0x40000000  # MSG_CMSG_CLOEXEC
_SERVICE_FD = 3
_EXCERPT_LINES = 3


def find() -> str:
    """Return the program's path, whatever PATH says; Unsupported where there is none."""
    for directory in _PLACES:
        if posix.access(f"{directory}/criu", posix.X_OK):
            return f"{directory}/criu"
    raise Unsupported("checkpoint and restore need the program criu: apt-get install criu")


class Worker:
    """A criu of our own, which takes one request; `files` it inherits under these numbers."""

    __slots__ = ("pid", "socket")

    def __init__(self, files: "Mapping[int, int]") -> None:
        program = find()
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.socket = ours
        self.pid = posix.fork()
        if self.pid:
            theirs.close()
            return
        try:
            _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
            _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
            # Out of the way first, so that no number is taken that is still to be copied.
            above = max(_SERVICE_FD, *files) + 1 if files else _SERVICE_FD + 1
            held = {number: _duplicate(fd, above) for number, fd in files.items()}
            held[_SERVICE_FD] = _duplicate(theirs.fileno(), above)
            for number, fd in held.items():
                posix.dup2(fd, number)
            environment = {"PATH": ":".join(_PLACES)}  # it runs ip, iptables and nft
            posix.execve(program, ["criu", "swrk", str(_SERVICE_FD)], environment)
        except BaseException as error:  # noqa: BLE001 - nothing of ours may run on in the child
            posix.write(2, f"criu: {error}\n".encode())
        posix._exit(1)  # noqa: SLF001 - a fork's way out

    def carry_out(self, kind: int, options: "Mapping[str, Any]", notes: "Notes") -> int:
        """Send the request, answer what criu asks meanwhile; returns the pid of what was restored, else 0.

        Raises StepError when criu says no, or ends without a word.
        """
        self._send({"type": kind, "opts": options})
        while True:
            answer, fd = self._receive()
            if answer is None:
                raise StepError(f"criu failed: type {NAMES[kind]}: it ended without an answer")
            if answer.get("type") == NOTIFY and answer.get("success"):
                note = answer.get("notify", {})
                act = notes.get(note.get("script", ""))
                if act is not None:
                    act(note.get("pid", 0), fd)
                self._send({"type": NOTIFY, "notify_success": True})
            elif not answer.get("success"):
                number = answer.get("cr_errno", 0)
                raise StepError(f"criu failed: type {NAMES[kind]} errno {number}", errno=number)
            else:
                return int(answer.get("restore", {}).get("pid", 0))

    def end(self) -> None:
        """Close the socket, which ends criu, and reap it."""
        self.socket.close()
        posix.waitpid(self.pid, 0)

    def _send(self, request: "Mapping[str, Any]") -> None:
        self.socket.send(messages.encode(request, messages.REQUEST))

    def _receive(self) -> "tuple[dict[str, Any] | None, int | None]":
        space = _socket.CMSG_SPACE(4)
        data, ancillary, _, _ = self.socket.recvmsg(_ANSWER_BYTES, space, _CMSG_CLOEXEC)
        fd = None
        for level, kind, content in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fd = int.from_bytes(content[:4], "little")
        return (messages.decode(data, messages.RESPONSE) if data else None), fd


def _duplicate(fd: int, least: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD, least)


def explain(error: StepError, directory: str, name: str) -> StepError:
    """Add to criu's answer the words of its log, and where the log is."""
    path = f"{directory}/{name}"
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            lines = [line.partition("Error ")[2].strip() for line in log if " Error (" in line]
    except OSError:
        return error
    excerpt = "; ".join(lines[:_EXCERPT_LINES])
    return StepError(
        f"{error}{': ' + excerpt if excerpt else ''} (log file: {path})", errno=error.errno
    )


def configuration(annotations: "Mapping[str, str]") -> str | None:
    """Return criu's configuration file: of the annotation, or that of runc where there is one."""
    if ANNOTATION in annotations:
        return annotations[ANNOTATION] or None
    return CONFIGURATION if posix.access(CONFIGURATION, posix.F_OK) else None
