# SPDX-License-Identifier: Apache-2.0
"""Mirrors and registries without TLS, as the configuration file names them (daemonconfig.py); localhost needs no row."""

import ipaddress

from pyoci.engine import daemonconfig


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
    found = daemonconfig.read()
    return Settings(found["registry-mirrors"], found["insecure-registries"])


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
