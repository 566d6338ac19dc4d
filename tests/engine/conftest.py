# SPDX-License-Identifier: Apache-2.0
"""A pypod of its own for each test: its root, its run directory, its database."""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

from blackbox import host  # noqa: E402 - found through the path above
from blackbox.processes import until  # noqa: E402 - found through the path above
from engines import image  # noqa: E402 - found through the path above
from images import Load  # noqa: E402 - found through the path above
from servers import DebianRegistry, Stub  # noqa: E402 - found through the path above
from sides import CLIENT, PATH, NetworkedOracle, Oracle, Pypod  # noqa: E402 - found through the path above
from topology import KEPT, Topology  # noqa: E402 - found through the path above

from pyoci.engine.database import Database  # noqa: E402 - found through the path above
from pyoci.engine.images import archive  # noqa: E402 - found through the path above
from pyoci.engine.images.store import Store  # noqa: E402 - found through the path above
from pyoci.engine.places import Places  # noqa: E402 - found through the path above


@pytest.fixture
def places(scratch: Path) -> Places:
    """Where this test's pypod keeps its things."""
    return Places(str(scratch / "root"), str(scratch / "run"))


@pytest.fixture
def database(places: Places) -> Iterator[Database]:
    """An open database below the root."""
    opened = Database(places)
    yield opened
    opened.close()


@pytest.fixture
def store(database: Database, places: Places) -> Store:
    """The images of this test's pypod."""
    return Store(database, places)


@pytest.fixture
def load(store: Store, scratch: Path) -> Load:
    """Load an archive that is in memory and return the ids and names of its images."""

    def from_bytes(content: bytes) -> list[tuple[str, list[str]]]:
        path = scratch / "archive.tar"
        path.write_bytes(content)
        fd = os.open(path, os.O_RDONLY)
        try:
            return [(loaded.id, loaded.names) for loaded in archive.load(store, fd)]
        finally:
            os.close(fd)

    return from_bytes


@pytest.fixture
def stub() -> Iterator[Stub]:
    """A registry that can be made to fail."""
    server = Stub()
    yield server
    server.stop()


@pytest.fixture
def registry(scratch: Path) -> Iterator[DebianRegistry]:
    """Debian's registry, open to all."""
    if shutil.which("docker-registry") is None:
        pytest.skip("docker-registry is missing: apt-get install docker-registry")
    server = DebianRegistry(scratch / "registry")
    yield server
    server.stop()


@pytest.fixture
def login(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for Docker's config.json that is this test's own."""
    directory = scratch / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    return directory


@pytest.fixture(scope="session")
def root_archive(session: Path) -> Path:
    """The root file system of the image that containers are made from."""
    target = session / "root.tar"
    return target if target.exists() else image.make_root(session / "busybox", target)


@pytest.fixture(scope="module")
def pypod_of_module(session: Path, root_archive: Path) -> Iterator[Pypod]:
    """A pypod with the image."""
    directory = session / f"pypod-{time.monotonic_ns()}"
    made = Pypod(directory)
    made.load(root_archive)
    yield made
    host.remove_empty_cgroups("pypod")
    shutil.rmtree(directory)


@pytest.fixture
def pypod(pypod_of_module: Pypod) -> Iterator[Pypod]:
    """The same for one test, whose containers and volumes are removed without a trace."""
    yield pypod_of_module
    pypod_of_module.remove_all()
    until(lambda: not pypod_of_module.monitors(), "all monitors have ended")
    left = [place for place in host.mounts() if place.startswith(str(pypod_of_module.directory))]
    assert not left, left


@pytest.fixture(scope="module")
def topology(session: Path) -> Iterator[Topology]:
    """A host of the test's own, whose networks may be changed, and its neighbour."""
    for program in ("nft", "ip", "nsenter"):
        if shutil.which(program, path=PATH) is None:
            pytest.skip(f"{program} is missing: apt-get install nftables iproute2 util-linux")
    directory = session / f"topology-{time.monotonic_ns()}"
    made = Topology(directory)
    yield made
    made.end()
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def networked_of_module(session: Path, root_archive: Path, topology: Topology) -> Iterator[Pypod]:
    """A pypod with the image, on that host."""
    directory = session / f"networked-{time.monotonic_ns()}"
    made = Pypod(directory, topology.host.inside)
    made.load(root_archive)
    yield made
    host.remove_empty_cgroups("pypod")
    shutil.rmtree(directory)


@pytest.fixture
def networked(networked_of_module: Pypod, topology: Topology) -> Iterator[Pypod]:
    """The same for one test, which leaves no container, no network, no device, no rule."""
    yield networked_of_module
    networked_of_module.remove_all()
    until(lambda: not networked_of_module.monitors(), "all monitors have ended")
    until(lambda: {*topology.host.devices()} <= KEPT, f"only {KEPT} are left")
    assert " . " not in "".join(re.findall(r"elements = .*", topology.host.rules()))
    assert topology.host.output("nft", "list", "tables") in ("", "table inet pypod0\n")


@pytest.fixture(scope="module")
def networked_oracle_of_module(session: Path, root_archive: Path) -> Iterator[NetworkedOracle]:
    """Docker with the image and with networks."""
    for program in (CLIENT, "/usr/sbin/dockerd", "/usr/sbin/runc", "/usr/sbin/iptables"):
        if not os.access(program, os.X_OK):
            pytest.skip(f"{program} is missing: Docker says what pypod should say")
    directory = session / f"oracle-{time.monotonic_ns()}"
    made = NetworkedOracle(directory, f"oracle-{os.getpid()}")
    made.load(root_archive)
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture
def networked_oracle(networked_oracle_of_module: NetworkedOracle) -> Iterator[NetworkedOracle]:
    """The same for one test."""
    yield networked_oracle_of_module
    networked_oracle_of_module.end_clients()
    networked_oracle_of_module.remove_all()
    networked_oracle_of_module("network", "prune", "--force")


@pytest.fixture(scope="module")
def oracle_of_module(session: Path, root_archive: Path) -> Iterator[Oracle]:
    """Docker with the image."""
    for program in (CLIENT, "/usr/sbin/dockerd", "/usr/sbin/runc"):
        if not os.access(program, os.X_OK):
            pytest.skip(f"{program} is missing: Docker says what pypod should say")
    directory = session / f"oracle-{time.monotonic_ns()}"
    made = Oracle(directory, f"oracle-{os.getpid()}")
    made.load(root_archive)
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture
def oracle(oracle_of_module: Oracle) -> Iterator[Oracle]:
    """The same for one test."""
    yield oracle_of_module
    oracle_of_module.end_clients()
    oracle_of_module.remove_all()
    oracle_of_module("volume", "prune", "--force")
