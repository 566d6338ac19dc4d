# SPDX-License-Identifier: Apache-2.0
"""IP addresses and subnets as numbers; `ipaddress` would cost every `run` 8 ms."""

import _socket

IPV4, IPV6 = _socket.AF_INET, _socket.AF_INET6
NAME_SERVER = "127.0.0.11"  # Docker's, within every container that has names
BITS = {IPV4: 32, IPV6: 128}


def pack(text: str) -> bytes:
    """Return the bytes of an address; raises ValueError for what is none."""
    try:
        return _socket.inet_pton(family_of(text), text)
    except OSError:
        raise ValueError(f"invalid IP address: {text}") from None


def family_of(text: str) -> int:
    """Return the family that the address would have."""
    return IPV6 if ":" in text else IPV4


def _is_one(text: str) -> bool:
    try:
        pack(text)
    except ValueError:
        return False
    return True


def number(text: str) -> int:
    """Return an address as a number; raises ValueError for what is none."""
    return int.from_bytes(pack(text), "big")


def text_of(family: int, value: int) -> str:
    """Return a number as an address."""
    return _socket.inet_ntop(family, value.to_bytes(BITS[family] // 8, "big"))


def is_any(text: str) -> bool:
    """Tell whether an address stands for every address of its family."""
    return number(text) == 0


class Subnet:
    """A subnet: its first and its last address, as numbers."""

    __slots__ = ("family", "first", "last", "length")

    def __init__(self, text: str) -> None:
        address, slash, length = text.partition("/")
        self.family = family_of(address)
        bits = BITS[self.family]
        if not slash or not length.isdecimal() or int(length) > bits or not _is_one(address):
            raise ValueError(f"invalid CIDR address: {text}")
        self.length = int(length)
        size = 1 << (bits - self.length)
        self.first = number(address) // size * size
        self.last = self.first + size - 1

    def text(self) -> str:
        """Return it as 172.17.0.0/16."""
        return f"{text_of(self.family, self.first)}/{self.length}"

    def has(self, family: int, value: int) -> bool:
        """Tell whether an address lies in this subnet."""
        return family == self.family and self.first <= value <= self.last

    def overlaps(self, other: "Subnet") -> bool:
        """Tell whether any address lies in both."""
        same = self.family == other.family
        return same and self.first <= other.last and other.first <= self.last

    def hosts(self) -> tuple[int, int]:
        """Return the first and the last address that a host can have: of IPv4 neither the network's nor the broadcast's."""
        if self.length >= BITS[self.family] - 1:
            return self.first, self.last
        return self.first + 1, self.last - (self.family == IPV4)


def lowest_free(span: tuple[int, int], taken: set[int]) -> int | None:
    """Return the lowest number of a span that is not taken; None when all are."""
    low, high = span
    while low in taken:
        low += 1
    return low if low <= high else None
