# SPDX-License-Identifier: Apache-2.0
"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container: files of its own, changed in place, for they are mounted."""

import posix

from pyoci.engine.containers import network
from pyoci.engine.networks.addresses import NAME_SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.record import Container

_LOCAL = """127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::0\tip6-localnet
ff00::0\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
"""
_FLAGS = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_NOFOLLOW | posix.O_CLOEXEC
_DEFAULT_SERVERS = ("8.8.8.8", "8.8.4.4")


def addresses(container: "Container") -> list[str]:
    """Return the addresses that a container has, in the order of its networks."""
    rows = container.document["NetworkSettings"]["Networks"].values()
    held = [row[key] for row in rows for key in ("IPAddress", "GlobalIPv6Address")]
    return [address for address in held if address]


def write(container: "Container", links: "list[tuple[str, str]]") -> None:
    """Write all three; `links` are (address, names)."""
    host, own = container.host_config, container.config
    text = _host_text() if host["NetworkMode"] == "host" else _LOCAL
    for entry in host["ExtraHosts"] or ():
        name, _, address = entry.partition(":")
        text += f"{_resolved(container, address)}\t{name}\n"
    text += "".join(f"{address}\t{names}\n" for address, names in links)
    name = own["Hostname"]
    full = f"{name}.{own['Domainname']} {name}" if own["Domainname"] else name
    text += "".join(f"{address}\t{full}\n" for address in addresses(container))
    put(container, "hosts", text)
    put(container, "hostname", f"{name}\n")
    put(container, "resolv.conf", resolver(host, named=network.has_names(container)))


def _resolved(container: "Container", address: str) -> str:
    """Return the address of an --add-host; `host-gateway` is how the host is reached."""
    if address != "host-gateway":
        return address
    rows = container.document["NetworkSettings"]["Networks"].values()
    return next((row["Gateway"] for row in rows if row["Gateway"]), "127.0.0.1")


def put(container: "Container", name: str, text: str) -> None:
    """Replace what is in a file, not the file."""
    fd = posix.open(f"{container.directory}/{name}", _FLAGS, 0o644)
    try:
        posix.fchmod(fd, 0o644)
        posix.write(fd, text.encode("utf-8", "surrogateescape"))
    finally:
        posix.close(fd)


def _host_text() -> str:
    return _read("/etc/hosts")


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def resolver(host: "dict[str, Any]", *, named: bool) -> str:
    """Return resolv.conf: the host's, less servers on its loopback, with what was asked for in its place.

    Where the container's networks have names its monitor is the one server, and asks the others (monitor/names.py).
    """
    rows = _host_rows()
    search = host["DnsSearch"] or _words(rows, "search")
    options = host["DnsOptions"] or _words(rows, "options")
    found = [NAME_SERVER] if named else servers(host)
    if named and not any(option.startswith("ndots:") for option in options):
        options = [*options, "ndots:0"]
    text = ""
    if search and search != ["."]:
        text += f"search {' '.join(search)}\n"
    text += "".join(f"nameserver {server}\n" for server in found)
    if options:
        text += f"options {' '.join(options)}\n"
    return text


def _host_rows() -> list[list[str]]:
    lines = _read("/etc/resolv.conf").split("\n")
    return [line.split() for line in lines if line and line[0] not in "#;"]


def servers(host: "dict[str, Any]", *, loopback: bool = False) -> list[str]:
    """Return the name servers of a container that asks for itself; those on the host's `loopback` only its monitor can ask."""
    if host["Dns"]:
        return [*host["Dns"]]
    found = [row[1] for row in _host_rows() if row[0] == "nameserver" and len(row) > 1]
    if loopback or host["NetworkMode"] in ("host", "none"):
        return found
    usable = [server for server in found if not server.startswith("127.") and server != "::1"]
    return usable or [*_DEFAULT_SERVERS]


def _words(rows: list[list[str]], name: str) -> list[str]:
    return [word for row in rows if row[0] == name for word in row[1:]]
