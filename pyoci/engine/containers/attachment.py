# SPDX-License-Identifier: Apache-2.0
"""Attach a container to its networks between create and start, and detach it when its end is cleaned up.

Its namespace lives as long as its monitor holds it, so that one that begins again has the addresses that it had. What a
command that was killed has left is in the database: every attach begins with `heal`.
"""

import _socket
import posix

from pyoci.engine import events
from pyoci.engine.containers import network as kinds
from pyoci.engine.containers import status
from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.networks import bridges, endpoints, firewall, naming, publishing
from pyoci.engine.networks.addresses import IPV4, IPV6, pack
from pyoci.engine.networks.netlink import Netlink
from pyoci.engine.networks.records import HOST_ADDRESS, ICC, Networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.networks.publishing import Bound
    from pyoci.engine.networks.records import Endpoint, Network, Port

    Document = dict[str, Any]
    Given = list[tuple[Document, _socket.socket]]
    Place = tuple[Network, Endpoint]

_ALL = "0.0.0.0"  # noqa: S104 - Docker's word for every address of the host
_READ = posix.O_RDONLY | posix.O_CLOEXEC


def attach(records: "Records", container: "Container", pid: int) -> "Given":
    """Give a created container its networks and write them into its document.

    Returns the sockets that its monitor must have, each with what it is for. Raises EngineError; `detach` undoes what was done.
    """
    if kinds.is_simple(container):
        return []
    heal(records, container)
    networks, route = Networks(records.database), Netlink()
    namespace = posix.open(f"/proc/{pid}/ns/net", _READ)
    try:
        wanted = _wanted(networks, container)
        made = {row.id: bridges.ready(records.places, networks, row, route) for row, _ in wanted}
        asked = {row.id: entry for row, entry in wanted}
        places, bound = take(networks, container)
        plug = endpoints.Plug(namespace, route)
        for network, endpoint in places:
            plug.connect(network, endpoint, made[network.id], asked[network.id])
        plug.lead_out(places)
        plug.close()
        publish(networks, container, places)
        given = forwarded(bound, places)
        if kinds.has_names(container):
            given += resolver(namespace)
    finally:
        route.close()
        posix.close(namespace)
    write_names(records, networks, places)
    write_down(records, networks, container, pid)
    open_links(networks, places)
    for network, _ in places:
        events.of_network(records.places, network, "connect", container=container.id)
    return given


def find(networks: Networks, name: str, asked: "Document") -> "Network":
    """Return the network that a container asked for, if what it asked for can be had there."""
    try:
        network = networks.find(asked["NetworkID"] or name)
    except NotFoundError:
        network = networks.find(name)  # it was removed and made again since
    if network.is_configuration:
        raise EngineError("cannot create endpoint on configuration-only network")
    if network.driver != "bridge":
        raise EngineError(
            "container cannot be connected to multiple networks with one of the networks in private (none) or host mode"
        )
    if network.is_default and asked["Aliases"]:
        raise EngineError(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    wanted = asked["IPAMConfig"] or {}
    for text in wanted.get("LinkLocalIPs", ()):
        _check_link_local(text)
    if any(wanted.get(key) for key in ("IPv4Address", "IPv6Address")):
        if network.is_default:
            raise EngineError(
                "user specified IP address is supported on user defined networks only"
            )
        if not network.is_chosen:
            raise EngineError(
                "user specified IP address is supported only when connecting to networks with user configured subnets"
            )
    return network


def _check_link_local(text: str) -> None:
    try:
        pack(text)
    except ValueError:
        raise EngineError(f"Invalid link-local IP address: [{text}]") from None


def _wanted(networks: Networks, container: "Container") -> "list[tuple[Network, Document]]":
    """Return the networks that a container asks for, and what it asks of each; the first leads out, if it leads anywhere."""
    rows = container.document["NetworkSettings"]["Networks"].items()
    ordered = sorted(rows, key=lambda row: -row[1]["GwPriority"])
    return [(find(networks, name, asked), asked) for name, asked in ordered]


def take(networks: Networks, container: "Container") -> "tuple[list[Place], list[Bound]]":
    """Take addresses and ports, all or none; what the container has already stays its."""
    macs: dict[str, str] = container.document.get(
        "macs", {}
    )  # of images that are built there are none
    mac = container.config["MacAddress"]
    places: list[Place] = []
    with networks.database.writing():
        for network, asked in _wanted(networks, container):
            names = " ".join((*(asked["Aliases"] or ()), container.config["Hostname"]))
            own = macs.get(network.name, "") or mac, names
            endpoint = endpoints.lease(networks, network, container.id, asked, own)
            places.append((network, endpoint))
            mac = ""  # it is the first one's
        place = way_in(places)
        if place is None:
            return places, []
        if networks.ports_of(container.id):
            return places, []  # it begins again: its monitor has them
        try:
            bound = publishing.claim(
                networks, container.id, _asked_ports(container), _host_address(place[0])
            )
        except EngineError as error:
            raise EngineError(
                "driver failed programming external connectivity on endpoint"
                f" {container.name} ({place[1].id}): {error}"
            ) from error
    return places, bound


def way_in(places: "list[Place]") -> "Place | None":
    """Return the place by which a container is reached from outside: the first whose network is not internal; None without."""
    return next((place for place in places if not place[0].is_internal), None)


def _host_address(network: "Network") -> str:
    """Return the address of ports that are published without one, "" for every address of the host."""
    address = network.option(HOST_ADDRESS, _ALL)
    return "" if address == _ALL else address


def _asked_ports(container: "Container") -> "publishing.Bindings":
    """Return what -p asks for and, with -P, every other exposed port."""
    asked: publishing.Bindings = container.host_config["PortBindings"]
    if not container.host_config["PublishAllPorts"]:
        return asked
    exposed = sorted(container.config["ExposedPorts"], key=lambda text: int(text.partition("/")[0]))
    free = {port: [{"HostIp": "", "HostPort": ""}] for port in exposed}
    return {**free, **asked}


def publish(networks: Networks, container: "Container", places: "list[Place]") -> None:
    """Have the kernel lead what comes to published ports to the container."""
    place = way_in(places)
    if place is not None:
        network, endpoint = place
        elements = firewall.elements_of(networks.ports_of(container.id), endpoint)
        firewall.publish(networks, network, elements)


def forwarded(bound: "list[Bound]", places: "list[Place]") -> "Given":
    """Return the sockets of published ports, and where they lead."""
    given: Given = []
    place = way_in(places)
    for port, socket in bound:
        if socket is None or place is None:
            continue
        endpoint = place[1]
        six = socket.family == IPV6 and endpoint.ipv6
        target = endpoint.ipv6 if six or not endpoint.ipv4 else endpoint.ipv4
        given.append(({"kind": port.protocol, "to": [target, port.inner]}, socket))
    return given


def resolver(namespace: int) -> "Given":
    """Return the sockets on which a container asks for names."""
    udp, tcp = naming.listen(namespace)
    return [({"kind": "names-udp"}, udp), ({"kind": "names-tcp"}, tcp)]


def open_links(networks: Networks, places: "list[Place]") -> None:
    """Where containers of a network do not reach one another, let them reach those that they have a link to."""
    for network, _ in places:
        if not network.is_on(ICC):
            firewall.load(networks, network)


def write_names(records: "Records", networks: Networks, places: "list[Place]") -> None:
    """Have the names of networks known to everybody in them."""
    for network, _ in places:
        if not network.is_default:
            with networks.database.writing():
                naming.write(records.places, networks, network)


def renamed(records: "Records", container: "Container") -> None:
    """Have others find a container by its new name."""
    networks = Networks(records.database)
    held = networks.endpoints_of(container.id)
    write_names(records, networks, [(networks.find(row.network), row) for row in held])


def write_down(records: "Records", networks: Networks, container: "Container", pid: int) -> None:
    """Write into a container's document which places and ports it has."""
    document = container.document["NetworkSettings"]
    asked = document["Networks"]
    held = {endpoint.network: endpoint for endpoint in networks.endpoints_of(container.id)}
    rows = {}
    for name, row in asked.items():
        network = find(networks, name, row)
        if network.id in held:
            rows[network.name] = {**row, **_shown(network, held[network.id])}
    found = {
        **kinds.settings({}),
        "SandboxID": container.id,
        "SandboxKey": f"/proc/{pid}/ns/net",
        "Ports": _ports(container, networks.ports_of(container.id)),
        "Networks": rows,
    }
    if "bridge" in rows:  # the old place of what there was before there were several
        found.update({key: rows["bridge"][key] for key in kinds.no_addresses()})
    container.document["NetworkSettings"] = found
    records.save(container)


def _shown(network: "Network", endpoint: "Endpoint") -> "Document":
    four, six = network.pool(IPV4), network.pool(IPV6)
    inner = network.is_internal
    return {
        "NetworkID": network.id,
        "EndpointID": endpoint.id,
        "Gateway": four.gateway if four and not inner else "",
        "IPAddress": endpoint.ipv4,
        "IPPrefixLen": four.subnet.length if four and endpoint.ipv4 else 0,
        "IPv6Gateway": six.gateway if six and endpoint.ipv6 and not inner else "",
        "GlobalIPv6Address": endpoint.ipv6,
        "GlobalIPv6PrefixLen": six.subnet.length if six and endpoint.ipv6 else 0,
        "MacAddress": endpoint.mac,
    }


def _ports(container: "Container", ports: "list[Port]") -> "Document":
    """Return ports as inspect shows them: those that are published, and null for those that are exposed only."""
    found: Document = dict.fromkeys(container.config["ExposedPorts"])
    for port in sorted(ports, key=lambda row: (":" in row.address, row.address, row.number)):
        key = f"{port.inner}/{port.protocol}"
        row = {"HostIp": port.address, "HostPort": str(port.number)}
        found[key] = [*(found.get(key) or ()), row]
    return found


def detach(records: "Records", container: "Container") -> None:
    """Take a container that has ended from its networks; from any part of an attach, any number of times."""
    if kinds.is_simple(container):
        return
    networks = Networks(records.database)
    held, ports = networks.endpoints_of(container.id), networks.ports_of(container.id)
    if not held and not ports:
        return
    places = [(networks.find(endpoint.network), endpoint) for endpoint in held]
    place = way_in(places)
    whole = place is None or firewall.withdraw(place[0], firewall.elements_of(ports, place[1]))
    route = Netlink()
    try:
        for endpoint in held:
            endpoints.unplug(route, endpoint)
    finally:
        route.close()
    with networks.database.writing():
        networks.database.change("DELETE FROM port WHERE container = ?", container.id)
        networks.database.change("DELETE FROM endpoint WHERE container = ?", container.id)
        for network, _ in places:
            if not network.is_default:
                naming.write(records.places, networks, network)
    if not whole and place is not None:
        firewall.load(networks, place[0])
    open_links(networks, places)  # whoever gets the address next is not the one that was linked to
    for network, _ in places:
        events.of_network(records.places, network, "disconnect", container=container.id)


def restore(container: "Container") -> "Given":
    """Return the sockets that a new monitor of a container needs, whose old one was killed: the same as before."""
    if kinds.is_simple(container):
        return []
    from pyoci.engine.containers.record import Records

    networks = Networks(Records(container.places).database)
    held = networks.endpoints_of(container.id)
    places = [(networks.find(endpoint.network), endpoint) for endpoint in held]
    given = forwarded(publishing.bind_again(networks, container.id), places)
    fields = status.read(container.directory)
    if held and kinds.has_names(container) and fields["Status"] == "running":
        try:
            namespace = posix.open(f"/proc/{fields['Pid']}/ns/net", _READ)
        except FileNotFoundError:
            return given  # it has ended meanwhile
        try:
            given += resolver(namespace)
        finally:
            posix.close(namespace)
    return given


def heal(records: "Records", container: "Container | None" = None) -> None:
    """Clean up after containers, but this one, that are attached and whose monitor was killed: they are in nobody's way then."""
    from pyoci.engine.containers import life, state

    for identity in Networks(records.database).attached():
        run = f"{records.places.run}/containers/{identity}"
        if (container and identity == container.id) or status.is_watched(run):
            continue
        other = records.find(identity)
        if state.seen(other)["Status"] not in state.RUNNING:
            life.clean_up_if_idle(records, other)
