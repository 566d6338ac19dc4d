# SPDX-License-Identifier: Apache-2.0
"""What the command line asks of networks: --network in both of its forms, addresses, aliases; what contradicts is refused."""

from pyoci.engine.containers import network
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.flags import Flags

    Document = dict[str, Any]
    Fields = dict[str, list[str]]

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
# A flag that speaks of the first network, the field that says the same, and what a conflict calls it.
_OF_THE_FIRST = (
    ("network-alias", "alias", "alias"),
    ("ip", "ip", "IPv4 address"),
    ("ip6", "ip6", "IPv6 address"),
    ("link-local-ip", "link-local-ip", "link-local IP addresses"),
)
_ENDPOINT_OPTION = (
    "com.docker.network.endpoint."  # sysctls, names of interfaces: not to be ignored in silence
)
_MAC_DIGITS, _HEX = 12, frozenset("0123456789abcdefABCDEF")
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


def parse(text: str) -> "Fields":
    """Return a --network as its fields, one without any is a name; raises ValueError in the words of Docker's client."""
    if "=" not in text:
        return {"name": [text]}
    fields: Fields = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        name = name.strip().lower()
        if not equals or not name:
            raise ValueError(f"invalid field {part}")
        if name not in _FIELDS:
            raise ValueError(f"invalid field key {name}")
        if name == "gw-priority" and not value.removeprefix("-").isdecimal():
            raise ValueError(f"invalid gw-priority ({value}): invalid syntax")
        if name == "driver-opt" and "=" not in value:
            raise ValueError("invalid key value pair format in driver options")
        fields.setdefault(name, []).append(value)
    if not fields.get("name", [""])[-1]:
        raise ValueError("network name/id is not specified")
    return fields


def mode(flags: "Flags") -> str:
    """Return NetworkMode: the kind of network, or the first network's name."""
    asked = flags.every("network")
    names = [parse(text)["name"][-1] for text in asked]
    if not all(names):
        raise wrong("no name set for network")
    found = names[0] if names else "default"
    if found == network.JOINS:
        raise EngineError("Invalid network mode: invalid container format container:<name|id>")
    return found


def asked(flags: "Flags", identity: str) -> "Document":
    """Return NetworkSettings.Networks: what is asked of each network; flags without a network speak of the first."""
    values = [parse(text) for text in flags.every("network")] or [{"name": ["bridge"]}]
    names = [fields["name"][-1] for fields in values]
    _check_together(names)
    _complete(values[0], flags)
    with_address = any("ip" in fields or "ip6" in fields for fields in values)
    found: Document = {}
    for fields in values:
        name = network.DEFAULT if fields["name"][-1] == "default" else fields["name"][-1]
        found[name] = entry(name, fields, identity)
    if with_address and not network.is_users(names[0]):
        raise EngineError("user specified IP address is supported on user defined networks only")
    if names[0].startswith(network.JOINS):
        return {}
    if network.is_users(names[0]):
        found[names[0]]["Links"] = flags.every("link") or None
    return found


def _check_together(names: list[str]) -> None:
    """Refuse networks that one container cannot have all."""
    if len(names) > 1 and not all(map(network.is_users, names)):
        raise wrong(
            "conflicting options: cannot attach both user-defined and non-user-defined network-modes"
        )
    for name in names:
        if names.count(name) > 1:
            raise wrong(f'network "{name}" is specified multiple times')


def _complete(first: "Fields", flags: "Flags") -> None:
    """Add to the fields of the first network what flags of their own say of it."""
    for flag, field, words in _OF_THE_FIRST:
        if flags.is_given(flag):
            if field in first:
                raise wrong(
                    f"conflicting options: cannot specify both --{flag} and per-network {words}"
                )
            first[field] = flags.every(flag)
    if "alias" in first and not network.is_users(first["name"][-1]):
        raise wrong("network-scoped aliases are only supported for user-defined networks")


def macs(flags: "Flags") -> dict[str, str]:
    """Return the link-layer addresses that are asked for, by network; that of --mac-address is the first one's."""
    found: dict[str, str] = {}
    for fields in map(parse, flags.every("network")):
        if "mac-address" in fields:
            if flags.is_given("mac-address") and not found:
                raise wrong(
                    "conflicting options: cannot specify both --mac-address and per-network MAC address"
                )
            found[fields["name"][-1]] = mac(fields["mac-address"][-1])
    return found


def mac(text: str) -> str:
    """Return a link-layer address as 02:42:ac:11:00:02, from any of the forms that Go reads (net.ParseMAC); "" is none."""
    digits = text
    for mark, width in ((":", 2), ("-", 2), (".", 4)):
        if mark in text:
            parts = text.split(mark)
            digits = "".join(parts) if all(len(part) == width for part in parts) else ""
    if text and (len(digits) != _MAC_DIGITS or digits == text or set(digits) - _HEX):
        raise wrong(f"{text} is not a valid mac address")
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2)).lower()


def entry(name: str, fields: "Fields", identity: str) -> "Document":
    """Return what is asked of one network by its fields, in the form of NetworkSettings.Networks."""
    wanted: Document = {}
    for field, key, version in (("ip", "IPv4Address", 4), ("ip6", "IPv6Address", 6)):
        if field in fields:
            wanted[key] = _address(fields[field][-1], version)
    if "link-local-ip" in fields:
        wanted["LinkLocalIPs"] = fields["link-local-ip"]
    aliases = fields.get("alias", [])
    if network.is_users(name):
        aliases = [*aliases, identity[:12]]
    options = dict(text.partition("=")[::2] for text in fields.get("driver-opt", ()))
    for option in options:
        if option.startswith(_ENDPOINT_OPTION):
            raise EngineError(f"driver option {option} is not supported")
    return {
        **network.entry(),
        "IPAMConfig": wanted or None,
        "Aliases": aliases or None,
        "DriverOpts": options or None,
        "GwPriority": int(fields.get("gw-priority", ["0"])[-1]),
    }


def _address(text: str, version: int) -> str:
    """Return an address that is one of this version of IP."""
    from pyoci.engine.networks import addresses

    try:
        addresses.pack(text)
        good = (addresses.family_of(text) == addresses.IPV6) == (version == 6)
    except ValueError:
        good = False
    if not good:
        raise EngineError(f"invalid IPv{version} address: {text}")
    return text


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
