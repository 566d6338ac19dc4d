# SPDX-License-Identifier: Apache-2.0
"""/etc/hosts, /etc/hostname and /etc/resolv.conf of a container: files of its own, changed in place, for they are mounted."""

import posix

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


def write(container: "Container", links: "list[tuple[str, str]]", addresses: list[str]) -> None:
    """Write all three; `links` are (address, names), `addresses` the container's own."""
    host, own = container.host_config, container.config
    text = _host_text() if host["NetworkMode"] == "host" else _LOCAL
    for entry in host["ExtraHosts"] or ():
        name, _, address = entry.partition(":")
        text += f"{address}\t{name}\n"
    text += "".join(f"{address}\t{names}\n" for address, names in links)
    name = own["Hostname"]
    full = f"{name}.{own['Domainname']} {name}" if own["Domainname"] else name
    text += "".join(f"{address}\t{full}\n" for address in addresses)
    put(container, "hosts", text)
    put(container, "hostname", f"{name}\n")
    put(container, "resolv.conf", resolver(host))


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


def resolver(host: "dict[str, Any]") -> str:
    """Return resolv.conf: the host's, less servers on its loopback, with what was asked for in its place."""
    lines = _read("/etc/resolv.conf").split("\n")
    rows = [line.split() for line in lines if line and line[0] not in "#;"]
    servers = host["Dns"] or [row[1] for row in rows if row[0] == "nameserver" and len(row) > 1]
    if host["NetworkMode"] not in ("host", "none") and not host["Dns"]:
        usable = [server for server in servers if not server.startswith("127.") and server != "::1"]
        servers = usable or _DEFAULT_SERVERS
    search = host["DnsSearch"] or _words(rows, "search")
    options = host["DnsOptions"] or _words(rows, "options")
    text = "".join(f"nameserver {server}\n" for server in servers)
    if search and search != ["."]:
        text += f"search {' '.join(search)}\n"
    if options:
        text += f"options {' '.join(options)}\n"
    return text


def _words(rows: list[list[str]], name: str) -> list[str]:
    return [word for row in rows if row[0] == name for word in row[1:]]
