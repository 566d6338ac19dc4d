# SPDX-License-Identifier: Apache-2.0
"""What is remembered, and said, of a container that ran out of memory."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyoci import dialogue
from pyoci.cgroup import oom
from pyoci.cgroup.directory import Directory

EVENTS = "low 0\nhigh 0\nmax 9\noom {0}\noom_kill {0}\noom_group_kill 0\n"


def cgroup(place: Path, *, kills: int, limit: str = "4096\n") -> Directory:
    """Make files as those of a version 2 cgroup, in place of any that there are."""
    (place / "memory.events").write_text(EVENTS.format(kills))
    (place / "memory.peak").write_text("4000\n")
    (place / "memory.max").write_text(limit)
    return Directory("", str(place), "")


def test_nobody_was_killed(tmp_path: Path) -> None:
    witness = oom.Witness(cgroup(tmp_path, kills=0))
    assert witness.look()
    assert witness.shortage is None
    witness.close()


def test_what_was_counted_is_remembered_when_the_files_are_gone(tmp_path: Path) -> None:
    """systemd removes them with the last process."""
    witness = oom.Witness(cgroup(tmp_path, kills=0))
    cgroup(tmp_path, kills=2, limit="8192\n")
    assert witness.look()
    for file in tmp_path.iterdir():
        file.unlink()
    witness.look()
    assert witness.shortage == (2, 8192, 4000)
    witness.close()


def test_without_a_peak_none_is_invented(tmp_path: Path) -> None:
    """Linux before 5.19."""
    directory = cgroup(tmp_path, kills=1)
    (tmp_path / "memory.peak").unlink()
    witness = oom.Witness(directory)
    assert witness.shortage == (1, 4096, None)
    words = oom.explain(witness.shortage)
    assert words.endswith("killed 1 process; the limit is 4096 bytes (4.0 KiB)")
    witness.close()


def test_no_limit_of_its_own_is_said(tmp_path: Path) -> None:
    witness = oom.Witness(cgroup(tmp_path, kills=1, limit="max\n"))
    assert witness.shortage is not None
    assert "a cgroup above it or the host ran out" in oom.explain(witness.shortage)
    witness.close()


@pytest.mark.parametrize(
    ("status", "unit", "memory", "said"),
    [
        (-signal.SIGKILL, "a.scope", {"limit": 4096}, True),
        (-signal.SIGKILL, "", {"limit": 4096}, False),
        (-signal.SIGTERM, "a.scope", {"limit": 4096}, False),
        (-signal.SIGKILL, "a.scope", {"limit": -1}, False),
        (-signal.SIGKILL, "a.scope", {"limit": None}, False),
        (-signal.SIGKILL, "a.scope", None, False),
    ],
)
def test_create_names_the_limit_where_systemd_was_faster(
    status: int, unit: str, memory: dict[str, Any] | None, said: bool
) -> None:
    """It claims no shortage, for nobody has counted one that we could read."""
    creation: Any = SimpleNamespace(
        spec={"linux": {"resources": {"memory": memory}}}, cgroup=SimpleNamespace(unit=unit)
    )
    words = dialogue.possible_shortage(creation, status)
    assert words.startswith("; its memory limit is 4096 bytes") if said else words == ""
