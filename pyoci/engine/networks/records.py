# SPDX-License-Identifier: Apache-2.0
"""What is known of networks: their rows and documents, who is attached with which address, which ports of the host are whose.

An endpoint is there from before a container's program begins until its end has been cleaned up; so is a published port. Whoever
makes a bridge or its rules anew makes them from these rows.
"""

from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.networks import addresses
from pyoci.flags import BOOLEANS
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.database import Database

    Document = dict[str, Any]

BRIDGE, HOST, NONE = "bridge", "host", "none"
PREDEFINED = (BRIDGE, HOST, NONE)
_ROW = (
    "INSERT INTO network VALUES (lower(hex(randomblob(32))), '{}',"
    " CAST(strftime('%s', 'now') AS INTEGER) * 1000000000, '{}', NULL, 0, '{}')"
)
_BLANK = {
    "EnableIPv6": False,
    "IPAM": {"Driver": "default", "Options": None, "Config": []},
    "Internal": False,
    "Attachable": False,
    "Options": {},
    "Labels": {},
}
ICC = "com.docker.network.bridge.enable_icc"
MASQUERADE = "com.docker.network.bridge.enable_ip_masquerade"
MTU = "com.docker.network.driver.mtu"
HOST_ADDRESS = "com.docker.network.bridge.host_binding_ipv4"
INTERFACE = "com.docker.network.container_iface_prefix"
_DEFAULT_OPTIONS = {
    "com.docker.network.bridge.default_bridge": "true",
    ICC: "true",
    MASQUERADE: "true",
    HOST_ADDRESS: "0.0.0.0",  # noqa: S104 - Docker's own value
}
MIGRATIONS = (
    (
        "CREATE TABLE network (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,"
        " driver TEXT NOT NULL, bridge TEXT UNIQUE, chosen INTEGER NOT NULL, document TEXT NOT NULL)",
        "CREATE TABLE endpoint (network TEXT NOT NULL REFERENCES network,"
        " container TEXT NOT NULL REFERENCES container ON DELETE CASCADE, id TEXT NOT NULL,"
        " interface TEXT NOT NULL, mac TEXT NOT NULL, ipv4 TEXT, ipv6 TEXT, names TEXT NOT NULL,"
        " PRIMARY KEY (container, network), UNIQUE (network, ipv4), UNIQUE (network, ipv6))",
        "CREATE TABLE port (protocol TEXT NOT NULL, address TEXT NOT NULL, number INTEGER NOT NULL,"
        " container TEXT NOT NULL REFERENCES container ON DELETE CASCADE, inner INTEGER NOT NULL,"
        " PRIMARY KEY (number, protocol, address))",
        "CREATE INDEX port_by_container ON port (container)",
        "CREATE TABLE last_port (number INTEGER NOT NULL)",
        "INSERT INTO last_port VALUES (0)",
        _ROW.format(BRIDGE, "bridge", dumps({**_BLANK, "Options": _DEFAULT_OPTIONS})),
        _ROW.format(HOST, "host", dumps(_BLANK)),
        _ROW.format(NONE, "null", dumps(_BLANK)),
    ),
    ("ALTER TABLE endpoint ADD COLUMN priority INTEGER NOT NULL DEFAULT 0",),
)
_COLUMNS = "SELECT id, name, created, driver, bridge, chosen, document FROM network"
_ENDPOINT = "SELECT network, container, id, interface, mac, ipv4, ipv6, names FROM endpoint"


class Pool:
    """One subnet of a network: its gateway, and the range from which addresses are given."""

    __slots__ = ("auxiliary", "gateway", "span", "subnet")

    def __init__(self, row: "Document") -> None:
        self.subnet = addresses.Subnet(row["Subnet"])
        self.gateway: str = row["Gateway"]
        self.span = self.subnet.hosts()
        if row.get("IPRange"):
            part = addresses.Subnet(row["IPRange"])
            self.span = max(part.first, self.span[0]), min(part.last, self.span[1])
        self.auxiliary: list[str] = [*(row.get("AuxiliaryAddresses") or {}).values()]


class Network:
    """A network: `created` in nanoseconds since 1970, `bridge` the name of its bridge, "" until it has one.

    `is_chosen` says that its subnets are the user's choice, so that he may choose addresses of them, too.
    """

    __slots__ = ("bridge", "created", "document", "driver", "id", "is_chosen", "name")

    def __init__(self, row: "tuple[Any, ...]") -> None:
        self.id: str = row[0]
        self.name: str = row[1]
        self.created: int = row[2]
        self.driver: str = row[3]
        self.bridge: str = row[4] or ""
        self.is_chosen = bool(row[5])
        self.document: Document = parse_object(row[6].encode())

    @property
    def is_internal(self) -> bool:
        """Whether nothing leads out of it."""
        return bool(self.document["Internal"])

    @property
    def is_default(self) -> bool:
        """Whether it is the network of containers that ask for none: no names, no addresses by wish."""
        return self.name == BRIDGE

    def option(self, name: str, default: str = "") -> str:
        """Return an option of the driver."""
        return str(self.document["Options"].get(name, default))

    def is_on(self, name: str) -> bool:
        """Tell whether a switch of the driver is on; all of them are by default."""
        return BOOLEANS[self.option(name, "true")]

    @property
    def is_configuration(self) -> bool:
        """Whether it is there to be copied only (`--config-from`): no bridge, no subnets that are taken."""
        return bool(self.document.get("ConfigOnly"))  # of the predefined ones nobody has asked

    def pools(self) -> list[Pool]:
        """Return its subnets."""
        if self.is_configuration:
            return []
        return [Pool(row) for row in self.document["IPAM"]["Config"]]

    def pool(self, family: int) -> Pool | None:
        """Return its subnet of a family."""
        return next((pool for pool in self.pools() if pool.subnet.family == family), None)


class Endpoint:
    """A container's place in a network; an address is "" where it has none of that family."""

    __slots__ = ("container", "id", "interface", "ipv4", "ipv6", "mac", "names", "network")

    def __init__(self, row: "tuple[Any, ...]") -> None:
        self.network: str = row[0]
        self.container: str = row[1]
        self.id: str = row[2]
        self.interface: str = row[3]
        self.mac: str = row[4]
        self.ipv4: str = row[5] or ""
        self.ipv6: str = row[6] or ""
        self.names: str = row[7]  # by which others in the network find it, beside the container's

    @property
    def veth(self) -> str:
        """The name of the end of the pair that is the bridge's port."""
        return f"veth{self.id[:7]}"


class Port:
    """A port of the host that leads to one of a container; the address is 0.0.0.0 or :: for all of the host's."""

    __slots__ = ("address", "container", "inner", "number", "protocol")

    def __init__(self, row: "tuple[Any, ...]") -> None:
        self.protocol: str = row[0]
        self.address: str = row[1]
        self.number: int = row[2]
        self.container: str = row[3]
        self.inner: int = row[4]


class Networks:
    """The networks of one database."""

    __slots__ = ("database",)

    def __init__(self, database: "Database") -> None:
        self.database = database
        database.require("networks", MIGRATIONS)

    def find(self, reference: str) -> Network:
        """Return the network of this name, id or unambiguous beginning of an id, in this order."""
        for condition in ("name = ?", "id = ?"):
            row = self.database.row(f"{_COLUMNS} WHERE {condition}", reference)
            if row:
                return Network(row)
        rows = []
        if reference and not set(reference) - set("0123456789abcdef"):
            rows = self.database.rows(f"{_COLUMNS} WHERE id GLOB ? LIMIT 2", f"{reference}*")
        if len(rows) > 1:
            raise EngineError(f"network {reference} is ambiguous (2 matches found on ID prefix)")
        if not rows:
            raise NotFoundError(f"network {reference} not found")
        return Network(rows[0])

    def all(self) -> list[Network]:
        """Return every network by name."""
        return [Network(row) for row in self.database.rows(f"{_COLUMNS} ORDER BY name")]

    def save(self, network: Network) -> None:
        """Write a changed document, and the name of the bridge."""
        self.database.change(
            "UPDATE network SET bridge = ?, document = ? WHERE id = ?",
            network.bridge,
            dumps(network.document),
            network.id,
        )

    def endpoints(self, network: Network) -> list[Endpoint]:
        """Return who is attached to a network."""
        rows = self.database.rows(f"{_ENDPOINT} WHERE network = ? ORDER BY container", network.id)
        return [Endpoint(row) for row in rows]

    def endpoints_of(self, container: str) -> list[Endpoint]:
        """Return the places of a container: the first of those that lead anywhere is its way out, and in."""
        order = "ORDER BY priority DESC, rowid"
        rows = self.database.rows(f"{_ENDPOINT} WHERE container = ? {order}", container)
        return [Endpoint(row) for row in rows]

    def is_way_in(self, network: Network, container: str) -> bool:
        """Tell whether published ports of a container are reached by this network."""
        row = self.database.row(
            "SELECT network.id FROM endpoint JOIN network ON network.id = endpoint.network WHERE container = ?"
            " AND NOT json_extract(document, '$.Internal') ORDER BY priority DESC, endpoint.rowid",
            container,
        )
        return row == (network.id,)

    def attached(self) -> list[str]:
        """Return the ids of all containers that are attached to a network."""
        rows = self.database.rows("SELECT DISTINCT container FROM endpoint")
        return [str(row[0]) for row in rows]

    def ports_of(self, container: str) -> list[Port]:
        """Return the published ports of a container."""
        rows = self.database.rows("SELECT * FROM port WHERE container = ?", container)
        return [Port(row) for row in rows]

    def owner_of(self, protocol: str, address: str, number: int) -> str:
        """Return the container that has a port of the host at this address, or one that covers it; "" for nobody."""
        for row in self.database.rows(
            "SELECT * FROM port WHERE number = ? AND protocol = ?", number, protocol
        ):
            other = Port(row)
            if addresses.family_of(other.address) != addresses.family_of(address):
                continue
            if other.address == address or any(map(addresses.is_any, (address, other.address))):
                return other.container
        return ""
