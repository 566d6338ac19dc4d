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
from topology import HOST_ADDRESS, NEIGHBOUR_ADDRESS, RESPONDER, Topology

pytestmark = pytest.mark.root
USER = 65534
AS_USER = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--"]
SERVER = "while true; do echo hello | nc -l -p 80; done"
TUN = (10, 200)


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


@pytest.fixture
def users(scratch: Path, root_archive: Path, topology: Topology, ids: None) -> Iterator[Pypod]:
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
    path = pypod.run_root / "pasta.pid"
    return int(path.read_text()) if path.exists() and path.read_text().strip() else 0


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


def test_a_users_container_goes_out(users: Pypod, topology: Topology) -> None:
    """Through pasta or slirp4netns, as a program of his own would."""
    if not any(map(shutil.which, ("pasta", "slirp4netns"))):
        pytest.skip("pasta and slirp4netns are missing: apt-get install passt")
    if not Path("/dev/net/tun").exists():
        pytest.skip("/dev/net/tun is missing: modprobe tun")
    server = topology.neighbour.spawn(*RESPONDER, "tcp-peer", NEIGHBOUR_ADDRESS, "7000")
    ask = f"until sleep 1 | nc -w 3 {NEIGHBOUR_ADDRESS} 7000 | grep 10; do sleep 0.1; done"
    assert users("run", "--rm", IMAGE, "sh", "-c", ask).stdout == f"{HOST_ADDRESS}\n"
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
