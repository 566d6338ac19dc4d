# SPDX-License-Identifier: Apache-2.0
"""What networks can be asked for by --opt and --network, as containers see it: a host of the test's own (topology.py)."""

import pytest
from sides import IMAGE, Pypod
from test_networks import SERVER, address, says_hello, serve, within
from topology import HOST_ADDRESS, NEIGHBOUR_ADDRESS, RESPONDER, Topology

pytestmark = pytest.mark.root
APART = ("-o", "com.docker.network.bridge.enable_icc=false")
ASK = ["nc", "-w", "2"]
REACHED = "until nc -w 3 {} 80 </dev/null | grep hello; do sleep 0.1; done"


@pytest.fixture
def apart(networked: Pypod) -> str:
    """A network whose containers are kept apart, and in it a server that exposes its port 80; returns its address."""
    networked.output("network", "create", *APART, "apart")
    serve(networked, "server", "--network", "apart", "--expose", "80")
    return address(networked, "server", "apart")


@pytest.mark.parametrize("asked", ["0", "1"])
def test_containers_are_kept_apart(
    asked: str, networked: Pypod, topology: Topology, apart: str
) -> None:
    """Docker's enable_icc=false, whether or not bridges of this host ask its rules; what is published is reached, by the host."""
    switch = "/proc/sys/net/bridge/bridge-nf-call-iptables"
    topology.host.shell(f"echo {asked} > {switch}")
    serve(networked, "published", "--network", "apart", "-p", "8080:80")
    for name in ("server", "published"):
        ran = networked("run", "--rm", "--network", "apart", IMAGE, *ASK, name, "80")
        assert (ran.code, ran.stdout) == (1, "")
    says_hello(topology)
    script = f"until nc -w 3 {HOST_ADDRESS} 8080 </dev/null | grep hello; do sleep 0.1; done"
    ran = networked("run", "--rm", "--network", "apart", IMAGE, "sh", "-c", script)
    assert ran.stdout == "hello published\n"
    topology.host.shell(f"echo 1 > {switch}")


def test_nobody_gets_around_by_the_gateway(
    networked: Pypod, topology: Topology, apart: str
) -> None:
    """What is sent to the gateway, for another container of the same bridge, does not come back in."""
    gateway = networked.field("server", "{{.NetworkSettings.Networks.apart.Gateway}}")
    serve(networked, "asking", "--network", "apart", "--cap-add", "NET_ADMIN")
    within(networked, "asking").output("ip", "route", "add", f"{apart}/32", "via", gateway)
    assert networked("exec", "asking", *ASK, apart, "80").stdout == ""


def test_a_link_opens_what_its_target_exposes(networked: Pypod, apart: str) -> None:
    """Docker's --icc=false: the exposed ports, to who has the link, for as long as it has the address."""
    linked = ["--network", "apart", "--link", "server:near"]
    serve(networked, "client", *linked)
    assert (
        networked.output("exec", "client", "sh", "-c", REACHED.format("near")) == "hello server\n"
    )
    serve(networked, "other", "--network", "apart")
    assert networked("exec", "other", *ASK, apart, "80").stdout == ""
    assert (
        networked("exec", "server", *ASK, address(networked, "client", "apart"), "80").stdout == ""
    )
    assert networked("exec", "client", "ping", "-c", "1", "-W", "1", apart).code == 1
    old = address(networked, "client", "apart")
    networked.output("rm", "-f", "client")
    serve(networked, "next", "--network", "apart")
    assert address(networked, "next", "apart") == old
    assert networked("exec", "next", *ASK, apart, "80").stdout == ""


def test_a_link_may_name_who_comes_later(networked: Pypod, topology: Topology) -> None:
    networked.output("network", "create", "--ipv6", *APART, "apart")
    serve(networked, "client", "--network", "apart", "--link", "server:near")
    serve(networked, "server", "--network", "apart", "--expose", "80")
    bring = ["exec", "client", "sh", "-c"]
    assert networked.output(*bring, REACHED.format("near")) == "hello server\n"
    topology.host.output("nft", "flush", "ruleset")
    networked.output("run", "--rm", "--network", "apart", IMAGE, "true")
    assert networked.output(*bring, REACHED.format("near")) == "hello server\n"


def test_without_masquerade_a_container_has_its_own_address(
    networked: Pypod, topology: Topology
) -> None:
    """Docker's enable_ip_masquerade=false."""
    options = ["-o", "com.docker.network.bridge.enable_ip_masquerade=false"]
    networked.output("network", "create", "--subnet", "172.28.0.0/24", *options, "plain")
    serve(networked, "asking", "--network", "plain")
    topology.neighbour.output("ip", "route", "replace", "172.28.0.0/24", "via", HOST_ADDRESS)
    peer = topology.neighbour.spawn(*RESPONDER, "tcp-peer", NEIGHBOUR_ADDRESS, "7000")
    ask = f"until sleep 1 | nc -w 3 {NEIGHBOUR_ADDRESS} 7000 | grep .; do sleep 0.1; done"
    assert networked.output("exec", "asking", "sh", "-c", ask) == "172.28.0.2\n"
    peer.end()
    topology.neighbour.output("ip", "route", "del", "172.28.0.0/24")


def test_ports_have_the_address_that_the_network_says(networked: Pypod, topology: Topology) -> None:
    """Docker's host_binding_ipv4."""
    option = f"com.docker.network.bridge.host_binding_ipv4={HOST_ADDRESS}"
    networked.output("network", "create", "-o", option, "bound")
    serve(networked, "server", "--network", "bound", "-p", "8080:80")
    says_hello(topology, where="neighbour", to=HOST_ADDRESS)
    assert topology.host.hears("127.0.0.1", 8080) == ""


def test_a_bridge_of_somebody_else_is_used_and_left(networked: Pypod, topology: Topology) -> None:
    """Docker's com.docker.network.bridge.name."""
    name = "com.docker.network.bridge.name"
    topology.host.shell("ip link add mine type bridge; ip link set mine up")
    networked.output("network", "create", "-o", f"{name}=mine", "--subnet", "172.28.1.0/24", "own")
    serve(networked, "server", "--network", "own")
    ran = networked("run", "--rm", "--network", "own", IMAGE, "sh", "-c", REACHED.format("server"))
    assert ran.stdout == "hello server\n"
    networked.output("rm", "-f", "server")
    networked.output("network", "rm", "own")
    assert "172.28.1" not in topology.host.output("ip", "addr", "show", "mine")
    topology.host.output("ip", "link", "del", "mine")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("wire0", "device wire0 is there already, and is no bridge"),
        ("toolongtoolongtoolong", "at most 15 letters"),
        ('b"; drop', "only [a-zA-Z][a-zA-Z0-9_.-] are allowed"),
        ("0br", "only [a-zA-Z][a-zA-Z0-9_.-] are allowed"),
    ],
)
def test_a_name_that_no_bridge_can_have(
    value: str, words: str, networked: Pypod, topology: Topology
) -> None:
    """It goes into a script of nft(8), and the device would go with the network."""
    before = topology.host.devices()
    ran = networked("network", "create", "-o", f"com.docker.network.bridge.name={value}", "x")
    assert ran.code == 1
    assert words in ran.stderr
    assert topology.host.devices() == before
    assert "x" not in networked.output("network", "ls", "--format", "{{.Name}}").split()


@pytest.mark.parametrize(
    "option",
    [
        "com.docker.network.bridge.gateway_mode_ipv4=isolated",
        "com.docker.network.bridge.inhibit_ipv4=true",
        "com.docker.network.bridge.trusted_host_interfaces=eth0",
    ],
)
def test_what_is_not_carried_out_is_refused(option: str, networked: Pypod) -> None:
    """Nobody is to believe that a network is closed."""
    ran = networked("network", "create", "-o", option, "x")
    assert (ran.code, ran.stderr) == (1, f"Error: driver option {option} is not supported\n")


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan", "overlay"])
def test_other_drivers_are_refused_in_words(driver: str, networked: Pypod) -> None:
    ran = networked("network", "create", "-d", driver, "x")
    words = f'Error: driver "{driver}" is not supported: networks of pypod are bridges\n'
    assert (ran.code, ran.stderr) == (1, words)


def test_several_networks_each_with_its_own(networked: Pypod) -> None:
    """Docker's --network name=...: what is asked of each network; the highest gw-priority leads out."""
    for number, name in enumerate(("one", "two")):
        networked.output("network", "create", "--subnet", f"172.28.{number}.0/24", name)
    options = [
        "--network=name=one,ip=172.28.0.7,mac-address=02-00-00-00-00-01",
        "--network=name=two,alias=nick,mac-address=02:00:00:00:00:02,gw-priority=1",
    ]
    serve(networked, "both", *options)
    for _ in range(2):  # and again when it starts again
        shown = networked.output("exec", "both", "ip", "addr")
        for text in ("172.28.0.7/24", "172.28.1.2/24", "02:00:00:00:00:01", "02:00:00:00:00:02"):
            assert text in shown
        assert "default via 172.28.1.1" in networked.output("exec", "both", "ip", "route")
        ran = networked("run", "--rm", "--network", "two", IMAGE, "ping", "-c", "1", "nick")
        assert ran.code == 0
        networked.output("restart", "-t", "0", "both")


def test_a_network_that_is_connected_later_may_lead_out(networked: Pypod) -> None:
    """Docker's network connect --gw-priority."""
    for number, name in enumerate(("one", "two", "three")):
        networked.output("network", "create", "--subnet", f"172.28.{number}.0/24", name)
    serve(networked, "server", "--network", "one")
    networked.output("network", "connect", "--gw-priority", "5", "two", "server")
    networked.output("network", "connect", "--gw-priority", "3", "three", "server")
    assert "default via 172.28.1.1" in networked.output("exec", "server", "ip", "route")
    networked.output("network", "disconnect", "two", "server")
    assert "default via 172.28.2.1" in networked.output("exec", "server", "ip", "route")


def test_a_network_may_have_ipv6_alone(networked: Pypod) -> None:
    """Docker 28's --ipv4=false."""
    networked.output("network", "create", "--ipv4=false", "--ipv6", "six")
    serve(networked, "server", "--network", "six", script=SERVER.replace("nc -l", "nc -6 -l"))
    assert "inet " not in networked.output("exec", "server", "ip", "addr", "show", "eth0")
    ran = networked("run", "--rm", "--network", "six", IMAGE, "ping", "-6", "-c", "1", "server")
    assert ran.code == 0
    refused = networked("network", "create", "--ipv4=false", "x")
    assert refused.stderr == "Error: IPv4 or IPv6 must be enabled\n"


def test_interfaces_may_have_another_name(networked: Pypod) -> None:
    """Docker's com.docker.network.container_iface_prefix."""
    option = "com.docker.network.container_iface_prefix=lan"
    networked.output("network", "create", "-o", option, "named")
    assert "lan0" in networked.output("run", "--rm", "--network", "named", IMAGE, "ip", "link")
