# SPDX-License-Identifier: Apache-2.0
"""The two processes that every start needs, begun before this command has found out what it will start.

    this command ── forks ── helper (setsid) ── executes the monitor, once the creator has imported what it needs
                               └── forks, before that ── creator: imports, waits for its order, prepares, waits for word, makes

A command costs most while it imports modules and looks things up; on a second processor the others do their part meanwhile. They
are forked while the command is small, before it has opened the database, and know nothing. One that ends before it has given word,
however it ends, is an end of file to both, and they end too; nothing is made but the mount of a root, which is anybody's to undo.
"""

import _socket
import posix
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from pyoci.engine.containers.order import Surroundings
    from pyoci.engine.containers.record import Container

_PREFIX = __file__.rpartition("/lib")[0]
PYPOD, PYOCI = f"{_PREFIX}/bin/pypod", f"{_PREFIX}/bin/pyoci"
_READ = 65536


class Helpers:
    """A monitor and a creator for one container, as yet unnamed."""

    __slots__ = ("owner", "work")

    def __init__(self) -> None:
        self.owner, monitors = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.work, creators = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        if posix.fork() == 0:
            self.owner.close()
            self.work.close()
            _help(monitors.fileno(), creators)
        monitors.close()
        creators.close()

    def name(self, run: str) -> None:
        """Tell whose monitor it will be, by its run directory; that need not be there yet."""
        self._send(run.encode("utf-8", "surrogateescape"))

    def order(self, container: "Container", around: "Surroundings") -> None:
        """Have everything prepared for a container, whose directories are there."""
        from pyoci.engine.containers import order

        try:
            self.work.sendall(order.pack(container, around))
        except OSError:
            return  # it was killed, which the monitor tells

    def begin(self, console: int) -> None:
        """Give word, to the monitor first: a container that is being made must have one. Its terminal comes to `console`."""
        data = console.to_bytes(4, byteorder, signed=True)
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, data)
        self._send(b"b", [rights] if console >= 0 else [])
        try:
            self.work.send(b"b")
        except OSError:
            return

    def _send(self, packet: bytes, rights: "Sequence[tuple[int, int, bytes]]" = ()) -> None:
        """Tell the monitor; one that was killed says so when we read."""
        try:
            self.owner.sendmsg([packet], rights)
        except OSError:
            return

    def close(self) -> None:
        """Let go, and wait until the creator has ended: what it has done by then can be undone."""
        self.owner.close()
        try:
            self.work.shutdown(_socket.SHUT_WR)
            self.work.recv(1)
        except OSError:
            pass  # it has ended already
        self.work.close()


def _help(owner: int, work: "_socket.socket") -> "NoReturn":
    """Fork the creator, then be the monitor."""
    try:
        posix.setsid()
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        creator = posix.fork()
        if creator == 0:
            posix.close(owner)
            posix.close(reading)
            _create(work, writing)
        work.close()
        posix.close(writing)
        run = posix.read(owner, _READ)
        if run and posix.read(reading, 1):  # the creator has imported: there is a processor now
            execute(run, owner, reading, creator)
    finally:
        posix._exit(0)  # noqa: SLF001 - nothing of the command may run here


def execute(run: str | bytes, owner: int, report: int, creator: int) -> None:
    """Become a monitor, which has nothing open that its caller had: a lock, a pipe would be held as long as the container runs."""
    for name in posix.listdir("/proc/self/fd"):
        fd = int(name)
        if fd > 2 and fd not in (owner, report):
            try:
                posix.set_inheritable(fd, False)  # noqa: FBT003 - the argument has no name
            except OSError:
                continue  # that of the listing itself
    null = posix.open("/dev/null", posix.O_RDWR | posix.O_CLOEXEC)
    posix.dup2(null, 0)
    posix.dup2(null, 1)
    for fd in (owner, report):
        if fd >= 0:
            posix.set_inheritable(fd, True)  # noqa: FBT003 - the argument has no name
    posix.execv(PYPOD, ["pypod", "_monitor", run, str(owner), str(report), str(creator)])


def _create(work: "_socket.socket", report: int) -> "NoReturn":
    """Import, prepare what is ordered, make the container when word comes, report."""
    try:
        import pyoci.engine.containers.preload  # noqa: F401 - for later
        from pyoci.engine.containers import creator, order

        posix.write(report, b"\n")
        ordered = order.receive(work.fileno())
        if ordered is not None:
            creator.report(*ordered, report, lambda: bool(posix.read(work.fileno(), 1)))
    finally:
        posix._exit(0)  # noqa: SLF001 - nothing of the command may run here
