# SPDX-License-Identifier: Apache-2.0
"""Engines whose cgroups systemd makes: --systemd-cgroup of the runtime, on cgroup version 2 alone."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.processes import text, until
from engines import containerd as containerd_engine
from engines import docker as docker_engine
from engines.conftest import for_one_test, new_directory, require, until_its_end
from engines.containerd import Containerd
from engines.docker import Docker
from engines.podman import PODMAN, Podman

SLEEP = ["--", "sleep", "1000"]
SLICE = f"engines{os.getpid()}.slice"


class SystemdDocker(Docker):
    """Docker with exec-opt native.cgroupdriver=systemd, its default where systemd is."""

    manager = "systemd"

    def options(self) -> dict[str, Path | str]:
        """Return the daemon's options."""
        return {
            **super().options(),
            "exec-opt": "native.cgroupdriver=systemd",
            "cgroup-parent": SLICE,
        }


class SystemdContainerd(Containerd):
    """Containerd that sees systemd; each container says whether that makes its cgroup."""

    manager = "systemd"


class SystemdPodman(Podman):
    """Podman of root with cgroup_manager = "systemd", its default."""

    manager = "systemd"

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        super().__init__(directory, cgroup, program)
        self.client.append("--cgroup-manager=systemd")


@pytest.fixture(scope="module", autouse=True)
def systemd(session: Path) -> None:
    """Skip where systemd does not manage a cgroup hierarchy of version 2."""
    if not os.path.exists("/run/systemd/private"):
        pytest.skip("systemd does not run here")
    if not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        pytest.skip("no cgroup version 2 alone")


@pytest.fixture
def docker(session: Path, program: str, root_archive: Path) -> Iterator[Docker]:
    """Docker for one test."""
    require(docker_engine.SERVER, docker_engine.CLIENT)
    engine = SystemdDocker(new_directory(session, "docker"), SLICE, program)
    engine.load(root_archive)
    yield from for_one_test(engine)
    list(until_its_end(engine))


@pytest.fixture
def containerd(session: Path, program: str, oci_archive: Path) -> Iterator[Containerd]:
    """Containerd for one test."""
    require(containerd_engine.SERVER, containerd_engine.CLIENT)
    name = f"engines-{os.getpid()}-systemd"
    engine = SystemdContainerd(new_directory(session, "containerd"), name, program)
    engine.load(oci_archive)
    yield from for_one_test(engine)
    list(until_its_end(engine))


@pytest.fixture
def podman(session: Path, program: str, root_archive: Path) -> Iterator[Podman]:
    """Podman for one test."""
    require(PODMAN, "/usr/bin/conmon")
    engine = SystemdPodman(new_directory(session, "podman"), SLICE, program)
    engine.load(root_archive)
    yield from for_one_test(engine)
    list(until_its_end(engine))


def cgroup_of(pid: int) -> str:
    """Return the cgroup of a process."""
    return text(f"/proc/{pid}/cgroup").strip().removeprefix("0::")


def property_of(unit: str, name: str) -> str:
    """Return what systemd says of a unit."""
    command = ["systemctl", "show", "--property", name, "--value", unit]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def is_gone(cgroup: str) -> bool:
    """Tell whether a scope is no more: unit and cgroup."""
    state = property_of(os.path.basename(cgroup), "ActiveState")
    return state == "inactive" and not os.path.exists(f"/sys/fs/cgroup{cgroup}")


def test_docker(docker: Docker) -> None:
    """docker run, exec, update, pause, kill: the limits are systemd's."""
    name = docker.start_container("-m", "64m", "--pids-limit", "50", *SLEEP)
    pid, identity = docker.state(name)["Pid"], docker.inspect(name)["Id"]
    scope = f"docker-{identity}.scope"
    assert cgroup_of(pid) == f"/{SLICE}/{scope}"
    assert property_of(scope, "MemoryMax") == str(64 << 20)
    assert property_of(scope, "TasksMax") == "50"
    docker.output("update", "--memory", "32m", "--memory-swap", "32m", name)
    assert property_of(scope, "MemoryMax") == str(32 << 20)
    assert docker.output("exec", name, "cat", "/sys/fs/cgroup/memory.max") == f"{32 << 20}\n"
    docker.output("pause", name)
    assert docker.state(name)["Paused"]
    docker.output("unpause", name)
    docker.output("kill", name)
    until(lambda: is_gone(f"/{SLICE}/{scope}"), "its scope is gone")


def test_containerd(containerd: Containerd) -> None:
    """ctr run --runc-systemd-cgroup: events, metrics and exec find init in its scope."""
    options = [
        "--runc-systemd-cgroup",
        "--cgroup",
        f"{SLICE}:ctr:one",
        "--memory-limit",
        "33554432",
    ]
    name = containerd.start_container(*options, *SLEEP)
    cgroup = f"/{SLICE}/ctr-one.scope"
    assert containerd.exec(name, "cat", "/proc/1/cgroup").stdout == f"0::{cgroup}\n"
    assert property_of("ctr-one.scope", "MemoryMax") == str(32 << 20)
    assert str(32 << 20) in containerd.output("task", "metrics", name)
    containerd.output("task", "kill", "--signal", "KILL", name)
    containerd.wait(name, "STOPPED")
    containerd("task", "rm", name)
    until(lambda: is_gone(cgroup), "its scope is gone")


def test_podman(podman: Podman) -> None:
    """podman run, exec, stop: a scope, with conmon's beside it."""
    name = podman.start_container("--memory", "64m", *SLEEP)
    pid = int(podman.inspect(name, "State.Pid"))
    cgroup = cgroup_of(pid)
    scope = f"libpod-{podman.inspect(name, 'Id')}.scope"
    assert cgroup.startswith(f"/{SLICE}/{scope}")
    assert property_of(scope, "MemoryMax") == str(64 << 20)
    assert podman.output("exec", name, "cat", "/sys/fs/cgroup/memory.max") == f"{64 << 20}\n"
    podman.output("rm", "--force", "--time", "0", name)
    until(lambda: is_gone(f"/{SLICE}/{scope}"), "its scope is gone")
