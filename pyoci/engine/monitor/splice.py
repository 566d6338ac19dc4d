# SPDX-License-Identifier: Apache-2.0
"""Two connections made one: what comes on either goes out on the other, through a pipe, never through our memory (splice(2)).

Both sockets are watched edge-triggered: with any event everything is moved that can be moved without waiting.
"""

import _socket
import posix
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.monitor.watch import Watch

_EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
_FLAGS = 1 | 2  # SPLICE_F_MOVE, SPLICE_F_NONBLOCK
_PART = 1 << 16  # what a pipe holds
_TURNS = 64  # parts moved before others have their turn


class Direction:
    """One way: from a socket into a pipe and out of it into the other socket."""

    __slots__ = ("ended", "held", "pipe", "sink", "source")

    def __init__(self, source: "_socket.socket", sink: "_socket.socket") -> None:
        self.source = source
        self.sink = sink
        self.pipe = posix.pipe2(posix.O_CLOEXEC | posix.O_NONBLOCK)
        self.held = 0  # bytes in the pipe
        self.ended = False

    def move(self) -> bool:
        """Move one part each from socket to pipe and from pipe to socket; False when neither goes on. Raises OSError."""
        moved = False
        if not self.ended and self.held < _PART:
            try:
                size = posix.splice(self.source.fileno(), self.pipe[1], _PART, flags=_FLAGS)
            except BlockingIOError:
                pass
            else:
                moved = True
                self.held += size
                self.ended = size == 0
                if self.ended and not self.held:
                    self.sink.shutdown(_socket.SHUT_WR)
        if self.held:
            try:
                size = posix.splice(self.pipe[0], self.sink.fileno(), self.held, flags=_FLAGS)
            except BlockingIOError:
                return moved
            moved = True
            self.held -= size
            if self.ended and not self.held:
                self.sink.shutdown(_socket.SHUT_WR)
        return moved

    def is_over(self) -> bool:
        """Tell whether nothing more will come this way."""
        return self.ended and not self.held

    def close(self) -> None:
        """Close the pipe."""
        for fd in self.pipe:
            posix.close(fd)


class Pair:
    """Two connected sockets; both are ours from now on. `first` is for the second, before anything else."""

    __slots__ = ("directions", "on_end", "sockets", "watch")

    def __init__(
        self,
        watch: "Watch",
        sockets: "tuple[_socket.socket, _socket.socket]",
        on_end: "Callable[[Pair], None]",
        first: bytes = b"",
    ) -> None:
        self.watch = watch
        self.sockets = sockets
        self.on_end = on_end
        one, other = sockets
        self.directions = (Direction(one, other), Direction(other, one))
        if first:
            self.directions[0].held = posix.write(self.directions[0].pipe[1], first)
        for socket in sockets:
            watch.watch(socket.fileno(), self.pump, _EVENTS)

    def pump(self) -> None:
        """Move what can be moved."""
        try:
            for _ in range(_TURNS):
                if not [way for way in self.directions if way.move()]:
                    break
            else:
                for socket in self.sockets:  # there may be more: be told again
                    self.watch.poll.modify(socket.fileno(), _EVENTS)
        except OSError:
            self.close()
            return
        if all(way.is_over() for way in self.directions):
            self.close()

    def close(self) -> None:
        """End both connections."""
        for socket in self.sockets:
            self.watch.unwatch(socket.detach())
        for way in self.directions:
            way.close()
        self.on_end(self)


def connecting(address: str, port: int) -> "_socket.socket":
    """Return a TCP socket that is about to be connected."""
    family = _socket.AF_INET6 if ":" in address else _socket.AF_INET
    kind = _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC | _socket.SOCK_NONBLOCK
    socket = _socket.socket(family, kind)
    socket.settimeout(0)
    socket.connect_ex((address, port))
    return socket


def accepted(listener: "_socket.socket") -> "_socket.socket | None":
    """Return the next connection; None when there is none."""
    try:
        fd, _ = listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - _socket's own name
    except OSError:
        return None
    socket = _socket.socket(fileno=fd)
    socket.settimeout(0)
    return socket
