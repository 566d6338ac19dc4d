# SPDX-License-Identifier: Apache-2.0
"""Layers: what an ordinary one becomes, compared with GNU tar, and what a hostile one cannot do."""

import bz2
import gzip
import io
import lzma
import os
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest
from backports import zstd
from images import digest_of, layer, member

from pyoci.engine.errors import EngineError
from pyoci.engine.images import layers, unpack
from pyoci.engine.images.store import Store
from pyoci.engine.images.tar import Source

pytestmark = pytest.mark.root

DIR, SYM, LNK = tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE
PRESSED = {
    "plain": bytes,
    "gzip": gzip.compress,
    "two gzip members": lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd.compress,
}


def extract(store: Store, content: bytes, diff_id: str = "") -> Path:
    """Extract a blob and return the directory of the layer."""
    with store.session() as session:
        blob = session.add_bytes(content)
        return Path(store.layer_path(layers.extract(session, blob, diff_id)))


def refused(store: Store, content: bytes) -> str:
    """Return why a blob is refused, and make sure that nothing of it is left."""
    with pytest.raises(EngineError) as error:
        extract(store, content)
    assert os.listdir(f"{store.places.root}/layers") == []
    assert os.listdir(f"{store.places.root}/staging") == ["partial"]
    return str(error.value).partition(": ")[2]


def attributes(top: Path) -> dict[str, tuple[object, ...]]:
    """Return everything that can be seen of a tree."""
    found: dict[str, tuple[object, ...]] = {}
    inodes: dict[int, str] = {}
    for path in sorted(top.rglob("*")):
        s = path.lstat()
        name = str(path.relative_to(top))
        first = inodes.setdefault(s.st_ino, name)
        content: object = None
        if path.is_symlink():
            content = os.readlink(path)
        elif path.is_file():
            content = (path.read_bytes(), s.st_blocks * 512 < s.st_size)
        xattrs = tuple(
            (key, os.getxattr(path, key, follow_symlinks=False))
            for key in os.listxattr(path, follow_symlinks=False)
        )
        found[name] = (s.st_mode, s.st_uid, s.st_gid, s.st_mtime_ns, s.st_rdev, content)
        found[name] += (first, xattrs)
    return found


def make_tree(top: Path) -> None:
    """Make one of everything that a layer can hold."""
    deep = top / ("d" * 90) / ("e" * 90) / ("f" * 90)
    deep.mkdir(parents=True)
    (deep / ("g" * 90)).write_text("a long name")
    (top / "tool").write_bytes(b"\x7fELF")
    os.chown(top / "tool", 3000000, 70000)
    os.chmod(top / "tool", 0o6755)
    os.setxattr(top / "tool", "user.note", b"bin\0ary\n")
    os.link(top / "tool", top / "tool-too")
    (top / "link").symlink_to("x" * 150)
    os.link(top / "link", top / "link-too", follow_symlinks=False)
    os.mkfifo(top / "fifo", 0o620)
    os.mknod(top / "null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    (top / "näme\n").write_text("odd")
    with open(top / "holes", "wb") as file:
        file.truncate(4 << 20)
        for at in range(0, 3 << 20, 128 << 10):
            file.seek(at)
            file.write(b"piece")
    os.utime(top / "tool", ns=(10**18, 10**18 + 123456789))
    os.utime(top / "holes", (0, -5))
    os.utime(deep, (5, 7))


@pytest.mark.parametrize(
    "form",
    [
        ["--format=pax", "--xattrs"],
        ["--format=pax", "--xattrs", "--sparse", "--sparse-version=1.0"],
        ["--format=pax", "--xattrs", "--sparse", "--sparse-version=0.1"],
        ["--format=pax", "--xattrs", "--sparse", "--sparse-version=0.0"],
        ["--format=gnu", "--sparse"],
    ],
    ids=" ".join,
)
def test_a_layer_is_what_gnu_tar_makes_of_it(store: Store, scratch: Path, form: list[str]) -> None:
    source, expected = scratch / "source", scratch / "expected"
    source.mkdir()
    expected.mkdir()
    make_tree(source)
    subprocess.run(["tar", *form, "-C", source, "-cf", scratch / "x.tar", "."], check=True)
    subprocess.run(
        ["tar", "--xattrs", "--numeric-owner", "-C", expected, "-xpf", scratch / "x.tar"],
        check=True,
    )
    made = extract(store, (scratch / "x.tar").read_bytes())
    assert attributes(made) == attributes(expected)


@pytest.mark.parametrize("kind", PRESSED)
def test_a_layer_may_be_compressed(store: Store, kind: str) -> None:
    plain = layer(("a/b", b"content" * 1000), ("c", b""))
    made = extract(store, PRESSED[kind](plain), digest_of(plain))
    assert (made / "a/b").read_bytes() == b"content" * 1000
    assert made.name == digest_of(plain)[7:]


def test_old_and_odd_archives_are_read(store: Store) -> None:
    for form in (tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT):
        long = "/".join(["x" * 60] * 3)
        made = extract(store, layer((long, b"1"), member("./d/", DIR), ("./d//e", b"2"), form=form))
        assert (made / long).read_bytes() == b"1"
        assert (made / "d/e").read_bytes() == b"2"
    without_end = layer(("f", b"3"))[:1024]
    assert (extract(store, without_end) / "f").read_bytes() == b"3"


@pytest.mark.parametrize("first", ["whiteout", "what it hides"])
def test_whiteouts_become_overlayfs_marks_in_any_order(store: Store, first: str) -> None:
    """image-spec layer.md: whiteouts apply to the layers below, whatever their order."""
    marks = [
        member("gone/.wh.file"),
        member("opaque/.wh..wh..opq"),
        member("again/.wh.dir"),
        member(".wh.kept"),
    ]
    things = [
        member("gone", DIR),
        member("opaque", DIR),
        ("opaque/new", b"n"),
        member("again/dir", DIR),
        ("again/dir/x", b"x"),
        ("kept", b"k"),
    ]
    parts = [*marks, *things] if first == "whiteout" else [*things, *marks]
    made = extract(store, layer(*parts))
    status = (made / "gone/file").lstat()
    assert (stat.S_ISCHR(status.st_mode), status.st_rdev) == (True, 0)
    assert os.getxattr(made / "opaque", "trusted.overlay.opaque") == b"y"
    assert os.getxattr(made / "again/dir", "trusted.overlay.opaque") == b"y"
    assert (made / "kept").read_bytes() == b"k"
    assert (made / "again/dir/x").read_bytes() == b"x"
    assert not list(made.rglob(".wh*"))


def test_the_last_entry_of_a_name_counts(store: Store) -> None:
    made = extract(
        store,
        layer(
            ("a", b"1"), ("a", b"2"),
            member("b", DIR), ("b/c/d", b"x"), ("b", b"file"),
            ("e", b"f"), member("e", DIR), ("e/g", b"h"),
        ),
    )  # fmt: skip
    assert (made / "a").read_bytes() == b"2"
    assert (made / "b").read_bytes() == b"file"
    assert (made / "e/g").read_bytes() == b"h"


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("../escaped", b"x")], "../escaped: the name leads out of the layer"),
        ([("a/../../escaped", b"x")], "a/../../escaped: the name leads out of the layer"),
        ([("/../escaped", b"x")], "/../escaped: the name leads out of the layer"),
        ([member("h", LNK, linkname="../../../../etc/passwd")], "leads out of the layer"),
        ([member("h", LNK, linkname="/etc/passwd")], "which is not in this layer"),
        ([member(".wh.")], ".wh.: a whiteout of nothing"),
        ([member("d/.wh...")], ".wh...: a whiteout of nothing"),
        ([member("n", tarfile.CHRTYPE)], "device 0:0 is overlayfs's own mark of deletion"),
        ([("x" * 256, b"")], "file name too long"),
        ([("y/" * 2100 + "z", b"")], "file name too long"),
        ([member("u", uid=1 << 40)], "u: "),
        ([member("t", b"Z")], "an entry of the unknown type b'Z'"),
        ([("d", b""), ("d/e", b"")], "d/e: "),
        ([member("p", SYM, linkname="/proc/self/root"), ("p/etc/x", b"")], "p/etc/x: "),
    ],
)
def test_a_hostile_entry_is_refused(store: Store, entries: list[object], words: str) -> None:
    said = refused(store, layer(*entries))
    assert words in said
    assert "\n" not in said


def test_no_link_leads_out_of_the_layer(store: Store, victim: Path) -> None:
    """The layer's directory is the root directory of what extracts it."""
    up = "../" * 20
    made = extract(
        store,
        layer(
            member(f"{victim}/", DIR),  # of that path, in the layer
            member("absolute", SYM, linkname=str(victim)),
            ("absolute/planted", b"x"),
            member("relative", SYM, linkname=f"{up}{victim}"),
            ("relative/planted too", b"x"),
            member("marker", SYM, linkname=str(victim / "marker")),
            ("marker", b"replaced"),
            member("dir", SYM, linkname=f"{up}{victim}"),
            member("dir", DIR, mode=0o777),
        ),
    )
    assert (made / "marker").read_bytes() == b"replaced"
    assert (made / str(victim)[1:] / "planted").read_bytes() == b"x"


def test_a_device_is_never_written_through(store: Store) -> None:
    device = member("disk", tarfile.CHRTYPE, devmajor=1, devminor=7)  # /dev/full: ENOSPC
    made = extract(store, layer(device, ("disk", b"content")))
    assert (made / "disk").read_bytes() == b"content"


def test_attributes_of_overlayfs_are_not_taken_from_a_layer(store: Store) -> None:
    """A redirect would show another directory of the layers below; opaque is told by a whiteout."""
    entry = member("d", DIR)
    entry.pax_headers = {
        "SCHILY.xattr.trusted.overlay.redirect": "/etc",
        "SCHILY.xattr.user.overlay.opaque": "y",
        "SCHILY.xattr.user.kept": "k",
        "SCHILY.xattr.system.nonsense": "n",
    }
    made = extract(store, layer(entry))
    assert os.listxattr(made / "d") == ["user.kept"]


def test_capabilities_of_a_file_survive(store: Store, scratch: Path) -> None:
    value = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep
    entry = member("tool", mode=0o755)
    entry.pax_headers = {"SCHILY.xattr.security.capability": value.decode("latin-1")}
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT, encoding="latin-1") as t:
        t.addfile(entry)
    made = extract(store, target.getvalue())
    assert os.getxattr(made / "tool", "security.capability") == value


def test_a_bomb_is_refused(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "LEAST_LIMIT", 1 << 20)
    monkeypatch.setattr(layers, "MOST_TIMES", 10)
    bomb = layer(("zeros", bytes(64 << 20)))
    for press in (gzip.compress, zstd.compress, lzma.compress):
        assert refused(store, press(bomb)).startswith("the layer unpacks to more than ")


def test_a_layer_has_no_more_entries_than_it_may(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Empty files take inodes and time, and no room: with a limit of three the fourth is one too many."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 3)
    content = layer(*((f"f{number}", b"") for number in range(4)))
    with pytest.raises(EngineError, match="the layer has more than 3 entries"):
        unpack.Unpacker(rootless=False).extract(Source(iter([content])))
    assert sorted(os.listdir()) == ["f0", "f1", "f2"]


def test_a_wrong_diff_id_is_refused(store: Store) -> None:
    content = layer(("a", b"x"))
    with pytest.raises(EngineError, match="its content is sha256:[0-9a-f]{64}, the image says"):
        extract(store, content, digest_of(b"something else"))
    assert os.listdir(f"{store.places.root}/layers") == []


@pytest.mark.parametrize("press", ["plain", "gzip", "zstd", "xz", "bzip2"])
def test_a_truncated_layer_is_refused(store: Store, press: str) -> None:
    content = PRESSED[press](layer(("a", os.urandom(3000)), ("b", os.urandom(3000))))
    for length in (len(content) // 2, 1000):
        said = refused(store, content[:length])
        assert "truncated" in said or "it ends in the middle" in said or "damaged" in said


def test_a_damaged_header_is_refused(store: Store) -> None:
    content = bytearray(layer(("a", b"x" * 600), ("b", b"y")))
    for at in (0, 100, 124, 148, 156, 257):
        damaged = content.copy()
        damaged[at] ^= 0x11
        assert refused(store, bytes(damaged)).startswith("broken tar archive: ")


@pytest.mark.parametrize(
    "records",
    [
        b"99 path=short\n",
        b"path=nothing\n",
        b"0 a=b\n",
        b"-1 a=b\n",
        b"12 size=-10\n",
        b"14 size=huge!\n",
        b"11 path=\0x\n",
        b"30 GNU.sparse.map=1,2,3,4,5,6\n",
    ],
)
def test_a_broken_pax_header_is_refused(store: Store, records: bytes) -> None:
    header = member("x", tarfile.XHDTYPE, size=len(records)).tobuf()
    content = header + records.ljust(512, b"\0") + layer(("a", b"x"))
    assert refused(store, content).startswith("broken tar archive: ")


def test_an_enormous_header_is_refused_before_it_is_read(store: Store) -> None:
    content = member("x", tarfile.XHDTYPE, size=1 << 40).tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)
    assert "an extended header of more than 1 MB" in refused(store, content)


def test_random_damage_is_refused_or_harmless(store: Store) -> None:
    """No damage makes the reader fail in another way than by its own words."""
    import random

    good = layer(member("d", DIR), ("d/" + "n" * 200, b"x" * 700), member("s", SYM, linkname="d"))
    source = random.Random(5)
    for _ in range(25):
        damaged = bytearray(good)
        for _ in range(source.randrange(1, 6)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        try:
            extract(store, bytes(damaged))
        except EngineError as error:
            assert "Traceback" not in str(error)
            assert "ended with" not in str(error)


def test_an_extracted_layer_is_shared(store: Store) -> None:
    content = layer(("a", b"x"))
    first = extract(store, gzip.compress(content)).stat().st_ino
    with store.session() as session:
        session.hold([digest_of(content)])
        assert store.has_layer(digest_of(content))
    assert extract(store, content).stat().st_ino == first


def test_others_cannot_reach_the_programs_of_a_layer(store: Store) -> None:
    made = extract(store, layer(member("su", mode=0o4755)))
    argv = ["setpriv", "--reuid=65534", "--clear-groups", "stat", made / "su"]
    assert subprocess.run(argv, capture_output=True, check=False).returncode == 1
