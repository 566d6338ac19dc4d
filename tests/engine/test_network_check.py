# SPDX-License-Identifier: Apache-2.0
"""`pypod network check` on a host that keeps networks from working; its remedies are carried out, and then they work."""

from collections.abc import Iterator

import pytest
from sides import IMAGE, Pypod
from topology import NEIGHBOUR_ADDRESS, RESPONDER, Topology

pytestmark = pytest.mark.root
WELL = "nothing on this host keeps networks from working\n"
CHAIN = "chain ip filter FORWARD of another program drops packets of network bridge (pypod0)"
FIREWALLD = """
table inet firewalld {
 chain filter_FORWARD {
  type filter hook forward priority filter + 10; policy accept;
  ct state established,related accept
  jump zones
  reject with icmpx admin-prohibited
 }
 chain zones { }
}
"""
LEGACY = "chain FORWARD of iptables-legacy drops packets of network bridge (pypod0)"


@pytest.fixture
def host(networked: Pypod, topology: Topology) -> Iterator[Topology]:
    """The host, whose rules and switches are as they were when the test has ended."""
    assert goes_out(networked, topology)  # from now on there is a bridge
    yield topology
    topology.host.shell("nft flush ruleset; sysctl -qw net.ipv4.ip_forward=1")
    topology.host("iptables-legacy", "-P", "FORWARD", "ACCEPT")
    topology.host("iptables-legacy", "-F")
    for name in ("iptables", "ip6tables"):
        topology.host(name, "-P", "FORWARD", "ACCEPT")
    topology.host("nft", "flush", "ruleset")


def goes_out(networked: Pypod, topology: Topology) -> bool:
    """Tell whether a container reaches the host's neighbour."""
    peer = topology.neighbour.spawn(*RESPONDER, "tcp-peer", NEIGHBOUR_ADDRESS, "7000")
    ask = f"for i in 1 2 3 4 5 6; do sleep 1 | nc -w 1 {NEIGHBOUR_ADDRESS} 7000 | grep 10 && exit; sleep 0.1; done"
    ran = networked("run", "--rm", IMAGE, "sh", "-c", ask)
    peer.end()
    return ran.stdout != ""


def mends(networked: Pypod) -> list[str]:
    """Return the remedies of what is found."""
    ran = networked("network", "check")
    assert ran.code == 1
    lines = ran.stdout.splitlines()
    return [line.removeprefix("  mend:  ") for line in lines if line.startswith("  mend:  ")]


def test_a_host_that_is_well(networked: Pypod, host: Topology) -> None:
    ran = networked("network", "check")
    assert (ran.code, ran.stdout) == (0, WELL)


@pytest.mark.parametrize("user", ["", "DOCKER-USER"])
def test_a_policy_of_docker_or_iptables(user: str, networked: Pypod, host: Topology) -> None:
    """highlevel.md 3.5: another base chain's drop beats our accept."""
    host.host.output("iptables", "-P", "FORWARD", "DROP")
    if user:
        host.host.shell(f"iptables -N {user}; iptables -A FORWARD -j {user}")
    assert not goes_out(networked, host)
    said = networked("network", "check").stdout
    assert CHAIN in said
    assert "  keeps: what containers send out, " in said or "to one another, too" in said
    (mend,) = mends(networked)
    assert f"iptables -I {user or 'FORWARD'} -i pypod0 -j ACCEPT" in mend
    host.host.shell(mend)
    assert networked("network", "check").stdout == WELL
    assert goes_out(networked, host)


def test_a_policy_of_nftables(networked: Pypod, host: Topology) -> None:
    chain = "type filter hook forward priority 5; policy drop;"
    host.host.shell(f"nft add table inet mine; nft add chain inet mine guard '{{ {chain} }}'")
    networked.output("network", "create", "one")
    networked.output("network", "create", "--internal", "inner")
    found = mends(networked)
    assert len(found) == 2
    for mend in found:
        host.host.shell(mend)
    assert networked("network", "check").stdout == WELL
    assert goes_out(networked, host)


def test_a_chain_that_ends_with_a_refusal(networked: Pypod, host: Topology) -> None:
    """firewalld's has no policy, but a last rule."""
    host.host.shell(f"nft -f - <<'END'\n{FIREWALLD}\nEND")
    assert not goes_out(networked, host)
    (mend,) = mends(networked)
    assert mend.startswith("firewall-cmd --permanent --zone=trusted --add-interface=pypod0")


def test_the_older_iptables(networked: Pypod, host: Topology) -> None:
    """nft(8) does not see its rules."""
    if host.host("iptables-legacy", "-P", "FORWARD", "DROP").code:
        pytest.skip("this kernel has no iptables-legacy")
    assert LEGACY in networked("network", "check").stdout
    (mend,) = mends(networked)
    host.host.shell(mend)
    assert networked("network", "check").stdout == WELL


def test_a_host_that_leads_nothing_on(networked: Pypod, host: Topology) -> None:
    """Somebody has turned forwarding off since the network was made."""
    host.host.output("sysctl", "-qw", "net.ipv4.ip_forward=0")
    assert not goes_out(networked, host)
    (mend,) = mends(networked)
    assert mend == "sysctl -w net.ipv4.ip_forward=1"
    host.host.shell(mend)
    assert goes_out(networked, host)


def test_a_route_that_came_later(networked: Pypod, host: Topology) -> None:
    """A tunnel's, most often."""
    networked.output("network", "create", "--subnet", "172.28.0.0/24", "one")
    host.host.output("ip", "route", "add", "172.28.0.0/25", "dev", "wire0")
    said = networked("network", "check").stdout
    host.host.output("ip", "route", "del", "172.28.0.0/25", "dev", "wire0")
    assert "a route to 172.28.0.0/25 leads through wire0, and network one has 172.28.0.0/24" in said
