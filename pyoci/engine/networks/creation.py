# SPDX-License-Identifier: Apache-2.0
"""Make and remove networks: what may be asked of one, its subnets, its bridge."""

import posix
import time

from pyoci.engine import events
from pyoci.engine.errors import ConflictError, EngineError, NotFoundError, PlainError
from pyoci.engine.networks import addresses, bridges, naming, options
from pyoci.engine.networks.addresses import IPV4, IPV6, Subnet, text_of
from pyoci.engine.networks.records import PREDEFINED, Network, Networks
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.places import Places

    Document = dict[str, Any]

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = _FIRST | frozenset("_.-")


class Wish:
    """What `network create` was asked for; texts as they were given."""

    __slots__ = (
        "attachable",
        "auxiliary",
        "config_from",
        "driver",
        "gateways",
        "internal",
        "ipam_driver",
        "ipam_options",
        "ipv4",
        "ipv6",
        "is_configuration",
        "is_ingress",
        "labels",
        "name",
        "options",
        "ranges",
        "scope",
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
        self.ipam_driver, self.scope, self.config_from = "default", "", ""
        self.is_configuration = False
        self.ipam_options: dict[str, str] = {}
        self.ipv4 = True
        self.internal = self.ipv6 = self.attachable = self.is_ingress = False


def create(places: "Places", networks: Networks, wish: Wish) -> Network:
    """Make a network with its bridge; raises EngineError, and leaves nothing then."""
    _check(wish)
    if wish.config_from:
        _copy(networks, wish)
    chosen = subnets(wish)
    identity = posix.urandom(32).hex()
    is_found = bridges.is_there(wish.options.get(options.BRIDGE_NAME, ""))
    used = _used() if not chosen and wish.ipv4 else []
    with networks.database.writing():
        if networks.database.row("SELECT 1 FROM network WHERE name = ?", wish.name):
            raise ConflictError(f"network with name {wish.name} already exists")
        config = chosen
        if not wish.is_configuration:
            config = _complete(networks, wish, chosen, used, identity)
        document = {
            "ConfigFrom": {"Network": wish.config_from},
            "ConfigOnly": wish.is_configuration,
            "EnableIPv6": wish.ipv6,
            "IPAM": {"Driver": "default", "Options": wish.ipam_options, "Config": config},
            "Internal": wish.internal,
            "Attachable": wish.attachable,
            "IsFound": is_found,
            "Options": wish.options,
            "Labels": wish.labels,
        }
        bridge = wish.options.get(options.BRIDGE_NAME) or f"br-{identity[:12]}"
        kind = ("null", None) if wish.is_configuration else ("bridge", bridge)
        row = (identity, wish.name, time.time_ns(), *kind, int(bool(chosen)))
        try:
            networks.database.change(
                "INSERT INTO network VALUES (?, ?, ?, ?, ?, ?, ?)", *row, dumps(document)
            )
        except ConflictError:
            raise ConflictError(
                f"bridge name {bridge} is already in use by another network"
            ) from None
    network = networks.find(identity)
    if wish.is_configuration:
        return network
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
    options.check(wish)
    if not wish.ipv4 and not wish.ipv6:
        raise EngineError("IPv4 or IPv6 must be enabled")


def _copy(networks: Networks, wish: Wish) -> None:
    """Have a network that is there to be copied say what this one is to be."""
    given = wish.subnets or wish.ranges or wish.gateways or wish.auxiliary
    if given or wish.options or wish.labels or wish.ipam_options or wish.ipv6:
        raise EngineError(
            "user specified configurations are not supported if the network depends on a configuration network"
        )
    try:
        source = networks.find(wish.config_from)
    except NotFoundError:
        source = None
    if source is None or not source.is_configuration:
        raise EngineError(f'configuration network "{wish.config_from}" does not exist')
    document = source.document
    wish.config_from = source.name
    wish.options, wish.labels = document["Options"], document["Labels"]
    wish.ipv6, wish.ipam_options = document["EnableIPv6"], document["IPAM"]["Options"]
    for row in document["IPAM"]["Config"]:
        wish.subnets.append(row["Subnet"])
        for key, list_ in (("IPRange", wish.ranges), ("Gateway", wish.gateways)):
            if key in row:
                list_.append(row[key])
        wish.auxiliary |= row.get("AuxiliaryAddresses", {})


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
            row = _row_of(found, *_place(text), words)
            _put(row, "Gateway", text, "gateways")
        for name, text in wish.auxiliary.items():
            words = f"no matching subnet for aux-address {text}"
            row = _row_of(found, *_place(text), words)
            row.setdefault("AuxiliaryAddresses", {})[name] = text
    except ValueError as error:
        raise EngineError(str(error)) from None
    return [row for _, row in found]


def _subnet(text: str) -> Subnet:
    try:
        return Subnet(text)
    except ValueError as error:
        raise EngineError(f"Invalid subnet {text} : {error}") from None


def _place(text: str) -> tuple[int, int]:
    """Return family and number of an address; of what is none a number that no subnet has."""
    try:
        return addresses.family_of(text), addresses.number(text)
    except ValueError:
        return addresses.family_of(text), -1


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
        if subnet.family == IPV4 and subnet.length > bridges.LONGEST_SUBNET:
            raise EngineError("failed to allocate gateway (): No available addresses on this pool")
        row.setdefault("Gateway", text_of(subnet.family, low))
        _check_addresses(subnet, row)
    families = {Subnet(row["Subnet"]).family for row in chosen}
    if wish.ipv4 and addresses.IPV4 not in families:
        chosen = [bridges.free_pool(networks, used or _used()), *chosen]
    if wish.ipv6 and IPV6 not in families:
        first = int.from_bytes(b"\xfd" + bytes.fromhex(identity[:14]), "big") << 64
        gateway = text_of(IPV6, first + 1)
        chosen = [*chosen, {"Subnet": f"{text_of(IPV6, first)}/64", "Gateway": gateway}]
    return chosen


def _check_addresses(subnet: Subnet, row: "Document") -> None:
    """Refuse a gateway and auxiliary addresses that nobody can have, or two of which are the same."""
    low, high = subnet.hosts()
    gateway = addresses.number(row["Gateway"])
    if not low <= gateway <= high:
        raise EngineError(f"failed to allocate gateway ({row['Gateway']}): Address already in use")
    taken = {gateway}
    for name, text in row.get("AuxiliaryAddresses", {}).items():
        value = addresses.number(text)
        if value in taken or not low <= value <= high:
            raise EngineError(
                f"failed to allocate secondary ip address ({name}:{text}): Address already in use"
            )
        taken.add(value)


def remove(places: "Places", networks: Networks, network: Network) -> None:
    """Remove a network, its bridge and its rules; raises EngineError while a container is attached."""
    _remove(places, networks, network)
    events.of_network(places, network, "destroy")


def _remove(places: "Places", networks: Networks, network: Network) -> None:
    if network.name in PREDEFINED:
        raise EngineError(f"{network.name} is a pre-defined network and cannot be removed")
    if network.is_configuration and any(
        other.document.get("ConfigFrom", {}).get("Network") == network.name
        for other in networks.all()
    ):
        raise ConflictError(
            f'error while removing network: configuration network "{network.name}" is in use'
        )
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
        "ConfigFrom": document.get("ConfigFrom", {"Network": ""}),
        "ConfigOnly": network.is_configuration,
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
