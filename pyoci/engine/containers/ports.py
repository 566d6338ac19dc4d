# SPDX-License-Identifier: Apache-2.0
"""Ports as -p and --expose name them: 80, 8080:80, 127.0.0.1:5353:53/udp, [::1]:80:80, 7000-7002:7000-7002."""

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    Bindings = dict[str, list[dict[str, str]]]

_PROTOCOLS = ("tcp", "udp", "sctp")
_HIGHEST = 65535


def exposed(entries: "Iterable[str]") -> list[str]:
    """Return what --expose names, as 80/tcp."""
    found = []
    for entry in entries:
        if ":" in entry:
            raise EngineError(f"invalid port format for --expose: {entry}", 125)
        numbers, _, protocol = entry.partition("/")
        try:
            first, last = _range(numbers)
        except ValueError as error:
            raise EngineError(
                f"invalid range format for --expose: {entry}, error: {error}", 125
            ) from None
        found += [f"{port}/{protocol or 'tcp'}" for port in range(first, last + 1)]
    return found


def published(entries: "Iterable[str]") -> "Bindings":
    """Return what -p asks for: container port -> host addresses and ports, HostPort "" for any, a range where any of it will do."""
    found: Bindings = {}
    for entry in entries:
        for port, binding in _published(entry):
            found.setdefault(port, []).append(binding)
    return dict(sorted(found.items()))


def _published(entry: str) -> list[tuple[str, dict[str, str]]]:
    text, slash, protocol = entry.rpartition("/")
    if not slash:
        text, protocol = entry, "tcp"
    protocol = protocol.lower()
    rest, _, inner = text.rpartition(":")
    address, _, outer = rest.rpartition(":")
    if not inner:
        raise EngineError(f"no port specified: {entry}<empty>", 125)
    if protocol not in _PROTOCOLS:
        raise EngineError(f"invalid proto: {protocol}", 125)
    address = _address(address)
    first, last = _numbers(inner, "containerPort")
    if not outer:
        return [
            (f"{port}/{protocol}", {"HostIp": address, "HostPort": ""})
            for port in range(first, last + 1)
        ]
    low, high = _numbers(outer, "hostPort")
    if high - low == last - first:
        return [
            (f"{port}/{protocol}", {"HostIp": address, "HostPort": str(low + port - first)})
            for port in range(first, last + 1)
        ]
    if first != last:
        raise EngineError(
            f"invalid ranges specified for container and host Ports: {inner} and {outer}", 125
        )
    return [(f"{first}/{protocol}", {"HostIp": address, "HostPort": outer})]


def _numbers(text: str, what: str) -> tuple[int, int]:
    try:
        return _range(text)
    except ValueError:
        raise EngineError(f"invalid {what}: {text}", 125) from None


def _range(text: str) -> tuple[int, int]:
    """Return both ends of N or N-M; raises ValueError."""
    low, dash, high = text.partition("-")
    first = _port(low)
    last = _port(high) if dash else first
    if last < first:
        raise ValueError(f"invalid range specified for port: {text}")
    return first, last


def _port(text: str) -> int:
    if not text.isdecimal() or not text.isascii():
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > _HIGHEST:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def _address(text: str) -> str:
    """Check an address by the kernel's own reading of it."""
    import _socket

    plain = text.removeprefix("[").removesuffix("]")
    if not plain:
        return ""
    family = _socket.AF_INET6 if ":" in plain else _socket.AF_INET
    try:
        _socket.inet_pton(family, plain)
    except OSError:
        raise EngineError(f"invalid IP address: {text}", 125) from None
    return plain
