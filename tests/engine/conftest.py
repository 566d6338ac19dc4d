# SPDX-License-Identifier: Apache-2.0
"""A pypod of its own for each test: its root, its run directory, its database."""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).resolve().parent))

from pyoci.engine.database import Database  # noqa: E402
from pyoci.engine.images import archive  # noqa: E402
from pyoci.engine.images.store import Store  # noqa: E402
from pyoci.engine.places import Places  # noqa: E402

Load = Callable[[bytes], list[tuple[str, list[str]]]]


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
