# SPDX-License-Identifier: Apache-2.0
"""Which network a container has: none, the host's, another container's; all others are the business of pyoci.engine.networks."""

from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container, Records

_JOINS = "container:"
_OWN = ("none", "host")


def is_simple(container: "Container") -> bool:
    """Tell whether no network has to be made: none, host, container:X."""
    mode = container.host_config["NetworkMode"]
    return mode in _OWN or mode.startswith(_JOINS)


def joined(records: "Records", container: "Container") -> "Container | None":
    """Return the container whose network this one has, None for its own."""
    mode = container.host_config["NetworkMode"]
    return records.find(mode.removeprefix(_JOINS)) if mode.startswith(_JOINS) else None


def settings(container: "Container") -> "dict[str, Any]":
    """Return NetworkSettings of a container that is attached to nothing."""
    mode = container.host_config["NetworkMode"]
    names = [mode] if mode in _OWN else []
    return {
        "Bridge": "",
        "SandboxID": "",
        "HairpinMode": False,
        "LinkLocalIPv6Address": "",
        "LinkLocalIPv6PrefixLen": 0,
        "Ports": {},
        "SandboxKey": "",
        "SecondaryIPAddresses": None,
        "SecondaryIPv6Addresses": None,
        "EndpointID": "",
        "Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "MacAddress": "",
        "Networks": {name: _endpoint() for name in names},
    }


def _endpoint() -> "dict[str, Any]":
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "MacAddress": "",
        "DriverOpts": None,
    }


def attach(container: "Container", pid: int) -> "dict[str, Any]":
    """Give a created container its network, between create and start; returns NetworkSettings."""
    del pid
    if is_simple(container):
        return settings(container)
    mode = container.host_config["NetworkMode"]
    raise EngineError(f"network {'bridge' if mode == 'default' else mode} not found")


def detach(container: "Container") -> None:
    """Take a container that has ended from its networks."""
    del container
