# SPDX-License-Identifier: Apache-2.0
"""Containers of an ordinary user: in namespaces of his own, with networks, names and published ports."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox import kernel
from blackbox.processes import is_alive, until
from sides import IMAGE, Pypod, docker_archive
from topology import (
    HOST_ADDRESS,
    HOST_ADDRESS6,
    NEIGHBOUR_ADDRESS,
    NEIGHBOUR_ADDRESS6,
    RESPONDER,
    Topology,
)

pytestmark = pytest.mark.root
USER = 65534
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
SERVER = "while true; do echo hello | nc -l -p 80; done"
SERVER6 = "fd99::3"  # of the neighbour; the gateway's own address pasta of 2023 does not lead to
TUN = (10, 200)
WAYS = {"pasta": "passt", "slirp4netns": "slirp4netns"}  # program, Debian's package


@pytest.fixture
def ids(scratch: Path) -> Iterator[None]:
    """Ids that the user may give, in a mount namespace of the tests, and /dev/net/tun open to him."""
    if shutil.which("newuidmap") is None:
        pytest.skip("newuidmap is missing: apt-get install uidmap")
    table, tun = scratch / "subid", scratch / "tun"
    table.write_text(f"{USER}:100000:65536\n")
    os.mknod(tun, 0o20666, os.makedev(*TUN))
    tun.chmod(0o666)
    covered = {"/etc/subuid": table, "/etc/subgid": table, "/dev/net/tun": tun}
    covered = {place: source for place, source in covered.items() if Path(place).exists()}
    for place, source in covered.items():
        kernel.mount(str(source), place, "", kernel.MS_BIND)
    yield
    for place in covered:
        kernel.umount(place, kernel.MNT_DETACH)


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest, scratch: Path) -> Iterator[str]:
    """The one program that is there to lead out; the other one cannot be executed."""
    name: str = request.param
    if shutil.which(name) is None:
        pytest.skip(f"{name} is missing: apt-get install {WAYS[name]}")
    nothing = scratch / "nothing"
    nothing.write_bytes(b"")
    hidden = [found for other in WAYS if other != name and (found := shutil.which(other))]
    for program in hidden:
        kernel.mount(str(nothing), program, "", kernel.MS_BIND)
    yield name
    for program in hidden:
        kernel.umount(program, kernel.MNT_DETACH)


@pytest.fixture
def users(
    scratch: Path, root_archive: Path, topology: Topology, ids: None, way: str
) -> Iterator[Pypod]:
    """The pypod of a user on the topology's host."""
    scratch.chmod(0o755)
    made = Pypod(scratch / "pypod", [*topology.host.inside, *AS_USER])
    for name in ("root", "run"):
        (made.directory / name).mkdir(mode=0o700)
        os.chown(made.directory / name, USER, USER)
    archive = scratch / "image.tar"
    archive.write_bytes(docker_archive(root_archive.read_bytes()))
    archive.chmod(0o644)
    made.output("load", "-i", str(archive))
    topology.host.output("ip", "route", "replace", "default", "via", NEIGHBOUR_ADDRESS)
    yield made
    made.remove_all()
    until(lambda: not made.monitors(), "all monitors have ended")
    topology.host.output("ip", "route", "del", "default")
    for pid in (holder(made), way_out(made)):
        if pid and is_alive(pid):
            os.kill(pid, signal.SIGKILL)
            until(lambda pid=pid: not is_alive(pid), f"process {pid} is dead")


def holder(pypod: Pypod) -> int:
    """Return the pid of the process that holds the user's namespaces."""
    return int(json.loads((pypod.run_root / "holder").read_text())["pid"])


def way_out(pypod: Pypod) -> int:
    """Return the pid of pasta or slirp4netns, 0 when there is none."""
    path = pypod.run_root / "way-out"
    return int(json.loads(path.read_text())["pid"]) if path.exists() else 0


def kill_way_out(pypod: Pypod) -> int:
    """Kill pasta or slirp4netns, wait until it is dead, and return its pid."""
    pid = way_out(pypod)
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), f"process {pid} is dead")
    return pid


def test_a_users_containers_have_a_network(users: Pypod, topology: Topology) -> None:
    """Issue 6: rootless; ports are the host's, refused when they are taken, and served by the monitor."""
    before = topology.host.rules(), topology.host.devices()
    users.output("network", "create", "one")
    options = ["-d", "--name", "server", "--network", "one", "-p", "8080:80"]
    users.output("run", *options, IMAGE, "sh", "-c", SERVER)
    until(lambda: topology.host.hears("127.0.0.1", 8080) == "hello\n", "the host is answered", 15)
    place, to = topology.neighbour, "10.99.0.1"
    until(lambda: place.hears(to, 8080) == "hello\n", "the neighbour is answered", 15)
    ask = ["run", "--rm", "--network", "one", IMAGE]
    assert users(*ask, "ping", "-c", "1", "-W", "3", "server").code == 0
    ran = users("run", "--rm", "-p", "8080:80", IMAGE, "true")
    assert "Bind for 0.0.0.0:8080 failed: port is already allocated" in ran.stderr
    program = topology.host.spawn("busybox", "nc", "-l", "-p", "8081")
    until(lambda: ":1F91 " in topology.host.output("cat", "/proc/net/tcp6"), "it listens")
    ran = users("run", "--rm", "-p", "8081:80", IMAGE, "true")
    program.end()
    assert "listen tcp4 0.0.0.0:8081: bind: address already in use" in ran.stderr
    assert (topology.host.rules(), topology.host.devices()) == before


def need_tun() -> None:
    """Skip a test where nothing can lead out."""
    if not Path("/dev/net/tun").exists():
        pytest.skip("/dev/net/tun is missing: modprobe tun")


def test_a_users_container_goes_out(users: Pypod, topology: Topology, way: str) -> None:
    """Through pasta or slirp4netns, as a program of his own would."""
    need_tun()
    server = topology.neighbour.spawn(*RESPONDER, "tcp-peer", NEIGHBOUR_ADDRESS, "7000")
    ask = f"until sleep 1 | nc -w 3 {NEIGHBOUR_ADDRESS} 7000 | grep 10; do sleep 0.1; done"
    assert users("run", "--rm", IMAGE, "sh", "-c", ask).stdout == f"{HOST_ADDRESS}\n"
    server.end()
    words = Path(f"/proc/{way_out(users)}/cmdline").read_bytes().split(b"\0")
    assert Path(os.fsdecode(words[0])).name == way


def test_a_users_container_goes_out_by_ipv6(users: Pypod, topology: Topology) -> None:
    """In a network that has it. pasta looks for a route once, when it starts: so it starts anew."""
    need_tun()
    if way_out(users):
        kill_way_out(users)
    topology.host.output("ip", "-6", "route", "replace", "default", "via", NEIGHBOUR_ADDRESS6)
    topology.neighbour("ip", "addr", "replace", f"{SERVER6}/64", "dev", "wire1", "nodad")
    server = topology.neighbour.spawn(*RESPONDER, "tcp-peer", SERVER6, "7000")
    users.output("network", "create", "--ipv6", "six")
    # Nothing goes out before the gateway's address is known to be its own (RFC 4862, 5.4); pasta of 2023 does not get over that.
    gateway = "$(ip -6 route | sed -n 's/default via \\([^ ]*\\).*/\\1/p')"
    ask = f"until ping6 -c 1 -W 1 {gateway} > /dev/null; do true; done;"
    ask += f"until sleep 1 | nc -w 3 {SERVER6} 7000 | grep fd99; do sleep 0.1; done"
    ran = users("run", "--rm", "--network", "six", IMAGE, "sh", "-c", ask)
    server.end()
    topology.host.output("ip", "-6", "route", "del", "default")
    assert ran.stdout == f"{HOST_ADDRESS6}\n"


def test_a_users_container_asks_the_servers_that_are_given(
    users: Pypod, topology: Topology
) -> None:
    """By UDP, through the monitor in a network with names."""
    need_tun()
    users.output("network", "create", "one")
    answer = topology.neighbour.spawn(*RESPONDER, "udp-log", NEIGHBOUR_ADDRESS, "53")
    until(lambda: ":0035 " in topology.neighbour.output("cat", "/proc/net/udp"), "it listens")
    ask = ["--dns", NEIGHBOUR_ADDRESS, IMAGE, "nslookup", "-type=a"]
    users("run", "--rm", "--network", "one", *ask, "far.example")
    users("run", "--rm", *ask, "away.example")
    said = answer.out.read_bytes()
    assert b"\x03far\x07example" in said
    assert b"\x04away\x07example" in said
    answer.end()


def test_the_next_command_leads_out_again(users: Pypod, topology: Topology) -> None:
    """What led out was killed; the container that runs goes out again, too."""
    need_tun()
    users.output("run", "-d", "--name", "asking", IMAGE, "sleep", "1000")
    old = kill_way_out(users)
    users.output("run", "--rm", IMAGE, "true")
    assert way_out(users) != old
    server = topology.neighbour.spawn(*RESPONDER, "tcp-peer", NEIGHBOUR_ADDRESS, "7000")
    ask = f"until sleep 1 | nc -w 3 {NEIGHBOUR_ADDRESS} 7000 | grep 10; do sleep 0.1; done"
    assert users("exec", "asking", "sh", "-c", ask).stdout == f"{HOST_ADDRESS}\n"
    server.end()


def test_a_user_without_ids_is_told(users: Pypod) -> None:
    Path("/etc/subuid").write_text("")
    if (users.run_root / "holder").exists():
        pytest.skip("there is a holder already")
    ran = users("run", "--rm", IMAGE, "true")
    Path("/etc/subuid").write_text(f"{USER}:100000:65536\n")
    assert ran.code == 125
    assert "/etc/subuid: no ids for nobody, which containers need" in ran.stderr
    assert "usermod --add-subuids" in ran.stderr
