# SPDX-License-Identifier: Apache-2.0
"""The executor under test: PYOCI_EXECUTOR, or compiled once from this tree."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from faults import plans

Spawn = Callable[..., plans.Run]


@pytest.fixture(scope="session")
def executor(tmp_path_factory: pytest.TempPathFactory) -> str:
    chosen = os.environ.get("PYOCI_EXECUTOR", "")
    return chosen or plans.build(tmp_path_factory.mktemp("executor"))


@pytest.fixture
def spawn(executor: str) -> Iterator[Spawn]:
    """Start the executor; what a test leaves open is closed."""
    runs: list[plans.Run] = []

    def start(*arguments: object, **options: object) -> plans.Run:
        runs.append(plans.Run(executor, *arguments, **options))
        return runs[-1]

    yield start
    for run in runs:
        run.close()


@pytest.fixture
def root(tmp_path: Path) -> Iterator[tuple[Path, int]]:
    """A directory that plays the root of a container, and an O_PATH descriptor of it."""
    path = tmp_path / "root"
    path.mkdir()
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY)
    yield path, fd
    os.close(fd)
