# SPDX-License-Identifier: Apache-2.0
"""Id maps: written by us where we may, by newuidmap and newgidmap where not (user_namespaces(7))."""

import os
from pathlib import Path
from typing import Any

import pytest

from pyoci import idmap
from pyoci.errors import StepError

PID = 4242


def row(inside: int, outside: int, size: int = 1) -> Any:
    return {"containerID": inside, "hostID": outside, "size": size}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Every file of /proc/PID that would be written, with its text."""
    found: list[tuple[str, str]] = []

    def put(pid: int, name: str, text: str) -> None:
        assert pid == PID
        found.append((name, text))

    monkeypatch.setattr(idmap, "_put", put)
    return found


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ordinary user, uid 1000 and gid 1001."""
    monkeypatch.setattr("posix.geteuid", lambda: 1000)
    monkeypatch.setattr("posix.getegid", lambda: 1001)


@pytest.fixture
def helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of helpers that note how they were called, instead of the host's."""
    monkeypatch.setattr(idmap, "HELPER_DIRECTORIES", ("/nowhere", str(tmp_path)))
    return tmp_path


def make_helper(directory: Path, name: str, status: int = 0) -> Path:
    calls = directory / f"{name}.calls"
    helper = directory / name
    helper.write_text(f'#!/bin/sh\necho "$@" >> {calls}\nexit {status}\n')
    helper.chmod(0o755)
    return calls


def test_root_writes_every_row(monkeypatch: pytest.MonkeyPatch, written: list[Any]) -> None:
    monkeypatch.setattr("posix.geteuid", lambda: 0)
    idmap.write(PID, [row(0, 1000, 10), row(10, 2000, 5)], [row(0, 7)])
    assert written == [("uid_map", "0 1000 10\n10 2000 5\n"), ("gid_map", "0 7 1\n")]


def test_a_user_maps_the_own_id_without_help(user: None, written: list[Any]) -> None:
    """user_namespaces(7): setgroups must be denied before gid_map is written."""
    idmap.write(PID, [row(0, 1000)], [row(0, 1001)])
    assert written == [("uid_map", "0 1000 1\n"), ("setgroups", "deny"), ("gid_map", "0 1001 1\n")]


def test_other_ids_go_through_the_helpers(user: None, written: list[Any], helpers: Path) -> None:
    uids, gids = make_helper(helpers, "newuidmap"), make_helper(helpers, "newgidmap")
    idmap.write(PID, [row(0, 1000), row(1, 100000, 65536)], [row(0, 1001), row(1, 100000, 9)])
    assert written == []
    assert uids.read_text() == f"{PID} 0 1000 1 1 100000 65536\n"
    assert gids.read_text() == f"{PID} 0 1001 1 1 100000 9\n"


@pytest.mark.parametrize("uids", [[row(0, 1001)], [row(0, 1000, 2)], [row(0, 1000), row(1, 5)]])
def test_what_is_not_ones_own_id_alone_needs_a_helper(
    uids: list[Any], user: None, written: list[Any], helpers: Path
) -> None:
    calls = make_helper(helpers, "newuidmap")
    idmap.write(PID, uids, [row(0, 1001)])
    assert calls.exists()
    assert [name for name, _ in written] == ["setgroups", "gid_map"]


def test_a_helper_that_is_missing_is_named_with_its_package(user: None, helpers: Path) -> None:
    with pytest.raises(StepError) as caught:
        idmap.write(PID, [row(0, 100000, 65536)], [row(0, 1001)])
    words = "newuidmap is not installed (Debian: uidmap), and mapping other ids needs it"
    assert str(caught.value) == words
    assert caught.value.place == "/linux/uidMappings"


def test_a_helper_that_refuses_leads_to_its_file(
    user: None, written: list[Any], helpers: Path
) -> None:
    make_helper(helpers, "newgidmap", 1)
    with pytest.raises(StepError) as caught:
        idmap.write(PID, [row(0, 1000)], [row(0, 5, 9)])
    assert str(caught.value) == (
        "linux.gidMappings: newgidmap 0 5 9 refused (exit status 1): "
        "does /etc/subgid give these ids to the caller?"
    )
    assert caught.value.place == "/linux/gidMappings"


def test_what_the_kernel_refuses_has_a_place_and_a_reason() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: others would look for a helper")
    with pytest.raises(
        StepError, match="uid_map of the user namespace: .*must not overlap"
    ) as found:
        idmap.write(os.getpid(), [row(0, 0, 10), row(0, 100, 10)], [row(0, 0)])
    assert found.value.place == "/linux/uidMappings"
    assert found.value.errno
