# SPDX-License-Identifier: Apache-2.0
"""`network connect` and `disconnect`: the networks of a container change, while it runs or not."""

import posix

from pyoci.engine import events
from pyoci.engine.containers import attachment, life, state
from pyoci.engine.containers import network as kinds
from pyoci.engine.containers.session import Session
from pyoci.engine.errors import ConflictError, EngineError
from pyoci.engine.networks import bridges, endpoints, firewall, naming
from pyoci.engine.networks.netlink import Netlink
from pyoci.engine.networks.records import Networks

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.attachment import Given, Place
    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.networks.records import Network

    Document = dict[str, Any]

_NOT_HOST = "container cannot be disconnected from host network or connected to host network"
_READ = posix.O_RDONLY | posix.O_CLOEXEC


def connect(records: "Records", container: "Container", name: str, asked: "Document") -> None:
    """Attach a container to one more network; raises EngineError where that cannot be."""
    attachment.heal(records)
    networks = Networks(records.database)
    with life.Lock(container):
        _check(container)
        if networks.find(name).driver == "host":
            raise EngineError(_NOT_HOST)
        network = attachment.find(networks, name, asked)
        rows = container.document["NetworkSettings"]["Networks"]
        if network.name in rows:
            raise ConflictError(
                f"endpoint with name {container.name} already exists in network {network.name}"
            )
        named = kinds.has_names(container)
        rows[network.name] = {**asked, "NetworkID": network.id}
        if not state.is_running(container):
            records.save(container)
            return
        pid = int(state.current(container)["Pid"])
        session = Session()
        session.connect(container)
        given = _connect_now(records, networks, container, network, pid)
        if not named and kinds.has_names(container):
            given += _resolver(pid)
        for purpose, socket in given:
            session.give(purpose, socket)
        session.close()
        attachment.write_down(records, networks, container, pid)
        held = networks.endpoints_of(container.id)
        attachment.open_links(networks, [(networks.find(row.network), row) for row in held])
        life.write_hosts(records, container)
        events.of_network(records.places, network, "connect", container=container.id)


def _check(container: "Container") -> None:
    mode = container.host_config["NetworkMode"]
    if mode == "host" or mode.startswith(kinds.JOINS):
        raise EngineError(
            "container sharing network namespace with another container or host cannot be connected to any other network"
        )
    if mode == "none":
        raise EngineError(
            "container cannot be connected to multiple networks with one of the networks in private (none) mode"
        )


def _connect_now(
    records: "Records", networks: Networks, container: "Container", network: "Network", pid: int
) -> "Given":
    """Plug a running container in; returns the sockets of ports that this network is the way in to."""
    namespace, route = posix.open(f"/proc/{pid}/ns/net", _READ), Netlink()
    try:
        bridge = bridges.ready(records.places, networks, network, route)
        held = networks.endpoints_of(container.id)
        before = attachment.way_in([(networks.find(row.network), row) for row in held])
        places, bound = attachment.take(networks, container)
        plug = endpoints.Plug(namespace, route)
        place = next(row for row in places if row[0].id == network.id)
        asked = container.document["NetworkSettings"]["Networks"][network.name]
        plug.connect(*place, bridge, asked)
        plug.lead_out(places)
        plug.close()
    finally:
        route.close()
        posix.close(namespace)
    attachment.publish(networks, container, places)
    if before is not None and before[0].id != network.id:
        firewall.load(networks, before[0])  # this network may be the way in from now on
    attachment.write_names(records, networks, places)
    return attachment.forwarded(bound, places)


def _resolver(pid: int) -> "Given":
    namespace = posix.open(f"/proc/{pid}/ns/net", _READ)
    try:
        return attachment.resolver(namespace)
    finally:
        posix.close(namespace)


def disconnect(records: "Records", container: "Container", name: str) -> None:
    """Take a container from a network; raises EngineError when it is not in it."""
    networks = Networks(records.database)
    network = networks.find(name)
    with life.Lock(container):
        rows = container.document["NetworkSettings"]["Networks"]
        if network.name not in rows:
            raise EngineError(
                f"container {container.id} is not connected to network {network.name}"
            )
        if network.driver == "host":
            raise EngineError(_NOT_HOST)
        del rows[network.name]
        if not state.is_running(container):
            records.save(container)
            return
        pid = int(state.current(container)["Pid"])
        _disconnect_now(records, networks, container, network, pid)
        attachment.write_down(records, networks, container, pid)
        life.write_hosts(records, container)
        events.of_network(records.places, network, "disconnect", container=container.id)


def _disconnect_now(
    records: "Records", networks: Networks, container: "Container", network: "Network", pid: int
) -> None:
    """Pull a running container out; what came in and went out by this network goes by another one, if there is one."""
    held = networks.endpoints_of(container.id)
    places: list[Place] = [(networks.find(row.network), row) for row in held]
    gone = [endpoint for endpoint in held if endpoint.network == network.id]
    left = [place for place in places if place[0].id != network.id]
    with networks.database.writing():
        networks.database.change(
            "DELETE FROM endpoint WHERE container = ? AND network = ?", container.id, network.id
        )
        if not network.is_default:
            naming.write(records.places, networks, network)
    namespace, route = posix.open(f"/proc/{pid}/ns/net", _READ), Netlink()
    try:
        for endpoint in gone:
            endpoints.pull(route, endpoint)
        plug = endpoints.Plug(namespace, route)
        plug.lead_out(left)
        plug.close()
    finally:
        route.close()
        posix.close(namespace)
    firewall.load(networks, network)
    attachment.publish(networks, container, left)
