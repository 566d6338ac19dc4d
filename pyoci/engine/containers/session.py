# SPDX-License-Identifier: Apache-2.0
"""A command's connection with a container's monitor: start it, see what it writes, wait for its end (monitor/clients.py)."""

import _socket
import posix
import select
import time
from sys import byteorder

from pyoci.engine.errors import EngineError
from pyoci.engine.monitor.clients import PACKET, connect
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.engine.containers.record import Container


class Session:
    """The connection, once there is one, and what has come before anybody asked for it."""

    __slots__ = ("code", "early", "pid", "prepare", "socket")

    def __init__(self) -> None:
        self.socket: _socket.socket | None = None
        self.early: list[bytes] = []
        self.pid = 0
        self.code: int | None = None
        self.prepare: Callable[[], None] | None = None  # done before the program begins

    def take(self, socket: "_socket.socket") -> None:
        """Use the connection of who starts the container."""
        self.socket = socket

    def connect(self, container: "Container") -> None:
        """Connect to the monitor of a container that runs."""
        try:
            self.socket = connect(container.run)
        except OSError as error:
            raise EngineError(f"Container {container.id} is not running") from error

    @property
    def connected(self) -> "_socket.socket":
        """The connection."""
        assert self.socket is not None
        return self.socket

    def fileno(self) -> int:
        """Return the descriptor that is ready when there is something to receive."""
        return self.connected.fileno()

    def send(self, packet: bytes) -> None:
        """Tell the monitor; one that has gone says so when we read."""
        try:
            self.connected.send(packet)
        except OSError:
            return

    def give(self, purpose: "dict[str, Any]", socket: "_socket.socket") -> None:
        """Give the monitor a socket, and close ours."""
        rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, socket.fileno().to_bytes(4, byteorder))
        try:
            self.connected.sendmsg([b"n" + dumps(purpose).encode()], [rights])
        except OSError:
            return
        finally:
            socket.close()

    def receive(self) -> bytes:
        """Return the next packet; b"" when the monitor has gone."""
        if self.early:
            return self.early.pop(0)
        try:
            return self.connected.recv(PACKET + 1)
        except OSError:
            return b""

    def created(self) -> int:
        """Wait until the container is made; returns the pid of its init."""
        self._until(b"c")
        return self.pid

    def let_begin(self) -> None:
        """Have the program begin, now or as soon as the container is made."""
        if self.prepare is not None:
            self.prepare()
        self.send(b"s")

    def begun(self) -> None:
        """Wait until the program begins."""
        self._until(b"r")

    def _until(self, word: bytes) -> bytes:
        """Wait for a packet; keeps output for later, raises EngineError for a failure."""
        kept: list[bytes] = []
        while True:
            packet = self.receive()
            if not packet:
                raise EngineError("the container's monitor was killed", 125)
            if packet[:1] == b"f":
                fields = parse_object(packet[1:])
                raise EngineError(str(fields["error"]), int(str(fields["code"])))
            if packet[:1] == b"c":
                self.pid = int(str(parse_object(packet[1:])["pid"]))
            if packet[:1] == word:
                self.early = kept
                return packet
            kept.append(packet)
            if packet[:1] == b"x" and word == b"r":
                self.early = kept  # it has begun, and ended
                return packet

    def look_and_take(self) -> bool:
        """Have the monitor look at the marks, until it has; tells whether cleaning up in the end is ours."""
        self.send(b"k")
        self.send(b"t")
        kept: list[bytes] = []
        while packet := self.receive():
            if packet[:1] == b"t":
                self.early = kept
                return packet == b"t1"
            kept.append(packet)
        self.early = kept
        return False

    def ended(self, seconds: float | None, *, last: bool = True) -> int | None:
        """Wait for the end, the `last` or that of the run; returns the status, None when none came in time."""
        deadline = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(self.connected.fileno(), select.POLLIN)
        while self.code is None:
            if not self.early:
                left = None if deadline is None else max(0.0, deadline - time.monotonic()) * 1000
                if not poll.poll(left):
                    return None
            packet = self.receive()
            if not packet:
                return None
            if packet[:1] == b"x" or (packet[:1] == b"g" and not last):
                self.code = int(packet[1:])
        return self.code

    def await_close(self) -> None:
        """Wait until the monitor has gone."""
        while self.receive():
            pass

    def done(self) -> None:
        """Say that nothing is left to be cleaned up: the monitor has nothing to do but to go."""
        self.send(b"d")

    def close(self) -> None:
        """Leave."""
        if self.socket is not None:
            self.socket.close()
            self.socket = None


def write_all(fd: int, data: bytes) -> None:
    """Write everything."""
    while data:
        data = data[posix.write(fd, data) :]
