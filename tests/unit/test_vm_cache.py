# SPDX-License-Identifier: Apache-2.0
"""tests/vm: what is kept between runs, and what is not."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest
from vm import cache


def make(path: Path) -> None:
    path.mkdir()


def test_the_cache_is_where_xdg_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """XDG Base Directory Specification: a path that is not absolute is ignored."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "pyoci-machines"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.directory() == tmp_path / ".cache/pyoci-machines"


def test_a_key_tells_its_parts_apart() -> None:
    assert cache.key("ab", "c") != cache.key("a", "bc")
    assert cache.key("ab") == cache.key(b"ab")


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    calls: list[Path] = []
    for _ in range(2):
        with cache.use(tmp_path / "image-1", lambda path: (calls.append(path), make(path))[1]):
            assert (tmp_path / "image-1").is_dir()
    assert len(calls) == 1


def test_what_could_not_be_made_is_tried_again(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"), cache.use(tmp_path / "image-1", fail):
        pass
    with cache.use(tmp_path / "image-1", make):
        pass


def test_what_nobody_used_for_long_is_removed_but_not_what_is_in_use(tmp_path: Path) -> None:
    for name in ("image-old", "image-held", "image-new", "boot-old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / cache.USED).touch()
        if name != "image-new":
            os.utime(tmp_path / name / cache.USED, (0, 0))
    with open(tmp_path / "image-held" / cache.USED) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        cache.remove_unused(tmp_path, "image")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["boot-old", "image-held", "image-new"]


def test_a_scratch_directory_goes_and_so_does_that_of_a_process_that_was_killed(
    tmp_path: Path,
) -> None:
    script = (
        "import os, sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; from vm import cache\n"
        "with cache.scratch(Path(sys.argv[2])): os.kill(os.getpid(), 9)"
    )
    tests = Path(cache.__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-c", script, tests, tmp_path], check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with cache.scratch(tmp_path) as mine, cache.scratch(tmp_path) as other:
        assert sorted(tmp_path.iterdir()) == sorted([mine, other])
    assert not list(tmp_path.iterdir())
