# SPDX-License-Identifier: Apache-2.0
"""Published ports for whom the kernel's rules do not serve: clients on the host's loopback, of the other address family, in a
container without root. What comes from outside is led by nftables and never gets here (networks/firewall.py).
"""

import _socket
import time

from pyoci.engine.monitor.splice import Pair, accepted, connecting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.monitor.watch import Watch

    Target = tuple[str, int]
    Address = tuple[Any, ...]  # of a client, in the form of its family

_CONNECTIONS, _CLIENTS = 4096, 1024  # at once; more wait, or push out who was silent for longest
_IDLE_SECONDS = 90.0  # of UDP, docker-proxy's
_DATAGRAM = 65535
_DATAGRAMS = 64  # read before others have their turn


class Ports:
    """The published ports of one container."""

    __slots__ = ("datagrams", "listeners", "pairs", "watch")

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch
        self.listeners: list[_socket.socket] = []
        self.pairs: set[Pair] = set()
        self.datagrams: list[Datagrams] = []

    def add(self, kind: str, fd: int, to: "list[Any]") -> None:
        """Serve a bound socket."""
        socket = _socket.socket(fileno=fd)
        socket.settimeout(0)
        target = (str(to[0]), int(to[1]))
        if kind == "udp":
            self.datagrams.append(Datagrams(self.watch, socket, target))
            return
        self.listeners.append(socket)
        self.watch.watch(fd, lambda: self.accept(socket, target))

    def accept(self, listener: "_socket.socket", target: "Target") -> None:
        """Connect who has come with the container."""
        client = accepted(listener)
        if client is None:
            return
        if len(self.pairs) >= _CONNECTIONS:
            client.close()
            return
        self.pairs.add(Pair(self.watch, (client, connecting(*target)), self.pairs.discard))

    @property
    def due_at(self) -> float:
        """The next moment at which a client of UDP has been silent for too long."""
        moments = [part.due_at for part in self.datagrams if part.due_at]
        return min(moments) if moments else 0.0

    def expire(self) -> None:
        """Forget clients that are silent."""
        for part in self.datagrams:
            part.expire()

    def close(self) -> None:
        """Close everything: the ports are free from now on."""
        for listener in self.listeners:
            self.watch.unwatch(listener.detach())
        for part in self.datagrams:
            part.close()
        for pair in [*self.pairs]:
            pair.close()


class Datagrams:
    """One UDP port: each client has a socket of its own, on which the container's answers come."""

    __slots__ = ("clients", "due_at", "socket", "target", "watch")

    def __init__(self, watch: "Watch", socket: "_socket.socket", target: "Target") -> None:
        self.watch = watch
        self.socket = socket
        self.target = target
        self.clients: dict[
            Address, tuple[_socket.socket, float]
        ] = {}  # the last that spoke is the last
        self.due_at = 0.0
        watch.watch(socket.fileno(), self.receive)

    def receive(self) -> None:
        """Pass on what clients have sent."""
        for _ in range(_DATAGRAMS):
            try:
                data, client = self.socket.recvfrom(_DATAGRAM)
            except OSError:
                return
            try:
                self.towards(client).send(data)
            except OSError:
                continue  # as lost as any datagram

    def towards(self, client: "Address") -> "_socket.socket":
        """Return the socket of a client, which has just spoken."""
        now = time.monotonic()
        self.due_at = self.due_at or now + _IDLE_SECONDS
        if client in self.clients:
            socket, _ = self.clients.pop(client)
        else:
            if len(self.clients) >= _CLIENTS:
                self.drop(next(iter(self.clients)))
            family = _socket.AF_INET6 if ":" in self.target[0] else _socket.AF_INET
            socket = _socket.socket(family, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
            socket.settimeout(0)
            socket.connect(self.target)
            self.watch.watch(socket.fileno(), lambda: self.answer(socket, client))
        self.clients[client] = socket, now
        return socket

    def answer(self, socket: "_socket.socket", client: "Address") -> None:
        """Pass on what the container answers."""
        for _ in range(_DATAGRAMS):
            try:
                self.socket.sendto(socket.recv(_DATAGRAM), client)
            except OSError:
                return

    def drop(self, client: "Address") -> None:
        """Forget a client."""
        socket, _ = self.clients.pop(client)
        self.watch.unwatch(socket.detach())

    def expire(self) -> None:
        """Forget clients that are silent."""
        limit = time.monotonic() - _IDLE_SECONDS
        for client in [client for client, row in self.clients.items() if row[1] <= limit]:
            self.drop(client)
        first = next(iter(self.clients.values()), None)
        self.due_at = first[1] + _IDLE_SECONDS if first else 0.0

    def close(self) -> None:
        """Close everything."""
        for client in [*self.clients]:
            self.drop(client)
        self.watch.unwatch(self.socket.detach())
