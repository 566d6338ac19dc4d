# SPDX-License-Identifier: Apache-2.0
"""Networks as a container, its host and the host's neighbour see them: a host of the test's own (topology.py)."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.processes import is_alive, until
from pyroute2 import NetNS
from sides import IMAGE, Pypod
from topology import HOST_ADDRESS, HOST_ADDRESS6, NEIGHBOUR_ADDRESS, RESPONDER, Place, Topology

pytestmark = pytest.mark.root
SERVER = "while true; do echo hello $(hostname) | nc -l -p 80; done"
ECHO, ASK = [*RESPONDER, "udp-echo"], [*RESPONDER, "udp-ask"]


@pytest.fixture
def server(networked: Pypod) -> str:
    """A container whose port 80 is 8080 of the host."""
    return serve(networked, "server", "-p", "8080:80")


def serve(pypod: Pypod, name: str, *options: str, script: str = SERVER) -> str:
    """Start a container that says hello on its port 80; returns its id."""
    given = ["--name", name, "--hostname", name, *options]
    return pypod.output("run", "-d", *given, IMAGE, "sh", "-c", script).strip()


def within(pypod: Pypod, name: str) -> Place:
    """Return the network namespace of a container."""
    return Place(pypod.outputs, int(pypod.field(name, "{{.State.Pid}}")))


def address(pypod: Pypod, name: str, network: str = "bridge") -> str:
    """Return a container's address in a network."""
    return pypod.field(name, f"{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}")


def says_hello(
    topology: Topology, *, where: str = "host", to: str = "127.0.0.1", port: int = 8080
) -> None:
    """Wait until a server answers: it says hello to one after another."""
    place = getattr(topology, where)
    until(lambda: place.hears(to, port).startswith("hello"), f"{to}:{port} answers {where}", 10)


def test_a_container_has_what_pyroute2_sees(networked: Pypod, topology: Topology) -> None:
    """ADR 0014: the hand-written calls, with pyroute2 as the oracle."""
    serve(networked, "one", "--mac-address", "02:00:00:00:00:07")
    with NetNS(f"/proc/{networked.field('one', '{{.State.Pid}}')}/ns/net") as inside:
        (index,) = inside.link_lookup(ifname="eth0")
        link = inside.get_links(index)[0]
        assert link.get_attr("IFLA_ADDRESS") == "02:00:00:00:00:07"
        assert link["state"] == "up"
        (held,) = inside.get_addr(index=index)
        assert (held.get_attr("IFA_ADDRESS"), held["prefixlen"]) == ("172.17.0.2", 16)
        (route,) = inside.get_default_routes()
        assert route.get_attr("RTA_GATEWAY") == "172.17.0.1"
    with NetNS(f"/proc/{topology.host.pid}/ns/net") as host:
        (bridge,) = host.link_lookup(ifname="pypod0")
        ports = [row for row in host.get_links() if row.get_attr("IFLA_MASTER") == bridge]
        assert len(ports) == 1


@pytest.mark.parametrize("to", ["127.0.0.1", "::1", HOST_ADDRESS, HOST_ADDRESS6])
def test_a_published_port_is_reached_from_the_host(
    to: str, networked: Pypod, topology: Topology, server: str
) -> None:
    says_hello(topology, to=to)


@pytest.mark.parametrize("to", [HOST_ADDRESS, HOST_ADDRESS6])
def test_a_published_port_is_reached_from_elsewhere(
    to: str, networked: Pypod, topology: Topology, server: str
) -> None:
    says_hello(topology, where="neighbour", to=to)


def test_a_published_port_is_reached_from_containers(
    networked: Pypod, topology: Topology, server: str
) -> None:
    """Also from itself, by the host's address: the answer comes back by the way that the question took."""
    networked.output("network", "create", "other")
    ask = f"until nc -w 3 {HOST_ADDRESS} 8080 </dev/null | grep hello; do sleep 0.1; done"
    for network in ("bridge", "other"):
        ran = networked("run", "--rm", "--network", network, IMAGE, "sh", "-c", ask)
        assert ran.stdout == "hello server\n"
    assert networked.output("exec", "server", "sh", "-c", ask) == "hello server\n"


def test_a_port_of_the_loopback_is_for_the_host_alone(networked: Pypod, topology: Topology) -> None:
    serve(networked, "server", "-p", "127.0.0.1:8080:80")
    says_hello(topology)
    assert topology.neighbour.hears(HOST_ADDRESS, 8080) == ""
    assert "8080" not in topology.host.rules()


@pytest.mark.parametrize("where", ["host", "neighbour"])
def test_udp_is_published(where: str, networked: Pypod, topology: Topology) -> None:
    serve(networked, "server", "-p", "5353:53/udp")
    echo = within(networked, "server").spawn(*ECHO, "0.0.0.0", "53")
    to = "127.0.0.1" if where == "host" else HOST_ADDRESS
    place = getattr(topology, where)
    until(lambda: place(*ASK, to, "5353", "ping").stdout == "ping", "it answers", 15)
    echo.end()


def test_a_big_answer_comes_whole(networked: Pypod, topology: Topology) -> None:
    """Through the monitor: more than any pipe or buffer holds, and the end of it is seen."""
    script = "nc -l -p 80 -e head -c 30000000 /dev/zero; sleep 1000"
    serve(networked, "server", "-p", "8080:80", script=script)
    count = "until nc 127.0.0.1 8080 </dev/null | wc -c | grep -v '^0$'; do sleep 0.1; done"
    assert topology.host.shell(count.replace("nc ", "busybox nc ")) == "30000000\n"


def test_a_container_goes_out_with_the_hosts_address(networked: Pypod, topology: Topology) -> None:
    """Of either protocol."""
    serve(networked, "asking")
    inside = within(networked, "asking")
    for kind in ("tcp", "udp"):
        peer = topology.neighbour.spawn(*RESPONDER, f"{kind}-peer", NEIGHBOUR_ADDRESS, "7000")
        ask = [*RESPONDER, f"{kind}-ask", NEIGHBOUR_ADDRESS, "7000", "?"]
        until(lambda ask=ask: inside(*ask).stdout == HOST_ADDRESS, f"{kind} answers", 15)
        peer.end()


def test_nobody_from_elsewhere_reaches_what_is_not_published(
    networked: Pypod, topology: Topology, server: str
) -> None:
    """highlevel.md 3.5: no direct access, not even where a neighbour has a route."""
    topology.neighbour.output("ip", "route", "replace", "172.16.0.0/12", "via", HOST_ADDRESS)
    networked.output("network", "create", "other")
    ask = ["nc", "-w", "2", "172.17.0.2", "80"]
    assert topology.neighbour.hears("172.17.0.2", 80) == ""
    ran = networked("run", "--rm", "--network", "other", IMAGE, *ask)
    assert (ran.code, ran.stdout) == (1, "")
    until(
        lambda: networked("run", "--rm", IMAGE, *ask).stdout.startswith("hello"), "its own answer"
    )


def test_a_port_is_free_again_when_its_container_ends(
    networked: Pypod, topology: Topology, server: str
) -> None:
    networked.output("stop", "-t", "0", "server")
    assert "8080" not in topology.host.rules()
    serve(networked, "next", "-p", "8080:80")
    ran = networked("start", "server")
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in ran.stderr
    assert networked.output("ps", "--format", "{{.Names}}") == "next\n"


def test_a_port_of_another_program_is_refused(networked: Pypod, topology: Topology) -> None:
    program = topology.host.spawn("busybox", "nc", "-l", "-p", "8080")
    until(lambda: ":1F90 " in topology.host.output("cat", "/proc/net/tcp6"), "it listens")
    ran = networked("run", "--rm", "-p", "8080:80", IMAGE, "true")
    program.end()
    assert ran.code == 125
    assert "listen tcp4 0.0.0.0:8080: bind: address already in use" in ran.stderr


def test_many_at_once_have_an_address_each(networked: Pypod) -> None:
    """Issue 6: allocation is atomic; ports by chance, too."""
    options = ["-d", "-p", "80", IMAGE, "sleep", "1000"]
    clients = [networked.spawn("run", *options) for _ in range(12)]
    assert [client.wait(60).code for client in clients] == [0] * 12
    form = '{{.NetworkSettings.IPAddress}} {{(index .NetworkSettings.Ports "80/tcp" 0).HostPort}}'
    names = networked.output("ps", "-q").split()
    rows = [row.split() for row in networked.output("inspect", "-f", form, *names).splitlines()]
    assert sorted(row[0] for row in rows) == sorted(f"172.17.0.{n}" for n in range(2, 14))
    assert len({row[1] for row in rows}) == 12


def test_the_first_subnet_is_for_the_default_network(
    topology: Topology, root_archive: Path, scratch: Path
) -> None:
    """Whatever else is made before it, as with Docker, which makes it when the daemon starts."""
    fresh = Pypod(scratch / "fresh", topology.host.inside)
    fresh.load(root_archive)
    fresh.output("network", "create", "other")
    fresh.output("run", "-d", IMAGE, "sleep", "1000")
    subnet = "{{(index .IPAM.Config 0).Subnet}}"
    numbers = [
        int(fresh.output("network", "inspect", "-f", subnet, name).split(".")[1])
        for name in ("bridge", "other")
    ]
    bridge = '{{index .Options "com.docker.network.bridge.name"}}'
    device = fresh.output("network", "inspect", "-f", bridge, "bridge").strip()
    fresh.remove_all()
    topology.host.output("ip", "link", "del", device)
    topology.host.output("nft", "delete", "table", "inet", device)
    assert numbers[1] == numbers[0] + 1


def test_an_address_is_the_lowest_that_is_free(networked: Pypod) -> None:
    for name in ("one", "two", "three"):
        serve(networked, name)
    networked.output("rm", "-f", "two")
    serve(networked, "four")
    assert address(networked, "four") == "172.17.0.3"


def test_a_container_that_starts_again_has_its_address_back(networked: Pypod) -> None:
    for name in ("one", "two"):
        serve(networked, name)
    networked.output("rm", "-f", "one")
    networked.output("restart", "-t", "0", "two")
    assert address(networked, "two") == "172.17.0.3"


def test_a_network_that_is_full_says_so(networked: Pypod) -> None:
    networked.output("network", "create", "--subnet", "172.31.9.0/30", "tiny")
    serve(networked, "one", "--network", "tiny")
    ran = networked("run", "--rm", "--network", "tiny", IMAGE, "true")
    assert ran.code == 125
    assert "no available IPv4 addresses on this network's address pools: tiny" in ran.stderr


def test_names_are_found_in_ones_own_networks_alone(networked: Pypod) -> None:
    for name in ("one", "other"):
        networked.output("network", "create", name)
    identity = serve(networked, "server", "--network", "one", "--network-alias", "nick")
    look = ["run", "--rm", "--network", "one", IMAGE, "ping", "-c", "1", "-W", "3"]
    for name in ("server", "SERVER", "nick", "server.one", identity[:12]):
        assert networked(*look, name).code == 0, name
    assert networked("run", "--rm", "--network", "other", IMAGE, "ping", "-c", "1", "server").code
    ask = ["--dns", "127.0.0.1", IMAGE, "ping", "-c", "1", "server"]
    assert networked("run", "--rm", *ask).code


def test_names_follow_what_happens(networked: Pypod) -> None:
    """A container comes, is renamed, is connected, is disconnected, goes."""
    for name in ("one", "two"):
        networked.output("network", "create", name)
    serve(networked, "asking", "--network", "one")

    def finds(name: str) -> bool:
        return networked("exec", "asking", "nslookup", "-type=a", name).code == 0

    assert not finds("late")
    serve(networked, "late", "--network", "two", "--hostname", "host")
    assert not finds("late")
    networked.output("network", "connect", "--alias", "nick", "one", "late")
    assert finds("late")
    assert finds("nick")
    networked.output("rename", "late", "later")
    assert finds("later")
    assert not finds("late")
    networked.output("network", "disconnect", "one", "later")
    assert not finds("later")
    networked.output("network", "connect", "two", "asking")
    assert finds("later")
    networked.output("rm", "-f", "later")
    assert not finds("later")


def test_a_container_may_have_port_53_for_itself(networked: Pypod) -> None:
    """The name server is on 127.0.0.11, but its port is led elsewhere."""
    networked.output("network", "create", "one")
    serve(networked, "server", "--network", "one")
    echo = within(networked, "server").spawn(*ECHO, "0.0.0.0", "53")
    until(lambda: listens(networked, "server"), "the port is taken")
    assert networked("exec", "server", "nslookup", "-type=a", "server").code == 0
    echo.end()


def listens(pypod: Pypod, name: str) -> bool:
    """Tell whether somebody has UDP port 53 of every address of a container."""
    return "0.0.0.0:53 " in pypod.output("exec", name, "netstat", "-lnu")


def test_other_names_are_asked_of_the_servers_that_are_given(
    networked: Pypod, topology: Topology
) -> None:
    """From the host's namespace; not for a container whose networks lead nowhere (CVE-2024-29018)."""
    networked.output("network", "create", "one")
    networked.output("network", "create", "--internal", "inner")
    answer = topology.neighbour.spawn(*RESPONDER, "udp-log", NEIGHBOUR_ADDRESS, "53")
    until(lambda: ":0035 " in topology.neighbour.output("cat", "/proc/net/udp"), "it listens")
    ask = ["--dns", NEIGHBOUR_ADDRESS, IMAGE, "nslookup", "-type=a", "far.example"]
    assert "SERVFAIL" in networked("run", "--rm", "--network", "inner", *ask).stdout
    assert answer.out.read_bytes() == b""
    networked("run", "--rm", "--network", "one", *ask)
    assert b"\x03far\x07example" in answer.out.read_bytes()
    answer.end()


def test_an_internal_network_leads_nowhere(networked: Pypod, topology: Topology) -> None:
    networked.output("network", "create", "--internal", "inner")
    serve(networked, "server", "--network", "inner", "-p", "8080:80")
    assert "default" not in networked.output("exec", "server", "ip", "route")
    assert networked.output("port", "server") == ""
    ask = "until nc -w 3 server 80 </dev/null | grep hello; do sleep 0.1; done"
    ran = networked("run", "--rm", "--network", "inner", IMAGE, "sh", "-c", ask)
    assert ran.stdout == "hello server\n"


def test_ipv6_where_it_is_asked_for(networked: Pypod, topology: Topology) -> None:
    options = ["--ipv6", "--subnet", "fd00:7::/64"]
    networked.output("network", "create", *options, "six")
    serve(networked, "one", "--network", "six", "--ip6", "fd00:7::77", "-p", "8080:80")
    form = "{{.NetworkSettings.Networks.six.GlobalIPv6Address}}"
    assert networked.field("one", form) == "fd00:7::77"
    ran = networked("run", "--rm", "--network", "six", IMAGE, "ping", "-6", "-c", "1", "one")
    assert "fd00:7::77" in ran.stdout
    assert networked("run", "--rm", IMAGE, "ip", "-6", "addr", "show", "eth0").stdout == ""
    assert "[fd00:7::77]" not in topology.host.rules()
    assert "fd00:7::77 . 80" in topology.host.rules()


def test_a_network_goes_and_comes_while_a_container_runs(
    networked: Pypod, topology: Topology
) -> None:
    """Its ports follow the network by which it is reached."""
    networked.output("network", "create", "one")
    serve(networked, "server", "-p", "8080:80")
    networked.output("network", "connect", "one", "server")
    assert "eth1" in networked.output("exec", "server", "ip", "link")
    networked.output("network", "disconnect", "bridge", "server")
    assert "eth0" not in networked.output("exec", "server", "ip", "link")
    gateway = networked.field("server", "{{.NetworkSettings.Networks.one.Gateway}}")
    assert f"default via {gateway}" in networked.output("exec", "server", "ip", "route")
    says_hello(topology, where="neighbour", to=HOST_ADDRESS)


def test_a_link_is_found_by_name_and_follows(networked: Pypod) -> None:
    """highlevel.md 1.7: /etc/hosts is changed in place when the target comes back with another address."""
    serve(networked, "first")
    serve(networked, "database")
    serve(networked, "web", "--link", "database:db")
    assert networked("exec", "web", "ping", "-c", "1", "-W", "3", "db").code == 0
    networked.output("stop", "-t", "0", "database", "first")
    for name in ("one", "two", "three"):
        serve(networked, name)
    networked.output("start", "database")
    there = address(networked, "database")
    assert there not in ("172.17.0.3", "")
    assert f"{there}\tdb database" in networked.output("exec", "web", "cat", "/etc/hosts")


def test_one_that_begins_again_keeps_its_network(networked: Pypod, topology: Topology) -> None:
    """Issue 6: --restart; who shares its network keeps it, too."""
    script = "ip -4 -o addr show eth0; nc -l -p 80 </dev/null; exit 1"
    serve(networked, "again", "--restart", "always", "-p", "8080:80", script=script)
    joined = ["--name", "joined", "--network", "container:again", IMAGE, "sleep", "1000"]
    networked.output("run", "-d", *joined)

    def has_restarted() -> bool:
        topology.host.hears("127.0.0.1", 8080)  # as soon as somebody listens there
        return networked.field("again", "{{gt .RestartCount 0}}") == "true"

    until(has_restarted, "it has restarted")
    networked.await_field("again", "{{.State.Status}}", "running")
    topology.host.hears("127.0.0.1", 8080)
    until(lambda: networked.output("logs", "again").count("172.17.0.2/16") >= 2, "it has begun")
    assert "172.17.0.2/16" in networked.output("exec", "joined", "ip", "addr")


def test_a_monitor_that_serves_is_small(networked: Pypod, topology: Topology) -> None:
    """Issue 6: at most 5 MB private, with ports and names."""
    networked.output("network", "create", "one")
    serve(networked, "server", "--network", "one", "-p", "8080:80", "-p", "5353:53/udp")
    says_hello(topology)
    topology.host(*ASK, "127.0.0.1", "5353", "ping")
    networked("exec", "server", "nslookup", "-type=a", "server")
    (monitor,) = networked.monitors()
    text = Path(f"/proc/{monitor}/smaps_rollup").read_text()
    private = sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Private"))
    assert private <= 5120


def test_a_killed_monitor_comes_back_with_ports_and_names(
    networked: Pypod, topology: Topology
) -> None:
    networked.output("network", "create", "one")
    serve(networked, "server", "--network", "one", "-p", "8080:80")
    kill_monitors(networked)
    assert networked.output("ps", "--format", "{{.Names}}") == "server\n"  # and heals
    says_hello(topology)
    assert networked("exec", "server", "nslookup", "-type=a", "server").code == 0
    ran = networked("run", "--rm", "-p", "8080:80", IMAGE, "true")
    assert "port is already allocated" in ran.stderr


def test_one_that_waits_to_begin_again_gets_a_network_from_the_next_monitor(
    networked: Pypod, topology: Topology
) -> None:
    """Its namespace is lost with the monitor that was killed."""
    script = "test -e /go || exit 1; " + SERVER
    serve(networked, "server", "--restart", "always", "-p", "8080:80", script=script)
    until(lambda: networked.field("server", "{{gt .RestartCount 4}}") == "true", "it waits", 20)
    networked.await_field("server", "{{.State.Status}}", "restarting")
    kill_monitors(networked)
    networked.output("cp", os.devnull, "server:/go")
    networked.await_field("server", "{{.State.Status}}", "running", 30)
    says_hello(topology, where="neighbour", to=HOST_ADDRESS)
    assert address(networked, "server") == "172.17.0.2"


@pytest.fixture
def killed(networked: Pypod, topology: Topology, server: str) -> Iterator[str]:
    """A container that was killed together with its monitor: nobody has cleaned up."""
    pid = int(networked.field("server", "{{.State.Pid}}"))
    kill_monitors(networked)
    kill(pid)
    assert "8080" in topology.host.rules()
    yield server


def test_the_next_command_heals(networked: Pypod, topology: Topology, killed: str) -> None:
    """Issue 6: after SIGKILL of everything, port, rule and address are the next one's."""
    serve(networked, "next", "-p", "8080:80")
    assert address(networked, "next") == "172.17.0.2"
    says_hello(topology, where="neighbour", to=HOST_ADDRESS)
    assert networked.field("server", "{{.State.Status}}") == "exited"


def test_a_network_is_removed_when_those_in_it_are_dead(networked: Pypod) -> None:
    networked.output("network", "create", "one")
    serve(networked, "server", "--network", "one")
    pid = int(networked.field("server", "{{.State.Pid}}"))
    kill_monitors(networked)
    kill(pid)
    networked.output("network", "rm", "one")


def kill(pid: int) -> None:
    """Kill a process, and wait until it is dead: the kernel may take its time."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), f"process {pid} is dead")


def kill_monitors(pypod: Pypod) -> None:
    """Kill every monitor."""
    for pid in pypod.monitors():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not pypod.monitors(), "the monitors are dead")


def test_a_killed_command_leaves_nothing_for_ever(networked: Pypod, topology: Topology) -> None:
    """SIGKILL to `run` at moments spread over its work; what is left goes with the next command."""
    for delay in range(12):
        running = networked.spawn("run", "--rm", "-p", "8080:80", IMAGE, "true")
        os.waitid(os.P_PIDFD, running.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        topology.host.output("sleep", f"{delay * 0.008:.3f}")
        running.signal(signal.SIGKILL)
        running.wait()
    until(lambda: not networked.monitors(), "all monitors have ended", 20)
    assert networked("run", "--rm", "-p", "8080:80", IMAGE, "true").code == 0
    assert "8080" not in topology.host.rules()
    listed = json.loads(networked.output("network", "inspect", "bridge"))
    assert listed[0]["Containers"] == {}


@pytest.mark.parametrize("gone", ["bridge", "rules", "both"])
def test_what_somebody_has_removed_is_made_anew(
    gone: str, networked: Pypod, topology: Topology, server: str
) -> None:
    """`nft flush ruleset`, `ip link del`: the next container brings everything back, for those that run, too."""
    if gone != "rules":
        topology.host.output("ip", "link", "del", "pypod0")
    if gone != "bridge":
        topology.host.output("nft", "flush", "ruleset")
    assert networked("run", "--rm", IMAGE, "ping", "-c", "1", "-W", "3", "172.17.0.2").code == 0
    says_hello(topology, where="neighbour", to=HOST_ADDRESS)


def test_a_subnet_of_the_host_is_not_taken(networked: Pypod, topology: Topology) -> None:
    """A network that is not told which takes the first that overlaps with nothing."""
    topology.host.output("ip", "route", "add", "172.18.0.0/15", "dev", "wire0")
    networked.output("network", "create", "one")
    topology.host.output("ip", "route", "del", "172.18.0.0/15", "dev", "wire0")
    form = "{{(index .IPAM.Config 0).Subnet}}"
    assert networked.output("network", "inspect", "-f", form, "one") == "172.20.0.0/16\n"


def test_system_prune_takes_networks_that_nobody_uses(networked: Pypod) -> None:
    for name in ("unused", "used"):
        networked.output("network", "create", name)
    networked.output("run", "-d", "--name", "one", "--network", "used", IMAGE, "sleep", "100")
    assert "Deleted Networks:\nunused\n\n" in networked.output("system", "prune", "--force")
    left = networked.output("network", "ls", "--format", "{{.Name}}").split()
    assert "used" in left
    assert "unused" not in left
