# SPDX-License-Identifier: Apache-2.0
"""Fixtures `docker`, `containerd`, `cri`, `podman`: Debian's engines on the runtime under test.

The daemons have their data below the tests' directory, and a mount namespace of their own, in which
the places that they insist on (/run/containerd, ...) are empty and nobody else's.
"""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest
from blackbox.processes import until
from engines import containerd as containerd_engine
from engines import docker as docker_engine
from engines import image
from engines.containerd import Containerd
from engines.daemon import Daemon
from engines.docker import Docker, NetworkedDocker
from engines.podman import BUILDAH, PODMAN, Podman, Rootless

if TYPE_CHECKING:
    from engines.cri import Cri

D = TypeVar("D", bound=Daemon)


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
            pytest.skip(f"{program} is missing: make packages-engines")


@pytest.fixture(scope="session")
def limits(session: Path) -> None:
    """Skip where the tests have cgroup v2 without the controllers that limit anything."""
    listed = Path("/sys/fs/cgroup/cgroup.controllers")
    if listed.exists():
        missing = {"cpu", "cpuset", "memory", "pids"} - set(listed.read_text().split())
        if missing:
            pytest.skip(f"cgroup v2 without {', '.join(sorted(missing))}")


@pytest.fixture(scope="session")
def runc() -> str:
    """The path of runc, to compare with."""
    found = shutil.which("runc")
    if found is None:
        pytest.skip("needs runc to compare with: make packages-engines")
    return found


def new_directory(session: Path, name: str) -> Path:
    """Return the path of a daemon's directory; it makes it."""
    return session / f"{name}-{time.monotonic_ns()}"


def until_its_end(engine: D) -> Iterator[D]:
    """Lend a daemon; what it leaves at its end is an error."""
    yield engine
    left = engine.stop()
    assert not left, left
    shutil.rmtree(engine.directory)


def for_one_test(engine: D) -> Iterator[D]:
    """Lend a daemon to one test, whose containers are removed without a trace."""
    yield engine
    engine.end_clients()
    engine.remove_all()
    engine.check_idle()


@pytest.fixture(scope="module")
def docker_daemon(session: Path, program: str, root_archive: Path) -> Iterator[Docker]:
    """Docker with the image."""
    require(docker_engine.SERVER, docker_engine.CLIENT)
    engine = Docker(new_directory(session, "docker"), f"engines-{os.getpid()}-docker", program)
    engine.load(root_archive)
    yield from until_its_end(engine)


@pytest.fixture(scope="module")
def networked_daemon(session: Path, program: str, root_archive: Path) -> Iterator[NetworkedDocker]:
    """Docker with the image, and with all of its networks."""
    require(docker_engine.SERVER, docker_engine.CLIENT, "/usr/sbin/iptables")
    directory = new_directory(session, "docker")
    engine = NetworkedDocker(directory, f"engines-{os.getpid()}-networks", program)
    engine.load(root_archive)
    yield from until_its_end(engine)


@pytest.fixture
def networked(networked_daemon: NetworkedDocker) -> Iterator[NetworkedDocker]:
    """Docker with networks, for one test."""
    yield from for_one_test(networked_daemon)


@pytest.fixture
def docker(docker_daemon: Docker) -> Iterator[Docker]:
    """Docker for one test."""
    yield from for_one_test(docker_daemon)


@pytest.fixture(scope="module")
def containerd_daemon(
    session: Path, limits: None, program: str, oci_archive: Path
) -> Iterator[Containerd]:
    """Containerd with the image."""
    require(containerd_engine.SERVER, containerd_engine.CLIENT)
    directory = new_directory(session, "containerd")
    engine = Containerd(directory, f"engines-{os.getpid()}-containerd", program)
    engine.load(oci_archive)
    yield from until_its_end(engine)


@pytest.fixture
def containerd(containerd_daemon: Containerd) -> Iterator[Containerd]:
    """Containerd for one test."""
    yield from for_one_test(containerd_daemon)


@pytest.fixture(scope="module")
def cri_daemon(session: Path, limits: None, program: str, oci_archive: Path) -> Iterator["Cri"]:
    """Containerd with the CRI plugin and the image."""
    pytest.importorskip("grpc_tools", reason="pip install grpcio-tools websockets")
    from engines.cri import Cri

    require(containerd_engine.SERVER, containerd_engine.CLIENT, "/usr/lib/cni/bridge")
    engine = Cri(new_directory(session, "cri"), f"engines-{os.getpid()}-cri", program)
    engine.load(oci_archive)
    until(engine.is_ready, "runtime and network are ready")
    yield from until_its_end(engine)


@pytest.fixture
def cri(cri_daemon: "Cri") -> Iterator["Cri"]:
    """Containerd's CRI plugin for one test."""
    yield from for_one_test(cri_daemon)


@pytest.fixture(scope="module", params=[Podman, Rootless], ids=["root", "rootless"])
def podman_user(
    session: Path, limits: None, program: str, root_archive: Path, request: pytest.FixtureRequest
) -> Iterator[Podman]:
    """Podman with the image: of root, and of an ordinary user."""
    require(PODMAN, "/usr/bin/conmon", "/usr/lib/cni/bridge")
    if request.param is Rootless:
        require("/usr/bin/newuidmap", "/usr/bin/slirp4netns")
    directory = new_directory(session, "podman")
    engine: Podman = request.param(directory, f"engines-{os.getpid()}-podman", program)
    engine.load(root_archive)
    yield from until_its_end(engine)


@pytest.fixture
def podman(podman_user: Podman) -> Iterator[Podman]:
    """Podman for one test."""
    yield from for_one_test(podman_user)


@pytest.fixture
def buildah(podman: Podman) -> Podman:
    """Podman whose user has buildah, too."""
    require(BUILDAH)
    return podman
