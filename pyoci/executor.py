# SPDX-License-Identifier: Apache-2.0
"""The executor seen from the runtime: sealed, spawned with a plan, and talked with until init is ready."""

import _socket
import _struct
import fcntl
import posix

from pyoci.errors import PyociError
from pyoci.plan import ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.plan.encode import Plan

_REPORT = _struct.Struct("<IIiI")
_REPORT_BYTES = 8192
_CMSG_CLOEXEC = 0x40000000
_SIGKILL = 9
_MFD_CLOEXEC, _MFD_ALLOW_SEALING, _MFD_EXEC = 0x1, 0x2, 0x10
_ADD_SEALS = 1033
_SEALS = 0x1 | 0x2 | 0x4 | 0x8  # SEAL, SHRINK, GROW, WRITE
_SEAL_EXEC = 0x20
_EINVAL = 22
_PROGRAM = __file__.rpartition("/")[0] + "/native/executor"


class Failure(PyociError):
    """The executor reported that an operation failed; container.py says it in words."""

    def __init__(self, operation: int, errno: int, detail: str, value: int) -> None:
        super().__init__(detail)
        self.operation = operation
        self.errno = errno
        self.detail = detail
        self.value = value


class Report:
    """One datagram of the executor."""

    __slots__ = ("detail", "errno", "fd", "kind", "operation", "value")

    def __init__(self, datagram: bytes, fd: int | None) -> None:
        kind, self.operation, self.errno, self.value = _REPORT.unpack_from(datagram)
        self.kind = ops.REPORTS[kind]
        self.detail = datagram[_REPORT.size :].rstrip(b"\0").decode("utf-8", "replace")
        self.fd = fd

    @property
    def topic(self) -> str:
        """What an asked, told or passed report is about."""
        return ops.TOPICS[self.value]


class Executor:
    """A running executor: our end of its socket, and init once it exists."""

    __slots__ = ("clones", "early", "made", "pid", "setup", "socket", "warnings")

    def __init__(self, plan: "Plan", inherited: "Sequence[int]", preserved: int) -> None:
        """Spawn it; `inherited` fill the slots from 1 on, and 3..3+preserved-1 pass through untouched."""
        self.clones = plan.clones
        ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.socket = ours
        self.pid = 0
        self.warnings: list[Report] = []
        self.early: list[Report] = []
        self.made: list[tuple[int, int]] = []  # operation, pid
        image = _sealed(_program(), "pyoci", executable=True)
        text = _sealed(plan.text, "plan", executable=False)
        try:
            self.setup = _spawn(image, (theirs.fileno(), *inherited), text, 3 + preserved)
        finally:
            posix.close(image)
            posix.close(text)
            theirs.close()

    def receive(self) -> Report | None:
        """Return the next report; None when init and the set-up process are gone. Raises Failure."""
        while True:
            if self.early and self.pid:
                return self.early.pop(0)
            report = self._read()
            if report is None:
                return None
            if report.kind == "failed":
                raise Failure(report.operation, report.errno, report.detail, report.value)
            if report.kind == "warned":
                self.warnings.append(report)
            elif report.kind == "cloned":
                self._made(report)
            elif self.pid or not self.clones or report.operation < self.clones[0]:
                return report
            else:
                self.early.append(report)  # init was faster than the process that made it

    def _read(self) -> Report | None:
        """Take one datagram from the socket, with the descriptor that may come with it."""
        try:
            size = _socket.CMSG_SPACE(4)
            datagram, ancillary, _, _ = self.socket.recvmsg(_REPORT_BYTES, size, _CMSG_CLOEXEC)
        except ConnectionResetError:
            return None  # it ended without reading our last word
        fd = None
        for level, kind, data in ancillary:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                fd = int.from_bytes(data[:4], "little")
        return Report(datagram, fd) if len(datagram) >= _REPORT.size else None

    def _made(self, report: "Report") -> None:
        """Note a process that a clone made; once all are, reap those that have done their part.

        Their reports may come in any order: the plan says which is the last, init.
        """
        self.made.append((report.operation, report.value))
        if len(self.made) < len(self.clones):
            return
        *between, (_, self.pid) = sorted(self.made)
        for pid in (self.setup, *(pid for _, pid in between)):
            posix.waitpid(pid, 0)
        self.setup = 0

    def go(self, word: bytes = b"") -> None:
        """Answer what was asked; a word is the program's HOME."""
        try:
            self.socket.send(b"g" + word)
        except (BrokenPipeError, ConnectionResetError):
            return  # init has ended: the next `receive` says so

    def reap(self) -> int:
        """Wait for init, or for the set-up process where there is none; return its exit status, -N for a signal."""
        status = posix.waitpid(self.pid or self.setup, 0)[1]
        self.pid = self.setup = 0
        return posix.waitstatus_to_exitcode(status)

    def close(self) -> None:
        """Let go of the socket, and of a set-up process that failed."""
        self.socket.close()
        if self.setup:
            for pid in (self.setup, *(pid for _, pid in self.made)):
                posix.kill(pid, _SIGKILL)
                posix.waitpid(pid, 0)
            self.setup = 0


def parse_failure(data: bytes) -> Failure | None:
    """Read the report that an init leaves in its exec fifo when it could not become the program."""
    if len(data) < _REPORT.size:
        return None
    report = Report(data, None)
    return Failure(report.operation, report.errno, report.detail, report.value)


def _program() -> bytes:
    fd = posix.open(_PROGRAM, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


def _sealed(content: bytes, name: str, *, executable: bool) -> int:
    """Return a memfd with this content that nobody can change (CVE-2019-5736)."""
    flags = _MFD_CLOEXEC | _MFD_ALLOW_SEALING
    try:
        fd = posix.memfd_create(name, flags | (_MFD_EXEC if executable else 0))
    except OSError as error:
        if error.errno != _EINVAL or not executable:
            raise
        fd = posix.memfd_create(name, flags)  # before Linux 6.3 every memfd is executable
    written = 0
    while written < len(content):
        written += posix.write(fd, content[written:])
    fcntl.fcntl(fd, _ADD_SEALS, _SEALS)
    return fd


def _spawn(program: int, slots: "Sequence[int]", plan: int, base: int) -> int:
    """Start the sealed program with its descriptors in a row from `base` on."""
    wanted = [*slots, plan]
    above = base + len(wanted)
    # All out of the way first, so that no dup2 overwrites what a later one needs.
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in [*wanted, program]]
    try:
        actions = [(posix.POSIX_SPAWN_DUP2, fd, base + i) for i, fd in enumerate(moved[:-1])]
        return posix.posix_spawn(
            f"/proc/self/fd/{moved[-1]}",
            ["pyoci", str(base), str(len(slots))],
            {},
            file_actions=actions,
            setsigmask=(),
        )
    finally:
        for fd in moved:
            posix.close(fd)
