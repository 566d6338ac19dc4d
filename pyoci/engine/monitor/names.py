# SPDX-License-Identifier: Apache-2.0
"""The name server of one container: who is in its networks, and for everything else the servers that the host would ask (RFC 1035).

Its sockets are in the container's namespace, those to other servers in the host's. From a container whose networks are all internal
nothing is asked outside (CVE-2024-29018). A name that is known has an answer for every type, be it an empty one: NXDOMAIN for
AAAA would end the search of some libraries.
"""

import _socket
import _struct
import posix
import time

from pyoci.engine.monitor.splice import Pair, accepted, connecting
from pyoci.spec.reader import read_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.engine.monitor.watch import Watch

_HEADER = _struct.Struct("!HHHHHH")
_A, _PTR, _AAAA = 1, 12, 28
_INTERNET = 1
_RESPONSE, _WANTED, _AVAILABLE = 0x8000, 0x0100, 0x0080
_FAILED, _NO_NAME = 2, 3
_SECONDS = 600  # an answer holds, as long as Docker's
_SAME_NAME = b"\xc0\x0c"
_PORT = 53
_DATAGRAM, _LONGEST = 4096, 65535
_PENDING = 256  # questions to others at once
_PATIENCE = 4.0  # seconds, for one of them
_SETTLED = 100_000_000  # nanoseconds: a file that is older than this has a time of its own


class Names:
    """The server: sockets, what is known, and what others were asked."""

    __slots__ = (
        "forwards",
        "known",
        "links",
        "pairs",
        "pending",
        "place",
        "read_at",
        "servers",
        "sockets",
        "watch",
    )

    def __init__(self, watch: "Watch", settings: "dict[str, Any]") -> None:
        self.watch = watch
        self.place: str = settings["names"]
        self.servers: list[str] = settings["servers"]
        self.links: dict[str, str] = settings["links"]
        self.known: dict[bytes, list[str]] = {}  # name -> addresses, name of an address -> names
        self.forwards = False
        self.read_at = -1  # the time of the directory, as of when it was read
        self.sockets: list[_socket.socket] = []
        self.pending: dict[int, Question] = {}
        self.pairs: set[Pair] = set()

    def add(self, kind: str, fd: int) -> None:
        """Serve a bound socket."""
        socket = _socket.socket(fileno=fd)
        socket.settimeout(0)
        self.sockets.append(socket)
        serve = self.receive if kind == "names-udp" else self.accept
        self.watch.watch(fd, lambda: serve(socket))

    # What is known ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the files of our networks, where one of any network has changed."""
        try:
            changed = posix.stat(self.place).st_mtime_ns
        except FileNotFoundError:
            return
        if changed == self.read_at:
            return
        self.read_at = changed if time.time_ns() - changed > _SETTLED else -1
        self.known, self.forwards = {}, False
        for name in posix.listdir(self.place):
            if not name.endswith(".new"):
                self.read(f"{self.place}/{name}")
        for alias, name in self.links.items():
            found = self.known.get(name.lower().encode())
            if found:
                self.known[alias.lower().encode()] = found

    def read(self, path: str) -> None:
        """Read the file of one network, if we are in that."""
        try:
            network: dict[str, Any] = read_object(path, regular=True)
        except OSError:
            return  # it was removed meanwhile
        if not any(member["id"] == self.watch.settings["id"] for member in network["members"]):
            return
        self.forwards = self.forwards or not network["internal"]
        for member in network["members"]:
            first = member["names"][0]
            for name in dict.fromkeys((*member["names"], member["id"])):
                for form in (name, f"{name}.{network['network']}"):
                    self.known.setdefault(form.lower().encode(), []).extend(member["addresses"])
            for address in member["addresses"]:
                self.known[reversed_name(address)] = [f"{first}.{network['network']}"]

    def answer(self, message: bytes) -> bytes | None:
        """Return the answer to a question, None where others must be asked."""
        try:
            name, kind, end = question_of(message)
        except ValueError:
            return b""
        self.refresh()
        found = self.known.get(name)
        if found is None:
            if self.forwards and self.servers:
                return None
            return reply(message, end, [], _NO_NAME if self.forwards else _FAILED)
        return reply(message, end, records(found, kind), 0)

    # UDP --------------------------------------------------------------------------------------

    def receive(self, socket: "_socket.socket") -> None:
        """Answer one question, or ask others."""
        try:
            message, client = socket.recvfrom(_DATAGRAM)
        except OSError:
            return
        found = self.answer(message)
        if found is None:
            question = Question(message, [*self.servers], lambda data: send(socket, data, client))
            self.ask(question)
        elif found:
            send(socket, found, client)

    def ask(self, question: "Question") -> None:
        """Ask the next server, from a port that happens to be free."""
        while question.servers and len(self.pending) < _PENDING:
            server = question.servers.pop(0)
            family = _socket.AF_INET6 if ":" in server else _socket.AF_INET
            socket = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
            socket.settimeout(0)
            try:
                socket.connect((server, _PORT))
                socket.send(question.message)
            except OSError:
                socket.close()
                continue
            fd = socket.detach()
            question.until = time.monotonic() + _PATIENCE
            self.pending[fd] = question
            self.watch.watch(fd, lambda fd=fd: self.hear(fd))  # type: ignore[misc]  # its default is a number
            return
        question.fail()

    def hear(self, fd: int) -> None:
        """Pass on the answer of a server; one that refuses is followed by the next."""
        question = self.pending.pop(fd)
        try:
            data = posix.read(fd, _DATAGRAM)
        except OSError:
            data = b""
        self.watch.unwatch(fd)
        if data[:2] == question.message[:2]:
            question.tell(data)
        else:
            self.ask(question)

    @property
    def due_at(self) -> float:
        """The moment at which a server has taken too long."""
        return min((question.until for question in self.pending.values()), default=0.0)

    def expire(self) -> None:
        """Ask the next where a server has taken too long."""
        now = time.monotonic()
        for fd in [fd for fd, question in self.pending.items() if question.until <= now]:
            question = self.pending.pop(fd)
            self.watch.unwatch(fd)
            self.ask(question)

    # TCP --------------------------------------------------------------------------------------

    def accept(self, listener: "_socket.socket") -> None:
        """Begin a connection."""
        client = accepted(listener)
        if client is None:
            return
        heard = bytearray()
        self.watch.watch(client.fileno(), lambda: self.listen(client, heard))

    def listen(self, client: "_socket.socket", heard: bytearray) -> None:
        """Read a question with its length before it, and answer it, or have another server do so on this connection."""
        try:
            part = client.recv(_LONGEST)
        except OSError:
            part = b""
        heard += part
        size = 2 + int.from_bytes(heard[:2], "big")
        if part and len(heard) < size:
            return
        found = self.answer(bytes(heard[2:size])) if part else b""
        if found is None:
            self.watch.handlers.pop(client.fileno())
            self.watch.poll.unregister(client.fileno())
            server = connecting(self.servers[0], _PORT)
            self.pairs.add(Pair(self.watch, (client, server), self.pairs.discard, bytes(heard)))
            return
        if found:
            send(client, len(found).to_bytes(2, "big") + found)
            del heard[:size]
            return
        self.watch.unwatch(client.detach())

    def close(self) -> None:
        """Close everything; who is connected sees that we have gone when the container does."""
        for socket in self.sockets:
            self.watch.unwatch(socket.detach())
        for fd in self.pending:
            self.watch.unwatch(fd)
        for pair in [*self.pairs]:
            pair.close()


class Question:
    """A question that others are asked: how long we wait, who is next, whom to tell."""

    __slots__ = ("message", "servers", "tell", "until")

    def __init__(self, message: bytes, servers: list[str], tell: "Callable[[bytes], None]") -> None:
        self.message = message
        self.servers = servers
        self.tell = tell
        self.until = 0.0

    def fail(self) -> None:
        """Say that nobody has answered."""
        self.tell(reply(self.message, question_of(self.message)[2], [], _FAILED))


def send(socket: "_socket.socket", data: bytes, *client: "tuple[str, int]") -> None:
    """Send an answer; one that does not go out is lost, as any datagram may be."""
    try:
        if client:
            socket.sendto(data, *client)
        else:
            socket.send(data)
    except OSError:
        return


def question_of(message: bytes) -> tuple[bytes, int, int]:
    """Return name, type and end of the one question of a message; raises ValueError for a message that asks nothing of us."""
    labels, place = [], _HEADER.size
    while size := int.from_bytes(message[place : place + 1], "big"):
        labels.append(message[place + 1 : place + 1 + size])
        place += 1 + size
    end = place + 5
    if len(message) < end:
        raise ValueError("the message is cut short")
    _, flags, count, *_ = _HEADER.unpack_from(message)
    kind, class_ = _struct.unpack_from("!HH", message, place + 1)
    if flags & _RESPONSE or count != 1 or class_ != _INTERNET:
        raise ValueError("the message is no single question about the internet")
    return b".".join(labels).lower(), kind, end


def records(found: list[str], kind: int) -> list[bytes]:
    """Return the answers of a type: addresses of a name, the name of an address."""
    families = {_A: _socket.AF_INET, _AAAA: _socket.AF_INET6}
    bodies = []
    for text in found:
        if kind == _PTR:
            labels = text.encode().split(b".")
            bodies.append(b"".join(bytes([len(part)]) + part for part in labels) + b"\0")
        elif kind in families and (":" in text) == (kind == _AAAA):
            bodies.append(_socket.inet_pton(families[kind], text))
    return [
        _SAME_NAME + _struct.pack("!HHIH", kind, _INTERNET, _SECONDS, len(body)) + body
        for body in bodies
    ]


def reply(message: bytes, end: int, answers: list[bytes], code: int) -> bytes:
    """Return the message that answers a question."""
    number, flags, *_ = _HEADER.unpack_from(message)
    flags = _RESPONSE | _AVAILABLE | flags & _WANTED | code
    header = _HEADER.pack(number, flags, 1, len(answers), 0, 0)
    return header + message[_HEADER.size : end] + b"".join(answers)


def reversed_name(address: str) -> bytes:
    """Return the name under which the name of an address is asked: 2.0.17.172.in-addr.arpa."""
    if ":" not in address:
        return b".".join(reversed(address.encode().split(b"."))) + b".in-addr.arpa"
    digits = _socket.inet_pton(_socket.AF_INET6, address).hex()
    return ".".join(reversed(digits)).encode() + b".ip6.arpa"
