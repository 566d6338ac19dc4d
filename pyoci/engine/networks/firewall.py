# SPDX-License-Identifier: Apache-2.0
"""The rules of a network: one table of nftables, loaded whole, with elements in its maps for the ports that are published.

What comes to a published port of the host goes on to its container; what a container sends out has the host's address; what
comes from elsewhere straight to a container, from another bridge or from outside, is dropped. Ports of 127.0.0.1 and ::1 have no
rule: who connects to them speaks with the monitor (monitor/forward.py), for the kernel takes no such packet off the loopback
without net.ipv4.conf.*.route_localnet, which would open the host's own services to containers (CVE-2020-8558).

Where containers are kept apart (enable_icc=false) the same chain sees what goes from one port of the bridge to another, for the
bridge asks (bridges.py), and what a container sends to another by way of the gateway.
"""

import errno
import posix

from pyoci.engine.errors import EngineError
from pyoci.engine.networks import addresses
from pyoci.engine.networks.addresses import IPV4, IPV6
from pyoci.engine.networks.netlink import NETFILTER, Element, Netlink
from pyoci.engine.networks.records import ICC, MASQUERADE, Network, Networks, Port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.engine.networks.openings import Opening
    from pyoci.engine.networks.records import Endpoint

_PROGRAMS = ("/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft", "/usr/local/sbin/nft")
_PROTOCOLS = {"tcp": b"\x06", "udp": b"\x11", "sctp": b"\x84"}
_TABLE = """table inet {bridge}
delete table inet {bridge}
table inet {bridge} {{
 map ports {{ type inet_proto . inet_service : ipv4_addr . inet_service; }}
 map ports_at {{ type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }}
 map ports6 {{ type inet_proto . inet_service : ipv6_addr . inet_service; }}
 map ports6_at {{ type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }}
 chain published {{
  dnat ip to ip daddr . meta l4proto . th dport map @ports_at
  meta nfproto ipv4 dnat ip to meta l4proto . th dport map @ports
  dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports6_at
  meta nfproto ipv6 dnat ip6 to meta l4proto . th dport map @ports6
 }}
 chain prerouting {{
  type nat hook prerouting priority dstnat
  fib daddr type local jump published
 }}
 chain output {{
  type nat hook output priority -100
  ip daddr 127.0.0.0/8 return
  ip6 daddr ::1 return
  fib daddr type local jump published
 }}
 chain postrouting {{
  type nat hook postrouting priority srcnat
{masquerade} }}
 chain forward {{
  type filter hook forward priority filter
  oifname "{bridge}" jump to_bridge
{closed} }}
 chain to_bridge {{
  ct state established,related accept
{inner}{entry}  drop
 }}
}}
"""
_LINKED = """  iifname "{bridge}" {family} saddr . {family} daddr . meta l4proto . th dport {{ {openings} }} accept
"""
# What ARP is to IPv4; the containers would not find each other's link-layer addresses.
_NEIGHBOURS = """  iifname "{bridge}" icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert }} accept
"""
_MASQUERADE = """  {family} saddr {subnet} oifname != "{bridge}" masquerade
  {family} saddr {subnet} oifname "{bridge}" ct status dnat masquerade
"""


def load(networks: Networks, network: Network) -> None:
    """Make the table of a network as its rows say, in one transaction of the kernel's; the old one is gone then."""
    from pyoci.engine.networks.openings import openings

    elements = []
    for endpoint in networks.endpoints(network):
        ports = networks.ports_of(endpoint.container)
        if ports and networks.is_way_in(network, endpoint.container):
            elements += elements_of(ports, endpoint)
    run(text_of(network, openings(networks, network)))
    _add(network, elements)


def _add(network: Network, elements: "Sequence[Element]") -> None:
    if elements:
        socket = Netlink(NETFILTER)
        try:
            socket.add_elements(network.bridge, elements)
        finally:
            socket.close()


def text_of(network: Network, opened: "Sequence[Opening]") -> str:
    """Return the rules of a network, in the words of nft(8); `opened` is what counts where its containers are kept apart."""
    bridge, rules, closed, entry = network.bridge, "", "", "  ct status dnat accept\n"
    if network.is_internal:
        closed, entry = f'  iifname "{bridge}" oifname != "{bridge}" drop\n', ""
    elif network.is_on(MASQUERADE):
        for pool in network.pools():
            family = "ip" if pool.subnet.family == IPV4 else "ip6"
            rules += _MASQUERADE.format(family=family, subnet=pool.subnet.text(), bridge=bridge)
    inner = f'  iifname "{bridge}" accept\n'
    if not network.is_on(ICC):
        rows = [_linked(bridge, family, opened) for family in (IPV4, IPV6)]
        inner = "".join((_NEIGHBOURS.format(bridge=bridge), *rows))
    return _TABLE.format(bridge=bridge, masquerade=rules, closed=closed, inner=inner, entry=entry)


def _linked(bridge: str, family: int, opened: "Sequence[Opening]") -> str:
    rows = [row for row in opened if addresses.family_of(row[0]) == family]
    text = ", ".join(f"{source} . {to} . {kind} . {port}" for source, to, kind, port in rows)
    name = "ip" if family == IPV4 else "ip6"
    return _LINKED.format(bridge=bridge, family=name, openings=text) if rows else ""


def remove(network: Network) -> None:
    """Remove the table of a network, where there is one."""
    run(f"table inet {network.bridge}\ndelete table inet {network.bridge}\n")


def run(rules: str) -> None:
    """Have nft(8) carry out a script, in our network namespace."""
    found = program()
    if not found:
        raise EngineError("nft: not found: install nftables, or use --network none, host")
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    errors = posix.memfd_create("nft", posix.MFD_CLOEXEC)
    actions = [
        (posix.POSIX_SPAWN_DUP2, reading, 0),
        (posix.POSIX_SPAWN_DUP2, errors, 1),
        (posix.POSIX_SPAWN_DUP2, errors, 2),
    ]
    try:
        pid = posix.posix_spawn(found, ["nft", "-f", "-"], {}, file_actions=actions)
        posix.close(reading)
        posix.write(writing, rules.encode())
        posix.close(writing)
        code = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
        said = posix.pread(errors, 4096, 0).decode("utf-8", "replace").strip()
    finally:
        posix.close(errors)
    if code != 0:
        raise EngineError(f"nft: {said.splitlines()[0] if said else f'exit status {code}'}")


def program() -> str:
    """Return where nft(8) is, "" where it is not installed."""
    return next((path for path in _PROGRAMS if posix.access(path, posix.X_OK)), "")


def listed() -> str:
    """Return all rules of this host, everybody's, as nft(8) writes them in JSON."""
    return said([program(), "--json", "list", "ruleset"])


def said(words: list[str]) -> str:
    """Return what a program says that reads rules; raises EngineError with its own words where it fails."""
    import subprocess

    ran = subprocess.run(words, capture_output=True, text=True, check=False)  # noqa: S603 - no word is anybody else's
    if ran.returncode:
        raise EngineError(ran.stderr.strip() or f"{words[0]}: exit status {ran.returncode}")
    return ran.stdout


def elements_of(ports: "Sequence[Port]", endpoint: "Endpoint") -> list[Element]:
    """Return the elements that lead what comes to these ports to an endpoint; its families are what they can lead to."""
    found = []
    for port in ports:
        family = addresses.family_of(port.address)
        target = endpoint.ipv4 if family == IPV4 else endpoint.ipv6
        host = addresses.pack(port.address)
        if not target or _is_loopback(host):
            continue
        key = [_PROTOCOLS[port.protocol], port.number.to_bytes(2, "big")]
        value = [addresses.pack(target), port.inner.to_bytes(2, "big")]
        name = "ports6" if family == IPV6 else "ports"
        if any(host):
            found.append(Element(f"{name}_at", [host, *key], value))
        else:
            found.append(Element(name, key, value))
    return found


def _is_loopback(host: bytes) -> bool:
    return host[0] == 127 if len(host) == 4 else host == bytes(15) + b"\x01"


def publish(networks: Networks, network: Network, elements: "Sequence[Element]") -> None:
    """Add elements to the table of a network; where something is in the way it is made anew from the rows."""
    try:
        _add(network, elements)
    except OSError:
        load(networks, network)


def withdraw(network: Network, elements: "Sequence[Element]") -> bool:
    """Delete elements from the table of a network; False where the table is not as it should be, and is to be loaded anew."""
    socket = Netlink(NETFILTER)
    try:
        if elements and socket.has_table(network.bridge):
            socket.delete_elements(network.bridge, elements)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise
        return False
    finally:
        socket.close()
    return True
