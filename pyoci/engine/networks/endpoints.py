# SPDX-License-Identifier: Apache-2.0
"""A container's place in a network: its addresses, taken in a transaction, and its devices, made by hand-written netlink."""

import errno
import posix

from pyoci.engine.errors import EngineError
from pyoci.engine.networks import addresses
from pyoci.engine.networks.addresses import IPV4, IPV6
from pyoci.engine.networks.inside import Inside
from pyoci.engine.networks.netlink import Link, Netlink
from pyoci.engine.networks.records import INTERFACE, Endpoint, Network, Networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Document = dict[str, Any]

_LINK_LOCAL = {IPV4: 16, IPV6: 64}  # RFC 3927, RFC 4291
_DOCKERS = b"\x02\x42"  # the beginning of Docker's own link-layer addresses
_NO_IPV6 = "/proc/sys/net/ipv6/conf/{}/disable_ipv6"


def lease(
    networks: Networks, network: Network, container: str, asked: "Document", own: tuple[str, str]
) -> Endpoint:
    """Take addresses for a container, within a transaction; `asked` is its entry of NetworkSettings.Networks,
    `own` the link-layer address that it wants, "" for none, and the names by which others find it.

    What it had the last time comes first, where that is free. One that has a place already keeps it.
    """
    held = networks.endpoints_of(container)
    for endpoint in held:
        if endpoint.network == network.id:
            return endpoint
    wanted = asked["IPAMConfig"] or {}
    others = networks.endpoints(network)
    ipv4 = _address(network, IPV4, others, wanted.get("IPv4Address"), asked["IPAddress"])
    ipv6 = ""
    if network.document["EnableIPv6"]:
        last = asked["GlobalIPv6Address"]
        ipv6 = _address(network, IPV6, others, wanted.get("IPv6Address"), last)
    names = {row.interface for row in held}
    prefix = network.option(INTERFACE, "eth")
    interface = next(
        name for name in map(f"{prefix}{{}}".format, range(1 << 16)) if name not in names
    )
    row = (
        network.id,
        container,
        posix.urandom(32).hex(),
        interface,
        own[0] or _mac(ipv4),
        ipv4 or None,
        ipv6 or None,
        own[1],
    )
    networks.database.change(
        "INSERT INTO endpoint VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *row, asked["GwPriority"]
    )
    return Endpoint(row)


def _address(
    network: Network, family: int, others: list[Endpoint], wanted: str | None, last: str
) -> str:
    """Return a free address: the one that is wanted, else the last one, else the lowest."""
    pool = network.pool(family)
    if pool is None:
        return ""
    given = (row.ipv4 if family == IPV4 else row.ipv6 for row in others)
    used = (pool.gateway, *pool.auxiliary, *given)
    taken = {addresses.number(text) for text in used if text}
    if wanted:
        value = addresses.number(wanted)
        if not pool.subnet.has(family, value):
            raise EngineError(
                f"Invalid address {wanted}: It does not belong to any of this network's subnets"
            )
        if value in taken:
            raise EngineError("Address already in use")
        return wanted
    first, final = pool.span
    if last and first <= addresses.number(last) <= final and addresses.number(last) not in taken:
        return last
    found = addresses.lowest_free(pool.span, taken)
    if found is None:
        kind = "IPv4" if family == IPV4 else "IPv6"
        raise EngineError(
            f"no available {kind} addresses on this network's address pools: {network.name} ({network.id})"
        )
    return addresses.text_of(family, found)


def _mac(ipv4: str) -> str:
    """Return Docker's link-layer address of an IPv4 address; by chance where there is none."""
    return (_DOCKERS + (addresses.pack(ipv4) if ipv4 else posix.urandom(4))).hex(":")


class Plug:
    """What is needed to plug containers in: the host's netlink socket, and the container's, opened within its namespace."""

    __slots__ = ("_inside", "namespace", "route")

    def __init__(self, namespace: int, route: Netlink) -> None:
        self.namespace = namespace
        self.route = route
        with Inside(namespace):
            self._inside = Netlink()

    def close(self) -> None:
        """Close what is the container's."""
        self._inside.close()

    def _has(self, endpoint: Endpoint) -> bool:
        """Tell whether the container has the interface already."""
        try:
            self._inside.find(endpoint.interface)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
            return False
        return True

    def connect(
        self, network: Network, endpoint: Endpoint, bridge: tuple[int, int], asked: "Document"
    ) -> None:
        """Make the pair of devices, unless there is one: one end the bridge's port, the other with the endpoint's addresses,
        and those of the link that were `asked` for.
        """
        if self._has(endpoint):
            return
        local: list[str] = (asked["IPAMConfig"] or {}).get("LinkLocalIPs", [])
        master, mtu = bridge
        mac = bytes.fromhex(endpoint.mac.replace(":", ""))
        outside = Link(endpoint.veth, mtu, master=master)
        self.route.add_veth(outside, Link(endpoint.interface, mtu, address=mac), self.namespace)
        self.route.set_hairpin(endpoint.veth)
        if not endpoint.ipv6 and not any(":" in text for text in local):
            with Inside(self.namespace):
                _write(_NO_IPV6.format(endpoint.interface), b"1")
        index, _ = self._inside.find(endpoint.interface)
        held = [(endpoint.ipv4, network.pool(IPV4)), (endpoint.ipv6, network.pool(IPV6))]
        for text, pool in held:
            if text and pool:
                self._inside.add_address(index, addresses.pack(text), pool.subnet.length)
        for text in local:
            length = _LINK_LOCAL[addresses.family_of(text)]
            self._inside.add_address(index, addresses.pack(text), length)
        self._inside.set_up(index)

    def lead_out(self, places: "list[tuple[Network, Endpoint]]") -> None:
        """Send what goes elsewhere through the first network, of each family, that leads anywhere."""
        left = {IPV4, IPV6}
        for network, endpoint in places:
            if network.is_internal:
                continue
            held = [(endpoint.ipv4, network.pool(IPV4)), (endpoint.ipv6, network.pool(IPV6))]
            for text, pool in held:
                if text and pool and pool.subnet.family in left:
                    left.remove(pool.subnet.family)
                    index, _ = self._inside.find(endpoint.interface)
                    self._inside.set_default_route(index, addresses.pack(pool.gateway))


def unplug(route: Netlink, endpoint: Endpoint) -> None:
    """Turn off the bridge's end of a pair: the container's namespace, which is about to go, takes it along.

    To remove it here would cost 18 ms; the bridge must forget the address behind it at once, for the next container may get it.
    """
    try:
        route.set_down(route.find(endpoint.veth)[0])
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def pull(route: Netlink, endpoint: Endpoint) -> None:
    """Remove both ends of a pair: its container lives on."""
    try:
        route.delete(route.find(endpoint.veth)[0])
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise


def _write(path: str, data: bytes) -> None:
    """Write a file of /proc; a kernel without IPv6 has none of this name."""
    try:
        fd = posix.open(path, posix.O_WRONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        posix.write(fd, data)
    finally:
        posix.close(fd)
