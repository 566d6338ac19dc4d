# SPDX-License-Identifier: Apache-2.0
"""Published ports: a port of the host is a row of ours and a socket that is bound, so that nobody else can have it.

The sockets go to the container's monitor, whose end frees them; it forwards what the kernel's rules do not see (firewall.py).
"""

import _socket
import errno

from pyoci.engine.errors import ConflictError, EngineError
from pyoci.engine.networks import addresses
from pyoci.engine.networks.addresses import IPV4, IPV6
from pyoci.engine.networks.records import Networks, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Bindings = dict[str, list[dict[str, str]]]
    Bound = tuple[Port, "_socket.socket | None"]
    Binder = Callable[[Port], "_socket.socket | None"]

_ANY = {IPV4: "0.0.0.0", IPV6: "::"}  # noqa: S104 - what -p means without an address
_KINDS = {"tcp": _socket.SOCK_STREAM, "udp": _socket.SOCK_DGRAM}
_RANGE, _RESERVED = (
    f"/proc/sys/net/ipv4/ip_local_{name}" for name in ("port_range", "reserved_ports")
)
_BACKLOG = 4096
elsewhere: "Binder | None" = (
    None  # what binds for us, where the host's network is not ours (rootless.py)
)
_LACKING = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class InUseError(EngineError):
    """A port of the host is taken: by a container of ours, or by another process."""


def claim(networks: Networks, container: str, bindings: "Bindings", default: str) -> "list[Bound]":
    """Take every port that is asked for, within a transaction; `default` is the address of those without one."""
    bound: list[Bound] = []
    try:
        for inner, rows in bindings.items():
            number, _, protocol = inner.partition("/")
            for row in rows:
                wanted = Port((protocol, row["HostIp"] or default, 0, container, int(number)))
                bound += _claim_one(networks, wanted, row["HostPort"])
    except BaseException:
        close(bound)
        raise
    return bound


def close(bound: "list[Bound]") -> None:
    """Let sockets go: they are the monitor's by now, or nobody's."""
    for _, socket in bound:
        if socket is not None:
            socket.close()


def _claim_one(networks: Networks, wanted: Port, numbers: str) -> "list[Bound]":
    """Take one port of the host, the first that is free of those that will do."""
    if numbers and "-" not in numbers:
        return _take(networks, wanted, int(numbers))
    for number in _candidates(networks, numbers):
        try:
            bound = _take(networks, wanted, number)
        except InUseError:
            continue
        if not numbers:
            networks.database.change("UPDATE last_port SET number = ?", number)
        return bound
    raise ConflictError("all ports are allocated")


def _candidates(networks: Networks, numbers: str) -> "Iterator[int]":
    """Return the ports of a range in order; without one those that the kernel gives away, beginning behind the last."""
    if numbers:
        low, _, high = numbers.partition("-")
        return iter(range(int(low), int(high) + 1))
    low, high = _read(_RANGE).split()
    row = networks.database.row("SELECT number FROM last_port")
    last = int(str(row[0])) if row else 0
    span = range(int(low), int(high) + 1)
    start = last + 1 - span.start if last + 1 in span else 0
    kept = _reserved()
    return (number for number in (*span[start:], *span[:start]) if number not in kept)


def _reserved() -> set[int]:
    found: set[int] = set()
    for part in _read(_RESERVED).strip().split(","):
        low, dash, high = part.partition("-")
        if low:
            found.update(range(int(low), int(high if dash else low) + 1))
    return found


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()


def _take(networks: Networks, wanted: Port, number: int) -> "list[Bound]":
    """Take this number at every address that is meant."""
    every = wanted.address == ""
    bound: list[Bound] = []
    try:
        for address in _ANY.values() if every else (wanted.address,):
            row = (wanted.protocol, address, number, wanted.container, wanted.inner)
            port = Port(row)
            if networks.owner_of(port.protocol, address, number):
                raise InUseError(
                    f"Bind for {_shown(address)}:{number} failed: port is already allocated"
                )
            try:
                socket = (elsewhere or bind)(port)
            except OSError as error:
                if every and address == _ANY[IPV6] and error.errno in _LACKING:
                    continue
                raise _refused(port, error) from error
            bound.append((port, socket))
            networks.database.change("INSERT INTO port VALUES (?, ?, ?, ?, ?)", *row)
    except BaseException:
        close(bound)
        for port, _ in bound:
            networks.database.change(
                "DELETE FROM port WHERE protocol = ? AND address = ? AND number = ?",
                port.protocol,
                port.address,
                port.number,
            )
        raise
    return bound


def _refused(port: Port, error: OSError) -> EngineError:
    family = "6" if addresses.family_of(port.address) == IPV6 else "4"
    where = f"{port.protocol}{family} {_shown(port.address)}:{port.number}"
    reason = (error.strerror or "").lower()
    if error.errno == errno.EPROTONOSUPPORT:
        return EngineError(f"Error starting userland proxy: {reason}")
    words = f"Error starting userland proxy: listen {where}: bind: {reason}"
    return InUseError(words) if error.errno == errno.EADDRINUSE else EngineError(words)


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def bind(port: Port) -> "_socket.socket | None":
    """Return a socket bound to a port of the host; of SCTP, which the monitor does not speak, none. Raises OSError."""
    family = addresses.family_of(port.address)
    if port.protocol not in _KINDS:
        _socket.socket(family, _socket.SOCK_STREAM, _socket.IPPROTO_SCTP).close()  # is there any?
        return None
    socket = _socket.socket(family, _KINDS[port.protocol] | _socket.SOCK_CLOEXEC)
    try:
        if family == IPV6:
            socket.setsockopt(_socket.IPPROTO_IPV6, _socket.IPV6_V6ONLY, 1)
        if port.protocol == "tcp":
            socket.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
        socket.bind((port.address, port.number))
        if port.protocol == "tcp":
            socket.listen(_BACKLOG)
    except OSError:
        socket.close()
        raise
    return socket


def bind_again(networks: Networks, container: str) -> "list[Bound]":
    """Return the sockets of a container whose monitor was killed; a port that another process has taken is its."""
    bound: list[Bound] = []
    for port in networks.ports_of(container):
        try:
            bound.append((port, (elsewhere or bind)(port)))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    return bound
