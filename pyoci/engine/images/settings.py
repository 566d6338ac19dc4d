# SPDX-License-Identifier: Apache-2.0
"""Mirrors and registries without TLS, from a file with the keys of Docker's daemon.json.

    {"registry-mirrors": ["https://mirror.example"], "insecure-registries": ["registry.example:5000", "10.0.0.0/8"]}

The file is $PYPOD_CONFIG, else /etc/pypod/config.json, for a user ~/.config/pypod/config.json. Localhost needs no row.
"""

import ipaddress

from pyoci.engine.errors import EngineError
from pyoci.engine.images.config import parse_document
from pyoci.engine.places import is_rootless
from pyoci.linux.environment import variable

_SYSTEM = "/etc/pypod/config.json"


class Settings:
    """What was configured: URLs of mirrors of docker.io, hosts that may be spoken to without TLS."""

    __slots__ = ("insecure", "mirrors")

    def __init__(self, mirrors: list[str], insecure: list[str]) -> None:
        self.mirrors = mirrors
        self.insecure = insecure

    def is_insecure(self, domain: str) -> bool:
        """Tell whether a registry may do without TLS: localhost, 127.0.0.0/8, ::1, and what was configured."""
        host = host_of(domain)
        if host == "localhost" or domain in self.insecure or host in self.insecure:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        if address.is_loopback:
            return True
        return any(address in network for network in map(_network, self.insecure) if network)


def read() -> Settings:
    """Return what the file says; nothing where there is none."""
    path = variable("PYPOD_CONFIG") or _default()
    try:
        with open(path, "rb") as file:
            found = parse_document(file.read(), path)
    except FileNotFoundError:
        found = {}
    lists = []
    for key in ("registry-mirrors", "insecure-registries"):
        value = found.get(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise EngineError(f"{path}: {key}: must be an array of strings")
        lists.append(value)
    return Settings(*lists)


def host_of(domain: str) -> str:
    """Return a registry's host without port and brackets."""
    host, colon, port = domain.rpartition(":")
    if not colon or not port.isdigit():
        host = domain
    return host.strip("[]")


def _network(text: str) -> "ipaddress.IPv4Network | ipaddress.IPv6Network | None":
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        return None


def _default() -> str:
    if not is_rootless():
        return _SYSTEM
    return f"{variable('XDG_CONFIG_HOME') or variable('HOME') + '/.config'}/pypod/config.json"
