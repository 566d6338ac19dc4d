# SPDX-License-Identifier: Apache-2.0
"""`network ls`: list networks."""

from pyoci.engine.errors import EngineError
from pyoci.flags import BOOLEANS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.networks.records import Network, Networks
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

HEADERS = {
    "ID": "NETWORK ID",
    "Name": "NAME",
    "Driver": "DRIVER",
    "Scope": "SCOPE",
    "IPv4": "IPV4",
    "IPv6": "IPV6",
    "Internal": "INTERNAL",
    "Labels": "LABELS",
    "CreatedAt": "CREATED AT",
}
DEFAULT = "{{.ID}}\\t{{.Name}}\\t{{.Driver}}\\t{{.Scope}}"
RAW = "network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n"
_FILTERS = ("dangling", "driver", "id", "label", "name", "scope", "type")
_SHORT = 12
FLAGS: "tuple[Flag, ...]" = (
    ("filter", "f", "filter", 'Provide filter values (e.g. "driver=bridge")'),
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("no-trunc", "", "", "Do not truncate the output"),
    ("quiet", "q", "", "Only display network IDs"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the networks by name."""
    del arguments
    from pyoci.engine.containers.record import Records
    from pyoci.engine.networks.records import Networks
    from pyoci.engine.tables import render

    networks = Networks(Records(places).database)
    check = parse_filters(flags.every("filter"))
    found = [network for network in networks.all() if matches(networks, network, check)]
    rows = [row(network, truncated=not flags.is_on("no-trunc")) for network in found]
    form = flags.text("format")
    if flags.is_on("quiet") and not form:
        print("".join(f"{shown['ID']}\n" for shown in rows), end="")
        return 0
    print(render(form, rows, HEADERS, DEFAULT, "*network.networkContext", RAW), end="")
    return 0


def row(network: "Network", *, truncated: bool) -> dict[str, object]:
    """Return what a table or a template can show of a network."""
    from pyoci.engine import moments

    document = network.document
    return {
        "ID": network.id[:_SHORT] if truncated else network.id,
        "Name": network.name,
        "Driver": network.driver,
        "Scope": "local",
        "IPv4": "true",
        "IPv6": "true" if document["EnableIPv6"] else "false",
        "Internal": "true" if network.is_internal else "false",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(document["Labels"].items())),
        "CreatedAt": moments.spaced(network.created),
    }


def parse_filters(filters: list[str]) -> dict[str, list[str]]:
    """Return values by name of filter."""
    found: dict[str, list[str]] = {}
    for text in filters:
        name, _, value = text.partition("=")
        if name not in _FILTERS:
            raise EngineError(f"Invalid filter '{name}'")
        if name == "type" and value not in ("custom", "builtin"):
            raise EngineError(f"invalid filter: 'type'='{value}'")
        found.setdefault(name, []).append(value)
    return found


def matches(networks: "Networks", network: "Network", check: dict[str, list[str]]) -> bool:
    """Tell whether a network is asked for."""
    from pyoci.engine.networks.records import PREDEFINED

    labels = network.document["Labels"]

    def has_label(text: str) -> bool:
        name, equals, value = text.partition("=")
        return name in labels and (not equals or labels[name] == value)

    kind = "builtin" if network.name in PREDEFINED else "custom"
    tests = {
        "driver": lambda value: value == network.driver,
        "id": network.id.startswith,
        "label": has_label,
        "name": lambda value: value in network.name,
        "scope": lambda value: value == "local",
        "type": lambda value: value == kind,
        "dangling": lambda value: (
            BOOLEANS.get(value, True) == (kind == "custom" and not networks.endpoints(network))
        ),
    }
    return all(any(map(tests[name], values)) for name, values in check.items())
