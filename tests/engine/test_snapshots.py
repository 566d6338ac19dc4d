# SPDX-License-Identifier: Apache-2.0
"""The writable layer: mounted with any number of layers, its changes told, made an image."""

import os
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from images import Load, docker_archive, layer, member

from pyoci.engine import snapshots
from pyoci.engine.errors import EngineError
from pyoci.engine.images import making, records
from pyoci.engine.images.store import Store
from pyoci.engine.snapshots import Snapshot

pytestmark = pytest.mark.root
DIR = tarfile.DIRTYPE


@pytest.fixture
def made(store: Store) -> Iterator[list[Snapshot]]:
    """The snapshots of a test, unmounted at its end."""
    found: list[Snapshot] = []
    yield found
    for snapshot in found:
        snapshot.unmount()


def mounted(store: Store, made: list[Snapshot], name: str, container: str = "c") -> Path:
    """Make and mount a container's writable layer."""
    image = records.resolve(store.database, store.places, name)
    made.append(snapshots.create(store.database, store.places, container, image))
    return Path(made[-1].mount())


def base(load: Load) -> None:
    """Load an image with something to change."""
    lower = layer(
        member("etc", DIR), ("etc/passwd", b"root"), ("etc/group", b"g"), ("file", b"f"),
        member("dir/sub", DIR), ("dir/sub/x", b"x"), member("old", DIR), ("old/1", b"1"),
    )  # fmt: skip
    load(docker_archive([lower, layer(("etc/.wh.group", b""), ("file", b"F"))], "base:1"))


def change(root: Path) -> None:
    """Change something of each kind."""
    (root / "new").write_text("n")
    (root / "etc/passwd").unlink()
    (root / "file").chmod(0o600)
    (root / "dir/sub/y").write_text("y")
    subprocess.run(["rm", "-r", root / "old"], check=True)
    (root / "old").mkdir()
    (root / "old/2").write_text("2")


CHANGES = [
    ("C", "/dir"),
    ("C", "/dir/sub"),
    ("A", "/dir/sub/y"),
    ("C", "/etc"),
    ("D", "/etc/passwd"),
    ("C", "/file"),
    ("A", "/new"),
    ("C", "/old"),
    ("A", "/old/2"),
]


def test_a_container_sees_its_image_and_changes_itself(
    store: Store, load: Load, made: list[Snapshot]
) -> None:
    base(load)
    root = mounted(store, made, "base:1")
    assert sorted(os.listdir(root)) == [".dockerenv", "dir", "etc", "file", "old"]
    assert sorted(os.listdir(root / "etc")) == ["hostname", "hosts", "passwd", "resolv.conf"]
    assert made[0].bytes() == 0  # what every container is given lies below its image
    assert (root / "file").read_text() == "F"
    change(root)
    assert made[0].changes() == CHANGES
    assert made[0].bytes() > 0
    other = mounted(store, made, "base:1", "d")
    assert (other / "etc/passwd").read_text() == "root"
    assert made[1].changes() == []
    assert made[0].mount() == str(root)  # a second time changes nothing


def test_a_hundred_layers_are_mounted(store: Store, load: Load, made: list[Snapshot]) -> None:
    """mount(2) takes 31: its options end at 4095 bytes."""
    load(
        docker_archive(
            [layer((f"f{i}", b"x"), ("top", str(i).encode())) for i in range(100)], "a:1"
        )
    )
    root = mounted(store, made, "a:1")
    assert {"top", *(f"f{i}" for i in range(100))} <= {*os.listdir(root)}
    assert (root / "top").read_text() == "99"


def test_an_image_without_layers_is_mounted(store: Store, load: Load, made: list[Snapshot]) -> None:
    load(docker_archive([], "empty:1"))
    root = mounted(store, made, "empty:1")
    assert sorted(os.listdir(root)) == [".dockerenv", "etc"]
    (root / "x").write_text("y")
    assert made[0].changes() == [("A", "/x")]


def test_a_mount_that_fails_says_why(store: Store, load: Load, made: list[Snapshot]) -> None:
    base(load)
    image = records.resolve(store.database, store.places, "base:1")
    made.append(snapshots.create(store.database, store.places, "c", image))
    os.rename(store.layer_path(image.layers[0]), f"{store.places.root}/away")
    with pytest.raises(
        EngineError, match="mount overlay: .*layers/.*no such file or directory"
    ) as error:
        made[0].mount()
    assert image.layers[0][7:] in str(error.value)


def test_what_is_removed_is_gone(store: Store, load: Load, made: list[Snapshot]) -> None:
    base(load)
    change(mounted(store, made, "base:1"))
    assert records.in_use_by(store.database, made[0].image()) == ["c"]
    made[0].remove()
    made[0].remove()
    assert "c" not in os.listdir(f"{store.places.root}/snapshots")
    assert store.database.rows("SELECT * FROM snapshot") == []


def test_a_commit_is_an_image_of_what_the_container_saw(
    store: Store, load: Load, made: list[Snapshot]
) -> None:
    base(load)
    root = mounted(store, made, "base:1")
    change(root)
    os.mknod(root / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.link(root / "new", root / "too")
    (root / "l").symlink_to("x" * 200)
    os.setxattr(root / "new", "user.k", b"v\n\0")
    os.chown(root / "new", 5_000_000, 6)
    config = records.open_image(store.database, store.places, made[0].image()).config["config"]
    config["Cmd"] = ["changed"]
    story = making.Story("sh", "me", "why")
    making.commit(store, made[0], config, story, ["docker.io/library/made:1"])
    again = mounted(store, made, "made:1", "e")
    assert listing(again) == listing(root)
    image = records.resolve(store.database, store.places, "made:1")
    assert image.config["config"]["Cmd"] == ["changed"]
    assert image.config["history"][-1]["comment"] == "why"
    assert len(image.layers) == 3


def test_the_mark_of_a_container_is_not_committed_away(
    store: Store, load: Load, made: list[Snapshot]
) -> None:
    """It lies below every image, where a whiteout would hide it from all containers of the new one."""
    base(load)
    root = mounted(store, made, "base:1")
    (root / ".dockerenv").unlink()
    assert made[0].changes() == []
    config = records.open_image(store.database, store.places, made[0].image()).config["config"]
    making.commit(store, made[0], config, making.Story("", "", ""), ["docker.io/library/made:1"])
    assert (mounted(store, made, "made:1", "e") / ".dockerenv").exists()


def listing(root: Path) -> list[tuple[object, ...]]:
    """Return what can be seen of a tree."""
    found: list[tuple[object, ...]] = []
    for path in sorted(root.rglob("*")):
        s = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
        xattrs = [
            (k, os.getxattr(path, k)) for k in ([] if path.is_symlink() else os.listxattr(path))
        ]
        links = s.st_nlink if path.is_file() else 0
        found.append((path.relative_to(root), s.st_mode, s.st_uid, s.st_gid, int(s.st_mtime)))
        found[-1] += (s.st_rdev, content, xattrs, links)
    return found


def test_an_export_is_imported(
    store: Store, load: Load, made: list[Snapshot], scratch: Path
) -> None:
    base(load)
    root = mounted(store, made, "base:1")
    change(root)
    (scratch / "x.tar").write_bytes(b"".join(making.export(str(root))))
    names = subprocess.run(
        ["tar", "tf", scratch / "x.tar"], capture_output=True, text=True, check=True
    )
    assert "old/2" in names.stdout.split()
    fd = os.open(scratch / "x.tar", os.O_RDONLY)
    changes = ['CMD ["a", "b"]', "ENV A=1 B='2 3'", "EXPOSE 80 53/udp", "WORKDIR /w", "LABEL k v"]
    making.import_image(store, fd, names=["docker.io/library/imported:1"], changes=changes)
    os.close(fd)
    image = records.resolve(store.database, store.places, "imported:1")
    process = image.config["config"]
    assert (process["Cmd"], process["Env"]) == (["a", "b"], ["A=1", "B=2 3"])
    assert sorted(process["ExposedPorts"]) == ["53/udp", "80/tcp"]
    assert (process["WorkingDir"], process["Labels"]) == ("/w", {"k": "v"})
    assert listing(mounted(store, made, "imported:1", "i")) == listing(root)


def test_a_wrong_change_is_refused(store: Store, scratch: Path) -> None:
    (scratch / "x.tar").write_bytes(layer(("a", b"x")))
    for change_, words in (
        ("RUN x", "RUN is not a valid change command"),
        ("ENV A=1 B", "can't find ="),
    ):
        fd = os.open(scratch / "x.tar", os.O_RDONLY)
        with pytest.raises(EngineError, match=words):
            making.import_image(store, fd, changes=[change_])
        os.close(fd)
    assert store.database.rows("SELECT * FROM image") == []
