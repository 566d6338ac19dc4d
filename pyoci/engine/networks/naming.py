# SPDX-License-Identifier: Apache-2.0
"""Names within user networks: a file a network, which the monitors of its containers read, and the sockets on which they are asked.

Docker's address, 127.0.0.11, inside every container. The sockets are bound to ports that happen to be free, and a rule of the
container's own namespace leads port 53 of that address to them: the container may bind port 53 of all addresses for itself.
"""

import _socket
import posix

from pyoci.engine.networks.addresses import NAME_SERVER
from pyoci.engine.places import make_private
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.networks.records import Network, Networks
    from pyoci.engine.places import Places

_FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
_BACKLOG = 128
_RULES = """table ip pypod_names
delete table ip pypod_names
table ip pypod_names {{
 chain output {{
  type nat hook output priority -100
  ip daddr {address} udp dport 53 dnat to {address}:{udp}
  ip daddr {address} tcp dport 53 dnat to {address}:{tcp}
 }}
}}
"""


def directory(places: "Places") -> str:
    """Return where the files are."""
    return f"{places.run}/names"


def write(places: "Places", networks: "Networks", network: "Network") -> None:
    """Write down who is in a network, within a transaction: nobody else writes meanwhile."""
    rows = networks.database.rows(
        "SELECT endpoint.container, ipv4, ipv6, name, names FROM endpoint"
        " JOIN container ON container.id = endpoint.container WHERE network = ?",
        network.id,
    )
    members = [
        {
            "id": row[0],
            "addresses": [text for text in row[1:3] if text],
            "names": [row[3], *str(row[4]).split()],
        }
        for row in rows
    ]
    place = directory(places)
    make_private(place)
    path = f"{place}/{network.id}"
    document = {"internal": network.is_internal, "network": network.name, "members": members}
    fd = posix.open(f"{path}.new", _FLAGS, 0o600)
    try:
        posix.write(fd, dumps(document).encode())
    finally:
        posix.close(fd)
    posix.rename(f"{path}.new", path)


def forget(places: "Places", network: "Network") -> None:
    """Remove the file of a network that is gone."""
    try:
        posix.unlink(f"{directory(places)}/{network.id}")
    except FileNotFoundError:
        return


def listen(namespace: int) -> "list[_socket.socket]":
    """Return the sockets, UDP and TCP, on which a container asks for names."""
    from pyoci.engine.networks import firewall  # of all that start, not all have names
    from pyoci.engine.networks.inside import Inside

    with Inside(namespace):
        udp = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM | _socket.SOCK_CLOEXEC)
        udp.bind((NAME_SERVER, 0))
        tcp = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM | _socket.SOCK_CLOEXEC)
        tcp.bind((NAME_SERVER, 0))
        tcp.listen(_BACKLOG)
        ports = [int(socket.getsockname()[1]) for socket in (udp, tcp)]
        firewall.run(_RULES.format(address=NAME_SERVER, udp=ports[0], tcp=ports[1]))
    return [udp, tcp]
