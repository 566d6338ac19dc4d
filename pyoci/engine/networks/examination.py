# SPDX-License-Identifier: Apache-2.0
"""Examine this host: what would keep networks from working although all that is ours is in order, and the command that mends it.

A packet goes through the base chains of everybody: that ours accept it is no help where another one's policy drops it
(nft(8), "CHAINS"). Each check yields findings; it reads what the kernel says and changes nothing.
"""

import posix

from pyoci.engine.networks import bridges, firewall
from pyoci.engine.networks.addresses import IPV4, IPV6
from pyoci.engine.places import is_rootless
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from pyoci.engine.networks.records import Network, Networks

    # What is wrong, what it keeps from working, the command that mends it.
    Finding = tuple[str, str, str]
    Document = dict[str, Any]

_FIRST = "pypod0"  # what the default network's bridge will be called
_BEYOND = "what containers send out, and ports that are published to other hosts"
_ALL = "everything that containers send, to one another, too (br_netfilter)"
_LEGACY, _LEGACY_TABLES = "/usr/sbin/iptables-legacy", "/proc/net/ip_tables_names"
_DROPS = ("drop", "reject")
_FAMILIES = {"ip": "iptables", "ip6": "ip6tables"}


def examine(networks: "Networks") -> "Iterator[Finding]":
    """Yield everything that is found; nothing where networks work."""
    if is_rootless():
        yield from _way_out()
        return
    if not firewall.program():
        yield "nft is not installed", "every network but none and host", "apt-get install nftables"
        return
    every = [row for row in networks.all() if row.driver == "bridge" and not row.is_internal]
    used = {network.bridge or _FIRST: network for network in every}
    yield from _forwarding([network for network in every if network.bridge])
    yield from _other_chains(used)
    yield from _legacy_chain(used)
    yield from _other_routes(used)


def _way_out() -> "Iterator[Finding]":
    """What leads out of an ordinary user's namespaces."""
    from pyoci.engine import rootless

    if not any(map(rootless.find_program, rootless.WAYS_OUT)):
        wrong = "neither pasta nor slirp4netns is installed"
        yield wrong, "what containers of an ordinary user send out", "apt-get install passt"
    elif not posix.access("/dev/net/tun", posix.R_OK | posix.W_OK):
        wrong = "/dev/net/tun is missing, or may not be opened"
        yield (
            wrong,
            "what containers of an ordinary user send out",
            "modprobe tun; chmod 666 /dev/net/tun",
        )


def _forwarding(used: "list[Network]") -> "Iterator[Finding]":
    """The kernel's own switches: we turn them on with the first network, somebody may have turned them off since."""
    names = {IPV4: "net.ipv4.ip_forward", IPV6: "net.ipv6.conf.all.forwarding"}
    families = {pool.subnet.family for network in used for pool in network.pools()}
    for family in sorted(families):
        if not bridges.forwards(family):
            name = names[family]
            yield f"this host leads no packets on ({name}=0)", _BEYOND, f"sysctl -w {name}=1"


def _other_chains(used: "dict[str, Network]") -> "Iterator[Finding]":
    """Base chains of other programs that drop what nobody has told them of: of Docker, ufw, firewalld, ourselves by hand."""
    listed = parse_object(firewall.listed().encode())["nftables"]
    rows: list[tuple[str, Document]] = [item for row in listed for item in row.items()]  # type: ignore[attr-defined]  # nft's own form
    for kind, chain in rows:
        if kind != "chain" or chain.get("hook") != "forward" or chain["table"] in used:
            continue
        table = [
            row
            for other, row in rows
            if other == "rule"
            and (row["family"], row["table"]) == (chain["family"], chain["table"])
        ]
        if chain.get("policy") != "drop" and not _ends_in_drop(chain, table):
            continue
        known = {device for device in used if _accepts(table, device)}
        for device, network in used.items():
            if device not in known:
                yield _about((device, network.name), chain, rows)


def _ends_in_drop(chain: "Document", rules: "list[Document]") -> bool:
    """Tell whether the last rule of a chain drops whatever has come so far, as firewalld's does."""
    own = [row["expr"] for row in rules if row["chain"] == chain["name"]]
    return bool(own) and {name for part in own[-1] for name in part} <= {*_DROPS, "counter"}


def _accepts(rules: "list[Document]", device: str) -> bool:
    """Tell whether a table accepts what comes from a device and what goes to it, whatever else it asks."""
    found = set()
    for row in rules:
        if any("accept" in part for part in row["expr"]):
            for part in row["expr"]:
                match = part.get("match", {})
                if match.get("right") == device:
                    found.add(match["left"].get("meta", {}).get("key"))
    return {"iifname", "oifname"} <= found


def _about(
    network: tuple[str, str], chain: "Document", rows: "list[tuple[str, Document]]"
) -> "Finding":
    """Return what to say of a chain, with the remedy that its owner survives."""
    device, family, table = network[0], chain["family"], chain["table"]
    wrong = (
        f"chain {family} {table} {chain['name']} of another program drops packets of network"
        f" {network[1]} ({device})"
    )
    effect = _ALL if bridges.asks_rules() else _BEYOND
    names = {row["name"] for kind, row in rows if kind == "chain" and row["table"] == table}
    if table == "firewalld":
        mend = f"firewall-cmd --permanent --zone=trusted --add-interface={device} && firewall-cmd --reload"
    elif "ufw-user-forward" in names:
        mend = f"ufw route allow in on {device} && ufw route allow out on {device}"
    elif family in _FAMILIES and table == "filter":
        where = "DOCKER-USER" if "DOCKER-USER" in names else chain["name"]
        insert = f"{_FAMILIES[family]} -I {where}"
        mend = f"{insert} -i {device} -j ACCEPT && {insert} -o {device} -j ACCEPT"
    else:
        insert = f"nft insert rule {family} {table} {chain['name']}"
        mend = f"{insert} iifname {device} accept && {insert} oifname {device} accept"
    return wrong, effect, mend


def _legacy_chain(used: "dict[str, Network]") -> "Iterator[Finding]":
    """The older iptables, which nft does not see."""
    try:
        with open(_LEGACY_TABLES, encoding="ascii") as file:
            has_filter = "filter" in file.read().split()
    except FileNotFoundError:
        has_filter = False
    if not has_filter or not posix.access(_LEGACY, posix.X_OK):
        return
    rules = firewall.said([_LEGACY, "-S"]).splitlines()
    if "-P FORWARD DROP" not in rules:
        return
    for device, network in used.items():
        if not all(f"-A FORWARD {way} {device} -j ACCEPT" in rules for way in ("-i", "-o")):
            insert = f"{_LEGACY} -I FORWARD"
            mend = f"{insert} -i {device} -j ACCEPT && {insert} -o {device} -j ACCEPT"
            yield (
                f"chain FORWARD of iptables-legacy drops packets of network {network.name} ({device})",
                _BEYOND,
                mend,
            )


def _other_routes(used: "dict[str, Network]") -> "Iterator[Finding]":
    """Routes that came later than a network, a tunnel's perhaps, to the same addresses."""
    for device, network in used.items():
        for pool in network.pools():
            for text, other in bridges.routes_within(pool.subnet, device):
                wrong = f"a route to {text} leads through {other}, and network {network.name} has {pool.subnet.text()}"
                mend = f"pypod network create --subnet ... with addresses that nobody has, in place of {network.name}"
                yield wrong, f"packets to containers of {network.name}", mend
