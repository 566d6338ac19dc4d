# SPDX-License-Identifier: Apache-2.0
"""Fixtures `docker` and `containerd`: Debian's engines on the runtime under test.

The daemons have their data below the tests' directory, and a mount namespace of their own, in which
the places that they insist on (/run/containerd, ...) are empty and nobody else's.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import containerd as containerd_engine
from engines import docker as docker_engine
from engines import image
from engines.containerd import Containerd
from engines.docker import Docker


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is here."""
    here = os.path.dirname(__file__)
    for item in items:
        if str(item.path).startswith(f"{here}/"):
            item.add_marker(pytest.mark.engine)


@pytest.fixture(scope="session")
def root_archive(session: Path) -> Path:
    """The root file system of the image."""
    return image.make_root(session / "busybox", session / "root.tar")


@pytest.fixture(scope="session")
def oci_archive(session: Path, root_archive: Path) -> Path:
    """The image as an OCI archive."""
    return image.make_oci_archive(root_archive, session / "image.tar")


def require(*programs: str) -> None:
    """Skip where an engine is not installed."""
    for program in programs:
        if not os.access(program, os.X_OK):
            pytest.skip(f"{program} is missing: apt-get install containerd docker.io")


@pytest.fixture(scope="session")
def limits(session: Path) -> None:
    """Skip where the tests have cgroup v2 without the controllers that limit anything."""
    listed = Path("/sys/fs/cgroup/cgroup.controllers")
    if listed.exists():
        missing = {"cpu", "cpuset", "memory", "pids"} - set(listed.read_text().split())
        if missing:
            pytest.skip(f"cgroup v2 without {', '.join(sorted(missing))}")


@pytest.fixture(scope="module")
def docker_daemon(session: Path, program: str, root_archive: Path) -> Iterator[Docker]:
    """Docker with the image; what it leaves at its end is an error."""
    require(docker_engine.SERVER, docker_engine.CLIENT)
    directory = session / f"docker-{time.monotonic_ns()}"
    engine = Docker(directory, f"engines-{os.getpid()}-docker", program)
    engine.load(root_archive)
    yield engine
    left = engine.stop()
    assert not left, left
    shutil.rmtree(directory)


@pytest.fixture
def docker(docker_daemon: Docker) -> Iterator[Docker]:
    """Docker for one test, whose containers are removed without a trace."""
    yield docker_daemon
    docker_daemon.end_clients()
    docker_daemon.remove_all()
    docker_daemon.check_idle()


@pytest.fixture(scope="module")
def containerd_daemon(
    session: Path, limits: None, program: str, oci_archive: Path
) -> Iterator[Containerd]:
    """Containerd with the image; what it leaves at its end is an error."""
    require(containerd_engine.SERVER, containerd_engine.CLIENT)
    directory = session / f"containerd-{time.monotonic_ns()}"
    engine = Containerd(directory, f"engines-{os.getpid()}-containerd", program)
    engine.load(oci_archive)
    yield engine
    left = engine.stop()
    assert not left, left
    shutil.rmtree(directory)


@pytest.fixture
def containerd(containerd_daemon: Containerd) -> Iterator[Containerd]:
    """Containerd for one test, whose containers are removed without a trace."""
    yield containerd_daemon
    containerd_daemon.end_clients()
    containerd_daemon.remove_all()
    containerd_daemon.check_idle()
