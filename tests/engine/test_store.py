# SPDX-License-Identifier: Apache-2.0
"""The store under two commands at once, under SIGKILL, and on a full disk."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox import kernel
from images import Load, config_of, docker_archive, layer
from servers import Stub

from pyoci.engine import mounts
from pyoci.engine.errors import EngineError
from pyoci.engine.images import removal
from pyoci.engine.images.pull import pull
from pyoci.engine.images.store import Store
from pyoci.engine.places import Places
from pyoci.engine.reference import parse

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("login")]

LOAD = """
import os, sys
from pyoci.engine.database import Database
from pyoci.engine.images import archive
from pyoci.engine.images.store import Store
from pyoci.engine.places import Places
places = Places(sys.argv[1], "")
store = Store(Database(places), places)
for _ in archive.load(store, os.open(sys.argv[2], os.O_RDONLY)):
    pass
"""
DIE = """
import os, signal
from pyoci.engine.images import store as stores
where = {where!r}
real = getattr(stores.Session, where)
def die(*arguments):
    result = real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(stores.Session, where, die)
"""


@pytest.fixture
def small(places: Places) -> Iterator[Places]:
    """A root on a disk of four megabytes."""
    os.mkdir(places.root)
    kernel.mount("tmpfs", places.root, "tmpfs", data="size=4m,mode=700")
    yield places
    kernel.umount(places.root, kernel.MNT_DETACH)


def is_clean(store: Store) -> bool:
    """Tell whether nothing is left of what failed."""
    root = Path(store.places.root)
    return (
        os.listdir(root / "staging") == ["partial"]
        and os.listdir(root / "layers") == []
        and store.database.rows("SELECT * FROM image") == []
        and store.database.rows("SELECT * FROM staging_hold") == []
    )


def test_a_full_disk_is_said_and_leaves_nothing(small: Places, load: Load, store: Store) -> None:
    big = [layer(*((f"{i}", os.urandom(300_000)) for i in range(8)))]
    with pytest.raises(EngineError, match="no space left on device|unpacks to more than"):
        load(docker_archive(big, "big:1"))
    with pytest.raises(EngineError, match="no space left on device"):
        load(docker_archive([layer(("x", os.urandom(6 << 20)))], "big:1"))
    assert is_clean(store)
    load(docker_archive([layer(("a", b"small"))], "small:1"))


def test_a_pull_onto_a_full_disk_asks_the_registry_once(
    small: Places, store: Store, stub: Stub
) -> None:
    plain = layer(("x", os.urandom(6 << 20)))
    stub.add(config_of([plain]), [plain])
    with pytest.raises(EngineError, match="no space left on device"):
        pull(store, parse(f"{stub.domain}/app"))
    assert len([path for _, path, _ in stub.requests if "/blobs/" in path]) == 2
    assert is_clean(store)


@pytest.mark.parametrize(
    "where", ["__init__", "hold", "add_file", "add_bytes", "add_layer", "release"]
)
def test_a_command_killed_anywhere_is_healed_by_the_next(
    store: Store, load: Load, scratch: Path, where: str
) -> None:
    archive = scratch / "in.tar"
    archive.write_bytes(docker_archive([layer(("a", b"1")), layer(("b", b"2"))], "app:1"))
    argv = [sys.executable, "-c", DIE.format(where=where) + LOAD, store.places.root, archive]
    ran = subprocess.run(argv, check=False, timeout=60)
    assert ran.returncode == -signal.SIGKILL
    [(identity, _)] = load(archive.read_bytes())
    assert os.listdir(f"{store.places.root}/staging") == ["partial"]
    assert store.database.rows("SELECT * FROM staging_hold") == []
    removal.remove(store, identity)
    assert is_clean(store)
    assert os.listdir(f"{store.places.root}/images/blobs/sha256") == []


def test_loads_and_removals_at_once_never_break_an_image(
    store: Store, load: Load, scratch: Path
) -> None:
    """What one command removes another may be about to use: either it is there, or it is made anew."""
    archive = scratch / "in.tar"
    archive.write_bytes(docker_archive([layer(("a", b"1")), layer(("b", b"2"))], "app:1"))
    argv = [sys.executable, "-c", LOAD, store.places.root, archive]
    for _ in range(4):
        loads = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(3)]
        while any(process.poll() is None for process in loads):
            removal.prune(store, everything=True)
        for process in loads:
            _, errors = process.communicate(timeout=60)
            assert (process.returncode, errors) == (0, b"")
        for (diff_id,) in store.database.rows("SELECT diff_id FROM image_layer"):
            assert store.has_layer(str(diff_id))
        for (blob,) in store.database.rows(
            "SELECT blob FROM image_layer UNION SELECT id FROM image"
        ):
            assert store.has_blob(str(blob))
    removal.prune(store, everything=True)
    assert is_clean(store)


def test_a_name_is_recorded_when_the_disk_has_what_it_names(
    store: Store, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    """highlevel.md 3.7: syncfs(2), then the row: a power cut leaves no name without its layers."""
    seen = []
    names = "SELECT name FROM image_name"
    monkeypatch.setattr(mounts, "sync", lambda _: seen.append(store.database.rows(names)))
    archive = docker_archive([layer(("a", b"x"))], "box:1")
    load(archive)
    assert seen == [[]]
    load(archive)
    assert seen == [[]], "nothing was new"


def test_what_was_looked_at_is_held_before_anything_is_made(load: Load, store: Store) -> None:
    """A session that reads holds nothing; once it makes something, what it saw is there, or it says who took it."""
    ((identity, names),) = load(docker_archive([layer(("a", b"x"))], "box:1"))
    row = store.database.row("SELECT blob, diff_id FROM image_layer WHERE image = ?", identity)
    assert row is not None
    blob, diff_id = map(str, row)
    with store.reader() as session:
        assert session.hold_layer(blob, diff_id)
        assert not session.hold_layer(blob, f"sha256:{0:064}")
        assert store.database.rows("SELECT * FROM staging_hold") == []
        assert [
            name for name in os.listdir(f"{store.places.root}/staging") if name != "partial"
        ] == []
        session.begin()
        held = {str(name) for (name,) in store.database.rows("SELECT object FROM staging_hold")}
        assert held == {blob, diff_id}
    assert store.database.rows("SELECT * FROM staging_hold") == []
    with store.reader() as session:
        assert session.hold_layer(blob, diff_id)
        removal.remove(store, names[0])
        with pytest.raises(EngineError, match="was removed by another command: try again"):
            session.begin()
