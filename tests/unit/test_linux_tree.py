# SPDX-License-Identifier: Apache-2.0
"""What is in a directory goes, and nothing else."""

import os
from pathlib import Path

import pytest

from pyoci.linux import tree


def empty(directory: Path) -> None:
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        tree.empty(fd)
    finally:
        os.close(fd)


def test_files_links_and_directories_go(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("x")
    inside = tmp_path / "inside"
    for name in ("a/b/c", "a/d", "e"):
        (inside / name).mkdir(parents=True)
        (inside / name / "file").write_text("x")
    (inside / "a/link").symlink_to(outside)
    (inside / "dangling").symlink_to("nowhere")
    os.mkfifo(inside / "a/b/fifo")
    empty(inside)
    assert list(inside.iterdir()) == []
    assert (outside / "kept").read_text() == "x"


def test_a_tree_may_be_deeper_than_any_path_and_any_stack(tmp_path: Path) -> None:
    """A container makes such a one with mkdir and cd."""
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("directory", dir_fd=fd)
        deeper = os.open("directory", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    empty(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_moved_away_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies above the new place is none of ours."""
    (tmp_path / "ours/inner").mkdir(parents=True)
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/kept").write_text("x")
    listdir = os.listdir

    def moved(fd: int) -> list[str]:
        names = listdir(fd)
        if not names:
            (tmp_path / "ours/inner").rename(tmp_path / "theirs/inner")
        return names

    monkeypatch.setattr(tree.posix, "listdir", moved)
    with pytest.raises(OSError, match="Stale file handle"):
        empty(tmp_path / "ours")
    assert (tmp_path / "theirs/kept").exists()
