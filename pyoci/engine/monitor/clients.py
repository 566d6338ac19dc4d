# SPDX-License-Identifier: Apache-2.0
"""Who is attached: any number of clients on a socket, each of which gets what the container writes.

SOCK_SEQPACKET, a message a packet, its first byte says what it is.
from the monitor  o, e: output; c: created, JSON; r: runs; f: failed, JSON; x: ended, exit status; t: it is yours;
                  g: has ended and begins again, exit status
to the monitor    a: give me the output; s: start; i: input; z: end of input; w: size of the terminal; k: look at the marks;
                  t: let me clean up in the end; d: what was left of the container is cleaned up;
                  n: a socket of the network, and in JSON what for
"""

import _socket
import posix
from sys import byteorder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from select import epoll

SOCKET = "attach.sock"
PACKET = 32768
_FULL = 1 << 20  # bytes kept for a slow client; then the container waits, as with any pipe


class Client:
    """A connection, and what could not be sent yet."""

    __slots__ = ("attached", "given", "pending", "size", "socket")

    def __init__(self, socket: "_socket.socket", *, attached: bool) -> None:
        socket.settimeout(0)
        self.socket = socket
        self.attached = attached
        self.pending: list[bytes] = []
        self.size = 0
        self.given = -1  # the descriptor that came with the last packet

    def send(self, packet: bytes) -> bool:
        """Send or keep a packet; False when the client has gone."""
        if not self.pending:
            try:
                self.socket.send(packet)
            except BlockingIOError:
                pass
            except OSError:
                return False
            else:
                return True
        self.pending.append(packet)
        self.size += len(packet)
        return True

    def flush(self) -> bool:
        """Send what was kept, as far as that goes; False when the client has gone."""
        try:
            while self.pending:
                self.socket.send(self.pending[0])
                self.size -= len(self.pending.pop(0))
        except BlockingIOError:
            return True
        except OSError:
            return False
        return True

    def receive(self) -> bytes | None:
        """Return a packet; b"" when the client has gone, None when there is nothing."""
        try:
            packet, rights, *_ = self.socket.recvmsg(PACKET + 1, _RIGHTS, _CLOSE_ON_EXEC)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self.given = int.from_bytes(rights[0][2], byteorder) if rights else -1
        return packet


class Clients:
    """The listening socket and all clients, with their places in the monitor's epoll."""

    __slots__ = ("by_fd", "listener", "on_gone", "poll")

    def __init__(
        self, listener: "_socket.socket", poll: "epoll", on_gone: "Callable[[Client], None]"
    ) -> None:
        self.on_gone = on_gone  # who has gone is seen when we read, and when we write
        self.poll = poll
        self.by_fd: dict[int, Client] = {}
        self.listener = listener
        self.listener.settimeout(0)
        poll.register(self.listener.fileno(), _IN)

    def accept(self) -> None:
        """Take who has come."""
        try:
            fd, _ = self.listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001 - _socket's own name
        except BlockingIOError:
            return
        self.add(_socket.socket(fileno=fd), attached=False)

    def add(self, socket: "_socket.socket", *, attached: bool) -> Client:
        """Add a client that is there."""
        client = Client(socket, attached=attached)
        self.by_fd[socket.fileno()] = client
        self.poll.register(socket.fileno(), _IN)
        return client

    def drop(self, client: Client) -> None:
        """Forget a client that has gone."""
        fd = client.socket.fileno()
        if self.by_fd.pop(fd, None) is not None:
            self.poll.unregister(fd)
            client.socket.close()

    def output(self, packet: bytes) -> None:
        """Send output to who is attached."""
        for client in [*self.by_fd.values()]:
            if client.attached:
                self.send(client, packet)

    def tell(self, packet: bytes) -> None:
        """Tell everybody."""
        for client in [*self.by_fd.values()]:
            self.send(client, packet)

    def send(self, client: Client, packet: bytes) -> None:
        """Send a packet now or when there is room."""
        if not client.send(packet):
            self.on_gone(client)
        elif client.pending:
            self.poll.modify(client.socket.fileno(), _IN | _OUT)

    def flush(self, client: Client) -> None:
        """Go on with a slow client."""
        if not client.flush():
            self.on_gone(client)
        elif not client.pending:
            self.poll.modify(client.socket.fileno(), _IN)

    def are_full(self) -> bool:
        """Tell whether the container should wait for a slow client."""
        return any(client.size >= _FULL for client in self.by_fd.values())


def receive_word(fd: int) -> tuple[bytes, int]:
    """Wait for the first packet on a connection; returns it and the descriptor that came with it, -1 for none."""
    connection = _socket.socket(fileno=fd)
    packet, rights, *_ = connection.recvmsg(PACKET, _RIGHTS, _CLOSE_ON_EXEC)
    connection.detach()
    return packet, int.from_bytes(rights[0][2], byteorder) if rights else -1


_IN, _OUT = 0x1, 0x4
_RIGHTS = _socket.CMSG_SPACE(4)  # of one descriptor
_CLOSE_ON_EXEC = 0x40000000  # MSG_CMSG_CLOEXEC


def listen(run: str, name: str, kind: int = _socket.SOCK_SEQPACKET) -> "_socket.socket":
    """Return a listening socket in the run directory, in place of what is there; its path may be longer than an address."""
    directory = posix.open(run, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        try:
            posix.unlink(name, dir_fd=directory)
        except FileNotFoundError:
            pass
        listener = _socket.socket(_socket.AF_UNIX, kind)
        listener.bind(f"/proc/self/fd/{directory}/{name}")
        listener.listen(128)
    finally:
        posix.close(directory)
    return listener


def connect(run: str, name: str = SOCKET) -> "_socket.socket":
    """Connect to a socket in the run directory; raises OSError when nobody listens."""
    directory = posix.open(run, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
        socket.connect(f"/proc/self/fd/{directory}/{name}")
    finally:
        posix.close(directory)
    return socket
