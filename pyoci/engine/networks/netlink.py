# SPDX-License-Identifier: Apache-2.0
"""The few netlink calls that every container needs, by hand: a veth pair, its address, its routes, elements of nftables maps.

Everything that is not done for each container goes through pyroute2 and nft (bridges.py, firewall.py); docs/adr/0014 has the
figures. Numbers are those of linux/netlink.h, rtnetlink.h, if_link.h, if_addr.h, netfilter/nf_tables.h.
"""

import _socket
import _struct
import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROUTE, NETFILTER = 0, 12
_SOL_NETLINK, _CAP_ACK = 270, 10
_ERROR = 2
_REQUEST, _ACK, _REPLACE, _EXCLUSIVE, _CREATE = 0x1, 0x4, 0x100, 0x200, 0x400
_NEW = _EXCLUSIVE | _CREATE
_HEADER = _struct.Struct("=IHHII")
_ATTRIBUTE = _struct.Struct("=HH")
_NESTED = 0x8000
_READ = 65536

_NEWLINK, _DELLINK, _GETLINK, _NEWADDR, _NEWROUTE = 16, 17, 18, 20, 24
_LINK = _struct.Struct("=BxHiII")  # struct ifinfomsg
_ADDRESS = _struct.Struct("=BBBBI")  # struct ifaddrmsg
_ROUTE_MESSAGE = _struct.Struct("=BBBBBBBBI")  # struct rtmsg
_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 1, 3, 4, 10
_IFLA_LINKINFO, _IFLA_NET_NS_FD, _INFO_KIND, _INFO_DATA, _VETH_PEER = 18, 28, 1, 2, 1
_SLAVE_KIND, _SLAVE_DATA, _BRIDGE_PORT_MODE = 4, 5, 4
_IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS, _NO_DAD = 1, 2, 8, 0x02
_RTA_OIF, _RTA_GATEWAY = 4, 5
_MAIN, _BOOT, _UNIVERSE, _UNICAST = 254, 3, 0, 1

_NFTABLES = 10 << 8
_BATCH_BEGIN, _BATCH_END = 16, 17
_GET_TABLE, _NEW_ELEMENT, _DELETE_ELEMENT = 1, 12, 14
_NFPROTO_INET = 1
_NFTA_TABLE_NAME = 1
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_ELEMENT, _ELEMENT_KEY, _ELEMENT_DATA, _DATA_VALUE = 1, 1, 2, 1


def attribute(kind: int, value: "bytes | str | int") -> bytes:
    """Return one attribute: bytes as they are, text with its end, a number of 32 bits."""
    if isinstance(value, str):
        value = value.encode() + b"\0"
    elif isinstance(value, int):
        value = _struct.pack("=I", value)
    size = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(size, kind) + value + bytes(-size % 4)


class Netlink:
    """A netlink socket, of the network namespace that it was made in."""

    __slots__ = ("_sequence", "_socket")

    def __init__(self, protocol: int = ROUTE) -> None:
        kind = _socket.SOCK_RAW | _socket.SOCK_CLOEXEC
        self._socket = _socket.socket(_socket.AF_NETLINK, kind, protocol)
        self._socket.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)  # an error does not repeat the request
        self._socket.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def message(self, kind: int, flags: int, body: bytes) -> bytes:
        """Return a message with the next number."""
        self._sequence += 1
        size = _HEADER.size + len(body)
        return _HEADER.pack(size, kind, flags | _REQUEST, self._sequence, 0) + body

    def request(self, kind: int, flags: int, body: bytes) -> bytes:
        """Send one message; returns the body of the answer, b"" when that is a yes. Raises OSError."""
        return self.exchange([self.message(kind, flags | _ACK, body)], 1)

    def exchange(self, messages: "Iterable[bytes]", acknowledged: int) -> bytes:
        """Send messages at once and wait for as many yeses; raises OSError with the first no."""
        self._socket.send(b"".join(messages))
        answer = b""
        while acknowledged:
            data = self._socket.recv(_READ)
            while data:
                size, kind, *_ = _HEADER.unpack_from(data)
                body, data = data[_HEADER.size : size], data[(size + 3) & ~3 :]
                if kind != _ERROR:
                    answer = body
                    continue
                (code,) = _struct.unpack_from("=i", body)
                if code:
                    raise OSError(-code, posix.strerror(-code))
                acknowledged -= 1
        return answer

    # Links, addresses, routes -----------------------------------------------------------------

    def find(self, name: str) -> tuple[int, int]:
        """Return index and MTU of a device; raises OSError (ENODEV)."""
        answer = self.request(_GETLINK, 0, _link() + attribute(_IFLA_IFNAME, name))
        index, rest = int(_LINK.unpack_from(answer)[2]), answer[_LINK.size :]
        while rest:
            size, kind = _ATTRIBUTE.unpack_from(rest)
            if kind == _IFLA_MTU:
                return index, int(_struct.unpack_from("=I", rest, _ATTRIBUTE.size)[0])
            rest = rest[(size + 3) & ~3 :]
        raise AssertionError("every device has an MTU")

    def add_veth(self, outside: "Link", inside: "Link", namespace: int) -> None:
        """Make a pair of devices: one here, up, a port of its master; the other in a namespace, down."""
        peer = _link() + inside.attributes() + attribute(_IFLA_NET_NS_FD, namespace)
        info = attribute(_INFO_KIND, "veth") + attribute(_INFO_DATA, attribute(_VETH_PEER, peer))
        body = _link(0, _UP) + outside.attributes() + attribute(_IFLA_LINKINFO, info)
        self.request(_NEWLINK, _NEW, body)

    def set_hairpin(self, name: str) -> None:
        """Let a port of a bridge send frames back to where they came from.

        Where br_netfilter has the bridge ask nftables, a container that connects to its own published port would lose them.
        """
        mode = attribute(_BRIDGE_PORT_MODE, b"\x01")
        info = attribute(_SLAVE_KIND, "bridge") + attribute(_SLAVE_DATA, mode)
        body = _link() + attribute(_IFLA_IFNAME, name) + attribute(_IFLA_LINKINFO, info)
        self.request(_NEWLINK, 0, body)

    def set_up(self, index: int) -> None:
        """Turn a device on."""
        self.request(_NEWLINK, 0, _link(index, _UP))

    def set_down(self, index: int) -> None:
        """Turn a device off: a bridge forgets the addresses behind it at once."""
        self.request(_NEWLINK, 0, _LINK.pack(_socket.AF_UNSPEC, 0, index, 0, _UP))

    def delete(self, index: int) -> None:
        """Remove a device, and with it the other end of a pair."""
        self.request(_DELLINK, 0, _link(index))

    def add_address(self, index: int, address: bytes, length: int) -> None:
        """Give a device an address; of IPv6 at once, without asking whether others have it."""
        family = _family(address)
        body = _ADDRESS.pack(family, length, 0, _UNIVERSE, index)
        body += attribute(_IFA_LOCAL, address) + attribute(_IFA_ADDRESS, address)
        if family == _socket.AF_INET6:
            body += attribute(_IFA_FLAGS, _NO_DAD)
        self.request(_NEWADDR, _NEW, body)

    def set_default_route(self, index: int, gateway: bytes) -> None:
        """Send everything that no other route takes to a gateway, whoever took it before."""
        body = _ROUTE_MESSAGE.pack(_family(gateway), 0, 0, 0, _MAIN, _BOOT, _UNIVERSE, _UNICAST, 0)
        body += attribute(_RTA_GATEWAY, gateway) + attribute(_RTA_OIF, index)
        self.request(_NEWROUTE, _CREATE | _REPLACE, body)

    # Elements of nftables maps ----------------------------------------------------------------

    def has_table(self, name: str) -> bool:
        """Tell whether there is a table inet of this name."""
        body = _nfgenmsg(_NFPROTO_INET) + attribute(_NFTA_TABLE_NAME, name)
        try:
            self.request(_NFTABLES | _GET_TABLE, 0, body)
        except FileNotFoundError:
            return False
        return True

    def add_elements(self, table: str, elements: "Sequence[Element]") -> None:
        """Add elements to maps, all or none; raises OSError."""
        self._batch(_NFTABLES | _NEW_ELEMENT, _CREATE, table, elements)

    def delete_elements(self, table: str, elements: "Sequence[Element]") -> None:
        """Delete elements from maps, all or none; raises OSError, for one that is not there, too."""
        self._batch(_NFTABLES | _DELETE_ELEMENT, 0, table, elements)

    def _batch(self, kind: int, flags: int, table: str, elements: "Sequence[Element]") -> None:
        ends = _nfgenmsg(0, _NFTABLES >> 8)
        messages = [self.message(_BATCH_BEGIN, 0, ends)]
        messages += [
            self.message(kind, flags | _ACK, _nfgenmsg(_NFPROTO_INET) + row.attributes(table))
            for row in elements
        ]
        messages.append(self.message(_BATCH_END, 0, ends))
        self.exchange(messages, len(elements))


class Link:
    """What one end of a pair is to be; a master of 0 is none."""

    __slots__ = ("address", "master", "mtu", "name")

    def __init__(self, name: str, mtu: int, *, address: bytes = b"", master: int = 0) -> None:
        self.name = name
        self.mtu = mtu
        self.address = address
        self.master = master

    def attributes(self) -> bytes:
        """Return it in netlink's words."""
        found = attribute(_IFLA_IFNAME, self.name) + attribute(_IFLA_MTU, self.mtu)
        if self.address:
            found += attribute(_IFLA_ADDRESS, self.address)
        return found + (attribute(_IFLA_MASTER, self.master) if self.master else b"")


class Element:
    """One element of a map: a key and its value, each of parts that begin at a multiple of four bytes."""

    __slots__ = ("key", "map", "value")

    def __init__(self, map_: str, key: "Sequence[bytes]", value: "Sequence[bytes]") -> None:
        self.map = map_
        self.key = _joined(key)
        self.value = _joined(value)

    def attributes(self, table: str) -> bytes:
        """Return it in netlink's words."""
        element = attribute(_ELEMENT_KEY | _NESTED, attribute(_DATA_VALUE, self.key))
        element += attribute(_ELEMENT_DATA | _NESTED, attribute(_DATA_VALUE, self.value))
        listed = attribute(_ELEMENT | _NESTED, element)
        return (
            attribute(_LIST_TABLE, table)
            + attribute(_LIST_SET, self.map)
            + attribute(_LIST_ELEMENTS | _NESTED, listed)
        )


def _joined(parts: "Sequence[bytes]") -> bytes:
    return b"".join(part + bytes(-len(part) % 4) for part in parts)


def _link(index: int = 0, flags: int = 0) -> bytes:
    return _LINK.pack(_socket.AF_UNSPEC, 0, index, flags, flags)


def _nfgenmsg(family: int, resource: int = 0) -> bytes:
    return _struct.pack("!BBH", family, 0, resource)


def _family(address: bytes) -> int:
    return _socket.AF_INET6 if len(address) == 16 else _socket.AF_INET
