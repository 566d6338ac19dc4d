# SPDX-License-Identifier: Apache-2.0
"""What the command line asks of networks: --network in both of its forms, addresses, aliases; what contradicts is refused."""

from pyoci.engine.containers import network
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.flags import Flags

    Document = dict[str, Any]

_FIELDS = (
    "alias",
    "driver-opt",
    "gw-priority",
    "ip",
    "ip6",
    "link-local-ip",
    "mac-address",
    "name",
)
# What `container:X` does not go with: the flag, the words.
_NOT_JOINED = (
    (
        "link",
        "container type network can't be used with links. This would result in undefined behavior",
    ),
    ("dns", "dns and the network mode"),
    ("add-host", "custom host-to-IP mapping and the network mode"),
    ("mac-address", "mac-address and the network mode"),
    ("expose", "port exposing and the container type network mode"),
)


def wrong(message: str) -> EngineError:
    """Return what Docker's own client would refuse, with its status."""
    return EngineError(message, 125)


def mode(flags: "Flags") -> str:
    """Return NetworkMode: the kind of network, or the first network's name."""
    asked = _values(flags)
    return asked[0]["name"][-1] if asked else "default"


def _values(flags: "Flags") -> list[dict[str, list[str]]]:
    """Return every --network as its fields; one without any is a name."""
    found = []
    for text in flags.every("network"):
        fields: dict[str, list[str]] = {}
        for part in text.split(",") if "=" in text else [f"name={text}"]:
            name, equals, value = part.partition("=")
            if not equals or name not in _FIELDS:
                raise wrong(f'invalid argument "{text}" for "--network" flag: invalid field {part}')
            fields.setdefault(name.strip().lower(), []).append(value)
        if not fields.get("name", [""])[-1]:
            raise wrong("no name set for network")
        found.append(fields)
    return found


def asked(flags: "Flags", identity: str) -> "Document":
    """Return NetworkSettings.Networks: what is asked of each network; flags without a network speak of the first."""
    values = _values(flags) or [{"name": ["bridge"]}]
    names = [fields["name"][-1] for fields in values]
    if len(names) > 1 and not all(map(network.is_users, names)):
        raise wrong(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
        )
    if names[0].startswith(network.JOINS):
        return {}
    first = values[0]
    for flag, field in (("network-alias", "alias"), ("ip", "ip"), ("ip6", "ip6")):
        if flags.is_given(flag):
            if field in first:
                raise wrong(
                    f"conflicting options: cannot specify both --{flag} and per-network {field}"
                )
            first[field] = flags.every(flag)
    if "alias" in first and not network.is_users(names[0]):
        raise wrong("network-scoped aliases are only supported for user-defined networks")
    found = {}
    for fields in values:
        name = network.DEFAULT if fields["name"][-1] == "default" else fields["name"][-1]
        found[name] = entry(name, fields, identity)
    if network.is_users(names[0]):
        found[names[0]]["Links"] = flags.every("link") or None
    return found


def entry(name: str, fields: dict[str, list[str]], identity: str) -> "Document":
    """Return what is asked of one network by its fields, in the form of NetworkSettings.Networks."""
    wanted = {}
    for field, key in (("ip", "IPv4Address"), ("ip6", "IPv6Address")):
        if field in fields:
            wanted[key] = fields[field][-1]
    aliases = fields.get("alias", [])
    if network.is_users(name):
        aliases = [*aliases, identity[:12]]
    return {**network.entry(), "IPAMConfig": wanted or None, "Aliases": aliases or None}


def check(flags: "Flags", document: "Document") -> None:
    """Refuse what Docker's daemon refuses of HostConfig."""
    kind = document["NetworkMode"]
    if kind.startswith(network.JOINS):
        if flags.is_given("hostname"):
            raise EngineError("conflicting options: hostname and the network mode")
        if document["PortBindings"] or document["PublishAllPorts"]:
            raise EngineError(
                "conflicting options: port publishing and the container type network mode"
            )
        for flag, words in _NOT_JOINED:
            if flags.is_given(flag):
                raise EngineError(f"conflicting options: {words}")
    elif kind == "host" and flags.is_given("link"):
        raise EngineError(
            "conflicting options: host type networking can't be used with links. This would result in undefined behavior"
        )
