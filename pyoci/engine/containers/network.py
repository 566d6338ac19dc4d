# SPDX-License-Identifier: Apache-2.0
"""Which network a container has: none, the host's, another container's, or places in networks (attachment.py)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container, Records

    Document = dict[str, Any]

JOINS = "container:"
_OWN = ("none", "host")
DEFAULT = "bridge"


def is_users(mode: str) -> bool:
    """Tell whether a mode is the name of a network that somebody has made, not one of Docker's kinds."""
    return mode not in (*_OWN, "default", DEFAULT) and not mode.startswith(JOINS)


def is_simple(container: "Container") -> bool:
    """Tell whether no network has to be made: none, host, container:X."""
    mode = container.host_config["NetworkMode"]
    return mode in _OWN or mode.startswith(JOINS)


def is_own(container: "Container") -> bool:
    """Tell whether the container has a network namespace of its own."""
    mode = container.host_config["NetworkMode"]
    return mode != "host" and not mode.startswith(JOINS)


def has_names(container: "Container") -> bool:
    """Tell whether the container is in a network in which names are found: any but the default one."""
    named = container.document["NetworkSettings"]["Networks"]
    return not is_simple(container) and any(name != DEFAULT for name in named)


def joined(records: "Records", container: "Container") -> "Container | None":
    """Return the container whose network this one has, None for its own."""
    mode = container.host_config["NetworkMode"]
    return records.find(mode.removeprefix(JOINS)) if mode.startswith(JOINS) else None


def entry() -> "Document":
    """Return what is asked of a network of which nothing particular is asked."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": "",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }


def no_addresses() -> "Document":
    """Return the fields of a place that nobody has taken."""
    return {
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
    }


def settings(asked: "Document") -> "Document":
    """Return NetworkSettings of a container that is attached to nothing, with what it asked of networks."""
    return {
        "Bridge": "",
        "SandboxID": "",
        "SandboxKey": "",
        "Ports": {},
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        **no_addresses(),
        "Networks": {name: {**row, **no_addresses()} for name, row in asked.items()},
    }
