# SPDX-License-Identifier: Apache-2.0
"""A pypod of its own for each test: its root, its run directory, its database."""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

from images import Load  # noqa: E402
from servers import DebianRegistry, Stub  # noqa: E402

from pyoci.engine.database import Database  # noqa: E402
from pyoci.engine.images import archive  # noqa: E402
from pyoci.engine.images.store import Store  # noqa: E402
from pyoci.engine.places import Places  # noqa: E402


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
