# SPDX-License-Identifier: Apache-2.0
"""Bridges, made when a network is first used, and anew when they are gone: after a boot, or when somebody has removed one.

This is not done for each container, so it is done by pyroute2, whose import costs 0.15 s; `ready` is what a container pays.
"""

import _socket
import errno
import fcntl
import posix

from pyoci.engine import daemonconfig
from pyoci.engine.errors import EngineError
from pyoci.engine.networks import firewall
from pyoci.engine.networks.addresses import IPV4, IPV6, Subnet, text_of
from pyoci.engine.networks.netlink import NETFILTER, Netlink
from pyoci.engine.networks.records import ICC, MTU, Network, Networks
from pyoci.engine.places import make_private

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyoci.engine.places import Places

    Route = Any  # pyroute2 has no types

_FORWARDING = {
    IPV4: "/proc/sys/net/ipv4/ip_forward",
    IPV6: "/proc/sys/net/ipv6/conf/all/forwarding",
}
_NO_ROUTER_ADVICE = "/proc/sys/net/ipv6/conf/{}/accept_ra"
_BRIDGE_FILTER = "/proc/sys/net/bridge/bridge-nf-call-iptables"  # of the module br_netfilter
_DEFAULT_NAME = "pypod{}"
_DEFAULT_MTU = 1500
_MAIN = 254  # the table of routes
LONGEST_SUBNET = 30  # less than four addresses have no room for a gateway and a container
_USUAL_POOLS: "list[dict[str, Any]]" = [
    *({"base": f"172.{number}.0.0/16", "size": 16} for number in range(17, 32)),
    {"base": "192.168.0.0/16", "size": 20},
]  # libnetwork: ipamutils


def ready(
    places: "Places", networks: Networks, network: Network, route: Netlink
) -> tuple[int, int]:
    """Have the bridge of a network, and its rules; returns index and MTU."""
    if network.bridge:
        filter_ = Netlink(NETFILTER)
        try:
            if filter_.has_table(network.bridge):
                return route.find(network.bridge)
        except OSError as error:
            if error.errno != errno.ENODEV:
                raise
        finally:
            filter_.close()
    repair(places, networks, network)
    return route.find(network.bridge)


def repair(places: "Places", networks: Networks, network: Network) -> None:
    """Make what is missing of a network, from its rows; one command at a time."""
    from pyroute2 import IPRoute, NetlinkError

    make_private(places.run)
    lock = posix.open(places.run, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with IPRoute() as route:
            _elect(networks, network, route)
            index = _make(network, route)
            for pool in network.pools():
                family = pool.subnet.family
                _forward(family)
                route.addr(
                    "replace", index=index, family=family, address=pool.gateway,
                    prefixlen=pool.subnet.length,
                )  # fmt: skip
            if not network.is_on(ICC):
                _keep_apart(network, route, index)
            route.link("set", index=index, state="up")
            for endpoint in networks.endpoints(network):
                for port in route.link_lookup(ifname=endpoint.veth):
                    route.link("set", index=port, master=index, state="up")
                    route.brport("set", index=port, mode=1)
        firewall.load(networks, network)
    except NetlinkError as error:
        reason = posix.strerror(error.code).lower()
        raise EngineError(f"network {network.name}: bridge {network.bridge}: {reason}") from error
    finally:
        posix.close(lock)


def _elect(networks: Networks, network: Network, route: "Route") -> None:
    """Give the default network what is configured of it when its bridge is made.

    The first time it gets a name for that and, where none is configured, a subnet that is free on this host.
    """
    if not network.is_default:
        return
    current = networks.find(network.id)  # another command may have been here before us
    network.bridge, network.document = current.bridge, current.document
    if network.bridge and (route.link_lookup(ifname=network.bridge) or networks.endpoints(network)):
        return
    configured = daemonconfig.read()
    pools = [_pool(configured["bip"])] if configured["bip"] else network.document["IPAM"]["Config"]
    if not network.bridge:
        taken = {str(row.get_attr("IFLA_IFNAME")) for row in route.get_links()}
        network.bridge = next(
            name for name in map(_DEFAULT_NAME.format, range(1 << 16)) if name not in taken
        )
        pools = pools or [free_pool(networks, used_subnets(route), for_default=True)]
    with networks.database.writing():
        network.document["IPAM"]["Config"] = pools
        network.document["Options"]["com.docker.network.bridge.name"] = network.bridge
        network.document["Options"][ICC] = "true" if configured["icc"] else "false"
        networks.save(network)


def _pool(text: str) -> "dict[str, str]":
    """Return the subnet of a gateway with its length, as bip names it."""
    try:
        subnet = Subnet(text)
    except ValueError as error:
        raise EngineError(f"bip: {error}") from None
    return {"Subnet": subnet.text(), "Gateway": text.partition("/")[0]}


def _make(network: Network, route: "Route") -> int:
    """Return the index of the bridge, which is made where there is none."""
    found = route.link_lookup(ifname=network.bridge)
    if not found:
        address = (b"\x02\x42" + posix.urandom(4)).hex(":")
        route.link("add", ifname=network.bridge, kind="bridge", address=address)
        found = route.link_lookup(ifname=network.bridge)
    route.link(
        "set", index=found[0], mtu=int(network.option(MTU)) if network.option(MTU) else _mtu(route)
    )
    return int(found[0])


def _keep_apart(network: Network, route: "Route", index: int) -> None:
    """Have what goes from one port of the bridge to another asked of the rules, as if it were led on."""
    if not posix.access(_BRIDGE_FILTER, posix.F_OK):
        raise EngineError(
            f"network {network.name}: cannot restrict inter-container communication:"
            " please ensure that br_netfilter kernel module is loaded"
        )
    route.link("set", index=index, kind="bridge", br_nf_call_iptables=1, br_nf_call_ip6tables=1)


def _mtu(route: "Route") -> int:
    """Return the MTU of the device that leads out."""
    for row in route.get_default_routes(family=_socket.AF_INET):
        for link in route.get_links(row.get_attr("RTA_OIF") or 0):
            return int(link.get_attr("IFLA_MTU"))
    return _DEFAULT_MTU


def forwards(family: int) -> bool:
    """Tell whether the kernel forwards packets of a family."""
    with open(_FORWARDING[family], encoding="ascii") as file:
        return file.read().strip() == "1"


def asks_rules() -> bool:
    """Tell whether all bridges have what goes from port to port asked of the rules (br_netfilter)."""
    try:
        with open(_BRIDGE_FILTER, encoding="ascii") as file:
            return file.read().strip() == "1"
    except FileNotFoundError:
        return False


def routes_within(subnet: Subnet, bridge: str) -> "list[tuple[str, str]]":
    """Return the routes to addresses of a subnet that lead through another device than a bridge, and that device."""
    from pyroute2 import IPRoute

    found = []
    with IPRoute() as route:
        names = {row["index"]: str(row.get_attr("IFLA_IFNAME")) for row in route.get_links()}
        for row in route.get_routes(table=_MAIN, family=subnet.family):
            device = names.get(row.get_attr("RTA_OIF"), "")
            if not row["dst_len"] or device in ("", bridge):
                continue
            text = f"{row.get_attr('RTA_DST')}/{row['dst_len']}"
            if subnet.overlaps(Subnet(text)):
                found.append((text, device))
    return found


def _forward(family: int) -> None:
    """Have the kernel forward packets of a family; a host that has IPv6 from router advertisements keeps it (accept_ra 2)."""
    with open(_FORWARDING[family], "r+", encoding="ascii") as file:
        if file.read().strip() == "1":
            return
        if family == IPV6:
            _keep_router_advice()
        file.seek(0)
        file.write("1")


def _keep_router_advice() -> None:
    for name in ("all", "default", *(name for _, name in _socket.if_nameindex())):
        with open(_NO_ROUTER_ADVICE.format(name), "r+", encoding="ascii") as file:
            if file.read().strip() == "1":
                file.seek(0)
                file.write("2")


def remove(network: Network) -> None:
    """Remove the bridge and the rules of a network."""
    from pyroute2 import IPRoute

    if not network.bridge:
        return
    firewall.remove(network)
    with IPRoute() as route:
        for index in route.link_lookup(ifname=network.bridge):
            if not network.document.get("IsFound"):  # of the default network nobody has ever asked
                route.link("del", index=index)
                continue
            for pool in network.pools():
                route.flush_addr(index=index, address=pool.gateway)


def is_there(name: str) -> bool:
    """Tell whether somebody else has made the bridge that a network is to use, which outlives it then; refuse another device."""
    if not name:
        return False
    from pyroute2 import IPRoute

    with IPRoute() as route:
        for index in route.link_lookup(ifname=name):
            info = route.get_links(index)[0].get_attr("IFLA_LINKINFO")
            if info is None or info.get_attr("IFLA_INFO_KIND") != "bridge":
                raise EngineError(f"device {name} is there already, and is no bridge")
            return True
    return False


def used_subnets(route: "Route") -> list[Subnet]:
    """Return what the host reaches by itself: its addresses and routes, but those to everything."""
    routes = [
        f"{row.get_attr('RTA_DST')}/{row['dst_len']}"
        for row in route.get_routes(table=_MAIN)
        if row["dst_len"]
    ]
    held = [f"{row.get_attr('IFA_ADDRESS')}/{row['prefixlen']}" for row in route.get_addr()]
    return [Subnet(text) for text in (*routes, *held)]


def free_pool(
    networks: Networks, used: list[Subnet], *, for_default: bool = False
) -> "dict[str, str]":
    """Return the first of the usual subnets that overlaps with nothing, with its first address as gateway.

    The very first is for the default network, which has it when it is made, as Docker's has when the daemon starts.
    """
    rows = [*networks.all()]
    used = used + [pool.subnet for network in rows for pool in network.pools()]
    is_kept = not for_default and not any(row.is_default and row.pools() for row in rows)
    for candidate in _candidates():
        if any(candidate.overlaps(subnet) for subnet in used):
            continue
        if not is_kept:
            gateway = text_of(IPV4, candidate.first + 1)
            return {"Subnet": candidate.text(), "Gateway": gateway}
        is_kept = False
    raise EngineError(
        "could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"
    )


def _candidates() -> "Iterator[Subnet]":
    """Yield the subnets of the pools that are configured, else of moby's: 172.17.0.0/16 to 172.31.0.0/16, 192.168.0.0/20 and on."""
    for row in daemonconfig.read()["default-address-pools"] or _USUAL_POOLS:
        try:
            base, size = Subnet(str(row["base"])), int(row["size"])
        except (KeyError, TypeError, ValueError):
            base, size = Subnet("0.0.0.0/0"), -1
        if not base.length <= size <= LONGEST_SUBNET or base.family != IPV4:
            raise EngineError(
                f"default-address-pools: {row}: base and size of IPv4 subnets are expected"
            )
        for first in range(base.first, base.last, 1 << (32 - size)):
            yield Subnet(f"{text_of(IPV4, first)}/{size}")
