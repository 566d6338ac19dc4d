# SPDX-License-Identifier: Apache-2.0
"""Make and remove networks: what may be asked of one, its subnets, its bridge."""

import posix
import time

from pyoci.engine import events
from pyoci.engine.errors import ConflictError, EngineError, NotFoundError, PlainError
from pyoci.engine.networks import addresses, bridges, naming
from pyoci.engine.networks.addresses import IPV6, Subnet, text_of
from pyoci.engine.networks.records import PREDEFINED, Network, Networks
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.places import Places

    Document = dict[str, Any]

_NAME = "com.docker.network.bridge.name"
_LONGEST_DEVICE = 15  # IFNAMSIZ without its end
_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = _FIRST | frozenset("_.-")
# A driver that there is once only, and its network.
_SINGLE = {"host": "host", "null": "none"}


class Wish:
    """What `network create` was asked for; texts as they were given."""

    __slots__ = (
        "attachable",
        "auxiliary",
        "driver",
        "gateways",
        "internal",
        "ipv6",
        "labels",
        "name",
        "options",
        "ranges",
        "subnets",
    )

    def __init__(self, name: str, driver: str) -> None:
        self.name = name
        self.driver = driver
        self.subnets: list[str] = []
        self.gateways: list[str] = []
        self.ranges: list[str] = []
        self.auxiliary: dict[str, str] = {}
        self.options: dict[str, str] = {}
        self.labels: dict[str, str] = {}
        self.internal = self.ipv6 = self.attachable = False


def create(places: "Places", networks: Networks, wish: Wish) -> Network:
    """Make a network with its bridge; raises EngineError, and leaves nothing then."""
    _check(wish)
    chosen = subnets(wish)
    identity = posix.urandom(32).hex()
    used = _used() if not chosen else []
    with networks.database.writing():
        if networks.database.row("SELECT 1 FROM network WHERE name = ?", wish.name):
            raise ConflictError(f"network with name {wish.name} already exists")
        config = _complete(networks, wish, chosen, used, identity)
        document = {
            "EnableIPv6": wish.ipv6,
            "IPAM": {"Driver": "default", "Options": {}, "Config": config},
            "Internal": wish.internal,
            "Attachable": wish.attachable,
            "Options": wish.options,
            "Labels": wish.labels,
        }
        bridge = wish.options.get(_NAME, f"br-{identity[:12]}")
        row = (identity, wish.name, time.time_ns(), "bridge", bridge, int(bool(chosen)))
        try:
            networks.database.change(
                "INSERT INTO network VALUES (?, ?, ?, ?, ?, ?, ?)", *row, dumps(document)
            )
        except ConflictError:
            raise ConflictError(
                f"bridge name {bridge} is already in use by another network"
            ) from None
    network = networks.find(identity)
    try:
        bridges.repair(places, networks, network)
    except BaseException:
        _remove(places, networks, network)
        raise
    events.of_network(places, network, "create")
    return network


def _check(wish: Wish) -> None:
    if wish.name in PREDEFINED:
        raise EngineError(f"operation is not permitted on predefined {wish.name} network")
    if not wish.name or wish.name[0] not in _FIRST or not _LETTERS.issuperset(wish.name):
        raise EngineError(
            f"invalid network name: {wish.name}: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    if wish.driver in _SINGLE:
        raise EngineError(f'only one instance of "{wish.driver}" network is allowed')
    if wish.driver != "bridge":
        raise EngineError(f'plugin "{wish.driver}" not found')
    if len(wish.options.get(_NAME, "")) > _LONGEST_DEVICE:
        raise EngineError(f"invalid bridge name: {wish.options[_NAME]}: at most 15 letters")


def subnets(wish: Wish) -> "list[Document]":
    """Return IPAM.Config of the subnets that were given, with the ranges and gateways in each; Docker's client's words."""
    found: list[tuple[Subnet, Document]] = []
    try:
        for text in wish.subnets:
            subnet = _subnet(text)
            if any(subnet.overlaps(other) for other, _ in found):
                raise PlainError("multiple overlapping subnet configuration is not supported")
            found.append((subnet, {"Subnet": subnet.text()}))
        if (wish.ranges or wish.gateways) and not found:
            raise PlainError("every ip-range or gateway must have a corresponding subnet")
        for text in wish.ranges:
            part = _subnet(text)
            row = _row_of(found, part.family, part.first, f"no matching subnet for range {text}")
            _put(row, "IPRange", part.text(), "ranges")
        for text in wish.gateways:
            words = f"no matching subnet for gateway {text}"
            row = _row_of(found, addresses.family_of(text), addresses.number(text), words)
            _put(row, "Gateway", text, "gateways")
        for name, text in wish.auxiliary.items():
            words = f"no matching subnet for aux-address {text}"
            row = _row_of(found, addresses.family_of(text), addresses.number(text), words)
            row.setdefault("AuxiliaryAddresses", {})[name] = text
    except ValueError as error:
        raise EngineError(str(error)) from None
    return [row for _, row in found]


def _subnet(text: str) -> Subnet:
    try:
        return Subnet(text)
    except ValueError as error:
        raise EngineError(f"Invalid subnet {text} : {error}") from None


def _row_of(
    found: "list[tuple[Subnet, Document]]", family: int, value: int, words: str
) -> "Document":
    for subnet, row in found:
        if subnet.has(family, value):
            return row
    raise PlainError(words)


def _put(row: "Document", key: str, text: str, kind: str) -> None:
    if key in row:
        raise PlainError(
            f"cannot configure multiple {kind} ({text}, {row[key]}) on the same subnet ({row['Subnet']})"
        )
    row[key] = text


def _used() -> list[Subnet]:
    from pyroute2 import IPRoute

    with IPRoute() as route:
        return bridges.used_subnets(route)


def _complete(
    networks: Networks, wish: Wish, chosen: "list[Document]", used: list[Subnet], identity: str
) -> "list[Document]":
    """Return the subnets of a new network, with gateways: what was not chosen is free; within a transaction."""
    taken = [pool.subnet for network in networks.all() for pool in network.pools()]
    for row in chosen:
        subnet = Subnet(row["Subnet"])
        if any(subnet.overlaps(other) for other in taken):
            raise EngineError("Pool overlaps with other one on this address space")
        low, _ = subnet.hosts()
        if "IPRange" in row:
            low = max(low, Subnet(row["IPRange"]).first)
        row.setdefault("Gateway", text_of(subnet.family, low))
    families = {Subnet(row["Subnet"]).family for row in chosen}
    if addresses.IPV4 not in families:
        chosen = [bridges.free_pool(networks, used or _used()), *chosen]
    if wish.ipv6 and IPV6 not in families:
        first = int.from_bytes(b"\xfd" + bytes.fromhex(identity[:14]), "big") << 64
        gateway = text_of(IPV6, first + 1)
        chosen = [*chosen, {"Subnet": f"{text_of(IPV6, first)}/64", "Gateway": gateway}]
    return chosen


def remove(places: "Places", networks: Networks, network: Network) -> None:
    """Remove a network, its bridge and its rules; raises EngineError while a container is attached."""
    _remove(places, networks, network)
    events.of_network(places, network, "destroy")


def _remove(places: "Places", networks: Networks, network: Network) -> None:
    if network.name in PREDEFINED:
        raise EngineError(f"{network.name} is a pre-defined network and cannot be removed")
    try:
        changed = networks.database.change("DELETE FROM network WHERE id = ?", network.id)
    except ConflictError:
        raise ConflictError(
            f"error while removing network: network {network.name} id {network.id} has active endpoints"
        ) from None
    if not changed:
        raise NotFoundError(f"network {network.name} not found")
    naming.forget(places, network)
    bridges.remove(network)


def describe(networks: Networks, network: Network, names: dict[str, str]) -> "Document":
    """Return a network as inspect shows it; `names` are those of the containers, by id."""
    from pyoci.engine import moments

    lengths = {pool.subnet.family: pool.subnet.length for pool in network.pools()}

    def with_length(text: str) -> str:
        return f"{text}/{lengths[addresses.family_of(text)]}" if text else ""

    document = network.document
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": moments.text(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv6": document["EnableIPv6"],
        "IPAM": document["IPAM"],
        "Internal": document["Internal"],
        "Attachable": document["Attachable"],
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": {
            endpoint.container: {
                "Name": names[endpoint.container],
                "EndpointID": endpoint.id,
                "MacAddress": endpoint.mac,
                "IPv4Address": with_length(endpoint.ipv4),
                "IPv6Address": with_length(endpoint.ipv6),
            }
            for endpoint in networks.endpoints(network)
        },
        "Options": document["Options"],
        "Labels": document["Labels"],
    }
