# SPDX-License-Identifier: Apache-2.0
"""What is remembered, and said, of a container that ran out of memory."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pyoci import container
from pyoci.cgroup import oom
from pyoci.cgroup.directory import Directory
from pyoci.errors import StepError

EVENTS = "low 0\nhigh 0\nmax 9\noom {0}\noom_kill {0}\noom_group_kill 0\n"


def cgroup(place: Path, *, kills: int, limit: str = "4096\n") -> Directory:
    """Make files as those of a version 2 cgroup, in place of any that there are."""
    (place / "memory.events").write_text(EVENTS.format(kills))
    (place / "memory.peak").write_text("4000\n")
    (place / "memory.max").write_text(limit)
    return Directory("", str(place), "")


def test_nobody_was_killed(tmp_path: Path) -> None:
    witness = oom.Witness(cgroup(tmp_path, kills=0), 2)
    assert witness.look()
    assert witness.shortage is None
    witness.close()


def test_what_was_counted_is_remembered_when_the_files_are_gone(tmp_path: Path) -> None:
    """systemd removes them with the last process."""
    witness = oom.Witness(cgroup(tmp_path, kills=0), 2)
    cgroup(tmp_path, kills=2, limit="8192\n")
    assert witness.look()
    for file in tmp_path.iterdir():
        file.unlink()
    witness.look()
    assert witness.found() == (2, 8192, 4000, "")
    witness.close()


def test_without_a_peak_none_is_invented(tmp_path: Path) -> None:
    """Linux before 5.19."""
    directory = cgroup(tmp_path, kills=1)
    (tmp_path / "memory.peak").unlink()
    witness = oom.Witness(directory, 2)
    assert witness.found() == (1, 4096, None, "")
    words = oom.explain(witness.shortage)
    assert words.endswith("killed 1 process; the limit is 4096 bytes (4.0 KiB)")
    witness.close()


@pytest.mark.parametrize(
    ("limit", "killed", "found"),
    [("4096\n", 7, (2, 4096, None, "a.slice")), ("4096\n", 5, None), ("max\n", 7, None)],
)
def test_what_is_gone_was_counted_above(
    tmp_path: Path, limit: str, killed: int, found: Any
) -> None:
    """Of a container without a limit nobody believes that it was the one."""
    above, own = tmp_path / "a.slice", tmp_path / "a.slice/b.scope"
    own.mkdir(parents=True)
    cgroup(above, kills=3)
    cgroup(own, kills=0, limit=limit)
    witness = oom.Witness(Directory("", str(tmp_path), "/a.slice/b.scope"), 2)
    cgroup(above, kills=5)  # somebody else
    witness.look()
    for file in own.iterdir():
        file.write_text("")  # as where read(2) says ENODEV
    cgroup(above, kills=killed)
    assert witness.found() == found
    if found:
        words = oom.explain(found)
        assert words.startswith("out of memory: the kernel killed 2 processes in a.slice (systemd")
        assert words.endswith("; the limit is 4096 bytes (4.0 KiB)")
    witness.close()


def test_version_1_has_other_files(tmp_path: Path) -> None:
    (tmp_path / "memory.oom_control").write_text("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")
    (tmp_path / "memory.max_usage_in_bytes").write_text("4096\n")
    (tmp_path / "memory.limit_in_bytes").write_text("4096\n")
    witness = oom.Witness(Directory("memory", str(tmp_path), ""), 1)
    assert witness.found() == (3, 4096, 4096, "")
    witness.close()


def test_no_limit_of_its_own_is_said(tmp_path: Path) -> None:
    witness = oom.Witness(cgroup(tmp_path, kills=1, limit="max\n"), 2)
    assert witness.shortage is not None
    assert "a cgroup above it or the host ran out" in oom.explain(witness.shortage)
    witness.close()


def test_start_fails_where_init_is_gone_and_memory_was_short() -> None:
    """After `create` its parent is pid 1, which may have reaped it: then no flag tells that it never began."""
    gone = os.posix_spawn("/bin/true", ["true"], {})
    os.waitpid(gone, 0)
    made: Any = SimpleNamespace(known=lambda: {"init": {"pid": gone}})
    cgroup: Any = SimpleNamespace(shortage=lambda: (1, 4096, 4096, ""))
    with pytest.raises(StepError, match="container init was OOM-killed"):
        container._check_begun(made, cgroup)
    cgroup.shortage = lambda: None
    container._check_begun(made, cgroup)
