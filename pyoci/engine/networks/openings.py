# SPDX-License-Identifier: Apache-2.0
"""Networks whose containers are kept apart (enable_icc=false): who may reach whom there all the same, by --link.

As on a default bridge of Docker's with icc=false: a link opens the ports that its target exposes, to the container that has the
link. Docker does so for its default network only; in its user networks a link is a name and no more.
"""

from pyoci.engine.networks.records import ICC, Networks
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.networks.records import Network

    Document = dict[str, Any]
    Opening = tuple[str, str, str, int]  # from which address, to which, protocol, port


class _Member:
    """A container in the network: its addresses, what it exposes, to whom it has links."""

    __slots__ = ("addresses", "id", "links", "name", "ports")

    def __init__(self, row: "tuple[Any, ...]", network: "Network") -> None:
        self.id: str = row[0]
        self.name: str = row[1]
        self.addresses = [text or "" for text in row[2:4]]
        document: Document = parse_object(row[4].encode())
        self.ports: list[str] = [*document["Config"]["ExposedPorts"]]
        asked = document["NetworkSettings"]["Networks"]
        links = asked[network.name]["Links"] if network.name in asked else None
        self.links: list[str] = [*(links or ())]

    def has_link_to(self, other: "_Member") -> bool:
        """Tell whether a link of ours names the other: by its name, its id or the beginning of that."""
        names = [text.partition(":")[0].lstrip("/") for text in self.links]
        return any(name and (name == other.name or other.id.startswith(name)) for name in names)


def openings(networks: Networks, network: "Network") -> "list[Opening]":
    """Return what links open in a network; nothing where everybody reaches everybody."""
    if network.is_on(ICC):
        return []
    rows = networks.database.rows(
        "SELECT container.id, name, ipv4, ipv6, document FROM endpoint"
        " JOIN container ON container.id = endpoint.container WHERE network = ?",
        network.id,
    )
    members = [_Member(row, network) for row in rows]
    if network.is_default:  # whose links have environment variables and rows of their own
        linked = networks.database.rows("SELECT container, target FROM link")
        for member in members:
            member.links += [str(target) for owner, target in linked if owner == member.id]
    return [
        (source, target, protocol or "tcp", int(port))
        for member in members
        for other in members
        if member.has_link_to(other)
        for source, target in zip(member.addresses, other.addresses, strict=True)
        if source and target
        for port, _, protocol in (text.partition("/") for text in other.ports)
    ]
