# SPDX-License-Identifier: Apache-2.0
"""The two processes that every start needs, begun before this command has found out what it will start.

    launcher ── becomes this command's interpreter
       └── forks ── monitor, an interpreter of its own
                       └── forks ── creator: imports, waits for its order, prepares, waits for word, makes, begins

A command costs most while it imports modules and looks things up; on a second processor the others do their part meanwhile. They
know nothing. A command that ends before it has given word, however it ends, is an end of file to both, and they end too; nothing
is made but the mount of a root, which is anybody's to undo.
"""

import _socket
import posix
import sys
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.engine.containers.order import Surroundings
    from pyoci.engine.containers.record import Container

BEGUN = "_ahead"  # before the command where the launcher has begun: the word, and the numbers of two sockets
_PREFIX = __file__.rpartition("/lib")[0]
PYPOD, PYOCI = f"{_PREFIX}/bin/pypod", f"{_PREFIX}/bin/pyoci"
_NAME = " " * 255  # room for the name that a monitor takes


class Helpers:
    """A monitor and a creator for one container, as yet unnamed: those that the launcher has begun, or others."""

    __slots__ = ("owner", "work")

    def __init__(self) -> None:
        if sys.argv[1:2] == [BEGUN]:
            owner, work = map(int, sys.argv[2:4])
            del sys.argv[1:4]
            self.owner, self.work = _socket.socket(fileno=owner), _socket.socket(fileno=work)
            for fd in (owner, work):
                posix.set_inheritable(fd, False)  # noqa: FBT003 - the argument has no name
            return
        self.owner, monitors = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        self.work, creators = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
        begin_monitor(_NAME, monitors, creators)
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


def begin_monitor(run: str, *sockets: "_socket.socket") -> int:
    """Start a monitor: one that takes over a container, or one that waits to be told of which it is; returns its pid."""
    words = []
    for socket in sockets:
        posix.set_inheritable(socket.fileno(), True)  # noqa: FBT003 - the argument has no name
        words.append(str(socket.fileno()))
    return posix.posix_spawn(PYPOD, ["pypod", "_monitor", run, *words], posix.environ)
