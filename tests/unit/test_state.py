# SPDX-License-Identifier: Apache-2.0
"""The record of a container on disk: whole or not at all, locked, removed without following a link."""

import fcntl
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyoci import identity, state
from pyoci.errors import StateError


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "root")


@pytest.fixture
def container(root: str) -> Iterator[state.Container]:
    """A container whose id is claimed, with a record."""
    made = state.make(root, "box")
    made.record = record()
    made.save()
    yield made
    made.close()


def record(**keys: Any) -> Any:
    fields: dict[str, Any] = {
        "ociVersion": "1.2.0",
        "id": "box",
        "status": "creating",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "created": "2026-01-01T00:00:00.000000000Z",
        "annotations": {"a": "\u00e9\n"},
        "boot": identity.boot_id(),
        "holder": identity.record(os.getpid()),
        "init": None,
        "cgroup": None,
        "rdt": None,
        "hook": None,
        "sharesPids": False,
        "startHooksAt": 0,
        "startHookSeconds": [],
        "poststart": [],
        "poststop": [],
    }
    return {**fields, **keys}


def path(container: state.Container, name: str = state.RECORD) -> Path:
    return Path(container.root) / container.id / name


# --- the record ---------------------------------------------------------------------------------


def test_a_record_is_read_as_it_was_written(container: state.Container) -> None:
    loaded = state.load(container.root, "box")
    assert loaded.record == container.record
    loaded.close()


def test_a_record_is_replaced_whole(container: state.Container) -> None:
    """A reader has the old or the new file open, never a part of one; nothing is left beside it."""
    before = path(container).stat().st_ino
    container.save()
    assert path(container).stat().st_ino != before
    assert os.listdir(path(container).parent) == [state.RECORD]
    assert path(container).stat().st_mode & 0o777 == 0o600


def test_the_directory_is_for_its_owner_alone(container: state.Container) -> None:
    for place in (container.root, f"{container.root}/box"):
        assert os.stat(place).st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b"\xff\0", b'{"id": "box"}'])
def test_a_damaged_record_is_none(container: state.Container, content: bytes) -> None:
    path(container).write_bytes(content)
    loaded = state.load(container.root, "box")
    assert loaded.record is None
    assert loaded.status() == "stopped"
    assert loaded.open_init() is None
    assert loaded.cgroup() is None
    with pytest.raises(StateError, match="the record of container box is missing or damaged"):
        loaded.known()
    loaded.close()


@pytest.mark.parametrize("key", sorted(record()))
def test_a_record_that_lacks_a_field_is_damaged(container: state.Container, key: str) -> None:
    fields = record()
    del fields[key]
    path(container).write_text(json.dumps(fields))
    container.reload()
    assert container.record is None


def test_a_missing_record_is_none(container: state.Container) -> None:
    path(container).unlink()
    container.reload()
    assert container.record is None


def test_the_first_record_is_one_and_stays(root: str) -> None:
    """Who looks in the meantime finds it; the last one damaged, it still names what must be removed."""
    made = state.make(root, "box")
    made.record = record()
    made.begin_journal()
    assert os.listdir(path(made).parent) == [state.JOURNAL]
    loaded = state.load(root, "box")
    assert (loaded.record, loaded.status()) == (record(), "creating")

    made.record = record(status="created")
    made.save()
    loaded.reload()
    assert loaded.record == record(status="created")
    path(made).write_text("{")
    loaded.reload()
    assert loaded.record is None
    loaded.recover()
    assert loaded.record == record()
    loaded.close()
    made.close()


def test_a_record_that_is_a_link_is_not_followed(
    container: state.Container, tmp_path: Path
) -> None:
    (tmp_path / "other").write_text("{}")
    path(container).unlink()
    path(container).symlink_to(tmp_path / "other")
    with pytest.raises(OSError, match="symbolic links"):
        container.reload()


def test_a_temporary_name_that_is_a_link_is_not_followed(
    container: state.Container, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("host")
    path(container, ".state.json.new").symlink_to(victim)
    with pytest.raises(OSError, match="symbolic links"):
        container.save()
    assert victim.read_text() == "host"


def test_a_hook_is_in_the_journal_while_it_runs(container: state.Container) -> None:
    container.journal_hook(os.getpid())
    loaded = state.load(container.root, "box")
    assert loaded.known()["hook"] == identity.record(os.getpid())
    loaded.close()
    container.journal_hook(0)
    assert container.known()["hook"] is None


# --- names ----------------------------------------------------------------------------------------


def test_an_id_is_claimed_once(container: state.Container) -> None:
    with pytest.raises(StateError, match="^container with given ID already exists$"):
        state.make(container.root, "box")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "-x", ".del.1", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(root: str, name: str) -> None:
    for function in (state.make, state.load):
        with pytest.raises(StateError):
            function(root, name)
    assert not os.path.exists(root)


def test_what_does_not_exist_is_said_in_runcs_words(container: state.Container) -> None:
    (Path(container.root) / "file").touch()
    (Path(container.root) / "link").symlink_to("box")
    for name in ("none", "file", "link"):
        with pytest.raises(StateError, match="^container does not exist$"):
            state.load(container.root, name)


def test_names_are_sorted_and_ours_are_not_among_them(container: state.Container) -> None:
    for name in (".del.1", ".seccomp", "a"):
        (Path(container.root) / name).mkdir()
    assert state.names(container.root) == ["a", "box"]


def test_the_root_is_made_with_its_parents(tmp_path: Path) -> None:
    state.make_root(f"{tmp_path}/a/b/root")
    assert (tmp_path / "a/b/root").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "a/b").stat().st_mode & 0o777 == 0o755
    state.make_root(f"{tmp_path}/a/b/root")


# --- the lock -------------------------------------------------------------------------------------


def test_who_makes_a_container_holds_its_lock(container: state.Container) -> None:
    other = state.load(container.root, "box")
    began = time.monotonic()
    assert not other.lock(0.05)
    assert 0.05 <= time.monotonic() - began < 5
    fcntl.flock(container.directory, fcntl.LOCK_UN)
    assert other.lock(0)
    other.close()


def test_the_lock_is_taken_as_soon_as_it_is_free(container: state.Container) -> None:
    """The record may have changed meanwhile: it is read again."""
    other = state.load(container.root, "box")
    child = os.fork()
    if not child:
        path(container).write_text(json.dumps(record(status="created")))
        fcntl.flock(container.directory, fcntl.LOCK_UN)
        os._exit(0)
    assert other.lock(10)
    assert other.known()["status"] == "created"
    os.waitpid(child, 0)
    other.close()


def test_a_container_that_is_gone_cannot_be_locked(container: state.Container) -> None:
    """A new one of the same id is another directory."""
    other = state.load(container.root, "box")
    container.remove()
    fcntl.flock(container.directory, fcntl.LOCK_UN)
    with pytest.raises(StateError, match="does not exist"):
        other.lock(0)
    other.close()


# --- the end --------------------------------------------------------------------------------------


def test_a_removed_container_leaves_nothing(container: state.Container) -> None:
    container.remove()
    assert os.listdir(container.root) == []
    container.remove()


# --- status ---------------------------------------------------------------------------------------


def test_a_container_is_being_created_while_its_maker_lives(container: state.Container) -> None:
    assert container.status() == "creating"
    container.record = record(boot="another")
    assert container.status() == "stopped"
    container.record = record(holder={"pid": os.getpid(), "start": 1, "inode": 1})
    assert container.status() == "stopped"


def test_the_fifo_tells_created_from_running(container: state.Container) -> None:
    container.record = record(status="created", init=identity.record(os.getpid()))
    assert container.status() == "running"
    os.mkfifo(path(container, state.FIFO))
    assert container.status() == "running"  # `start` was killed before it took the fifo away
    held = os.open(path(container, state.FIFO), os.O_RDWR)
    assert container.status() == "created"
    os.close(held)


def test_without_its_init_a_container_has_stopped(container: state.Container) -> None:
    for keys in ({"init": None}, {"init": {"pid": 1, "start": 1, "inode": 1}}, {"boot": "another"}):
        container.record = record(
            **{"init": identity.record(os.getpid()), **keys}, status="created"
        )
        assert container.status() == "stopped"


def test_the_state_has_a_pid_while_there_is_a_process(container: state.Container) -> None:
    """runtime.md#state: pid is required unless stopped."""
    container.record = record(init=identity.record(os.getpid()))
    document = json.loads(container.state("running"))
    assert document == {
        "ociVersion": "1.2.0",
        "id": "box",
        "status": "running",
        "pid": os.getpid(),
        "bundle": "/b",
        "annotations": {"a": "\u00e9\n"},
    }
    assert json.loads(container.state("stopped"))["pid"] == 0


def test_a_time_is_rfc_3339_in_nanoseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time_ns", lambda: 1_000_000_000 * 951_782_400 + 7)
    assert state.timestamp() == "2000-02-29T00:00:00.000000007Z"
