# SPDX-License-Identifier: Apache-2.0
"""`network connect`: attach a container to one more network."""

from pyoci.engine.errors import PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("alias", "", "strings", "Add network-scoped alias for the container"),
    ("driver-opt", "", "strings", "driver options for the network"),
    ("gw-priority", "", "int", "Highest gw-priority provides the default gateway"),
    ("ip", "", "string", 'IPv4 address (e.g., "172.30.100.104")'),
    ("ip6", "", "string", 'IPv6 address (e.g., "2001:db8::33")'),
    ("link", "", "list", "Add link to another container"),
    ("link-local-ip", "", "strings", "Add a link-local address for the container"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Attach a container, at once when it runs."""
    from pyoci.engine.containers import connection, networking
    from pyoci.engine.containers.record import Records

    records = Records(places)
    container = records.find(arguments[1])
    fields = {"alias": [part for text in flags.every("alias") for part in text.split(",")]}
    given = ("driver-opt", "gw-priority", "ip", "ip6", "link-local-ip")
    fields |= {name: flags.every(name) for name in given if flags.is_given(name)}
    if any("=" not in text for text in flags.every("driver-opt")):
        raise PlainError("invalid key/value pair format in driver options")
    asked = networking.entry(arguments[0], fields, container.id)
    asked["Links"] = flags.every("link") or None
    connection.connect(records, container, arguments[0], asked)
    return 0
