# SPDX-License-Identifier: Apache-2.0
"""A pypod of its own for each test: its root, its run directory, its database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci.engine.database import Database
from pyoci.engine.places import Places


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
