# SPDX-License-Identifier: Apache-2.0
"""save and load: what others write is read, and what is written others read."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from backports import zstd
from images import Load, busybox_layer, config_of, digest_of, docker_archive, layer, member

from pyoci.engine.errors import EngineError
from pyoci.engine.images import archive, records
from pyoci.engine.images.store import Store

pytestmark = pytest.mark.root


def saved(store: Store, *names: str) -> bytes:
    """Return an archive that pypod has written."""
    return b"".join(archive.save(store, names))


def run(*argv: object, **more: object) -> str:
    """Run a program that must succeed and return what it printed."""
    ran = subprocess.run(
        [str(word) for word in argv],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **more,
    )
    assert ran.returncode == 0, f"{argv}: {ran.stderr}"
    return str(ran.stdout)


@pytest.mark.parametrize(
    "press", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd.compress]
)
def test_an_archive_may_be_compressed(load: Load, press: object) -> None:
    plain = [layer(("a", b"x"))]
    [(identity, names)] = load(press(docker_archive(plain, "a:1", "b/c:2")))
    assert identity == digest_of(config_of(plain))
    assert names == ["a:1", "b/c:2"]


def test_an_image_comes_back_as_it_was(store: Store, load: Load) -> None:
    plain = [busybox_layer(), layer(("x", b"y"))]
    [(identity, _)] = load(docker_archive(plain, "app:1"))
    content = saved(store, "app:1")
    assert load(content) == [(identity, ["app:1"])]
    assert saved(store, "app:1") == content
    assert load(saved(store, identity)) == [(identity, [])]


def test_skopeo_reads_both_forms_of_an_archive(store: Store, load: Load, scratch: Path) -> None:
    plain = [busybox_layer(), layer(("x", b"y"))]
    [(identity, _)] = load(docker_archive(plain, "app:1"))
    (scratch / "out.tar").write_bytes(saved(store, "app:1"))
    for number, form in enumerate(("docker-archive:{}:app:1", "oci-archive:{}:1", "oci:{}:1")):
        source = form.format(
            f"{store.places.root}/images" if form.startswith("oci:") else scratch / "out.tar"
        )
        target = scratch / f"copy{number}"
        run("skopeo", "copy", "--insecure-policy", source, f"dir:{target}")
        manifest = json.loads((target / "manifest.json").read_text())
        assert manifest["config"]["digest"] == identity


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_what_skopeo_writes_is_loaded(store: Store, load: Load, scratch: Path, form: str) -> None:
    plain = [busybox_layer(), layer(("x", b"y"))]
    (scratch / "in.tar").write_bytes(docker_archive(plain, "app:1"))
    target = scratch / "out.tar"
    argv = ["skopeo", "copy", "--insecure-policy", f"docker-archive:{scratch / 'in.tar'}"]
    run(*argv, f"{form}:{target}:x.io/app:2")
    [(identity, names)] = load(target.read_bytes())
    assert names == ["x.io/app:2"]
    image = records.open_image(store.database, store.places, identity)
    assert image.layers == tuple(map(digest_of, plain))


def test_podman_loads_and_saves(store: Store, load: Load, scratch: Path) -> None:
    plain = [busybox_layer(), layer(("x", b"y"))]
    [(identity, _)] = load(docker_archive(plain, "app:1"))
    (scratch / "out.tar").write_bytes(saved(store, "app:1"))
    podman = [
        "podman",
        "--root",
        scratch / "podman",
        "--runroot",
        scratch / "run",
        "--storage-driver=vfs",
    ]
    run(*podman, "load", "-i", scratch / "out.tar")
    assert identity[7:19] in run(*podman, "images", "-q")
    for form in ("docker-archive", "oci-archive"):
        target = scratch / f"{form}.tar"
        run(*podman, "save", "--format", form, "-o", target, identity[7:])
        [(again, _)] = load(target.read_bytes())
        image = records.open_image(store.database, store.places, again)
        assert image.layers == tuple(map(digest_of, plain))


def test_zstd_layers_are_saved_plain_for_old_readers(
    store: Store, load: Load, scratch: Path
) -> None:
    plain = layer(("x", b"y" * 5000))
    load(docker_archive([plain], "app:1", stored=[zstd.compress(plain)]))
    (scratch / "out.tar").write_bytes(saved(store, "app:1"))
    run(
        "skopeo",
        "copy",
        "--insecure-policy",
        f"docker-archive:{scratch / 'out.tar'}",
        f"dir:{scratch / 'd'}",
    )
    with tarfile.open(scratch / "out.tar") as opened:
        assert f"blobs/sha256/{digest_of(plain)[7:]}" in opened.getnames()


def test_a_layer_that_is_a_link_to_another_is_found(load: Load) -> None:
    """Docker's older archives hold each layer once, and links to it."""
    plain = layer(("a", b"x"))
    manifest = [{"Config": "c", "RepoTags": ["a:1"], "Layers": ["1/layer.tar", "2/layer.tar"]}]
    content = layer(
        ("1/layer.tar", plain),
        member("2/layer.tar", tarfile.SYMTYPE, linkname="../1/layer.tar"),
        ("c", config_of([plain, plain])),
        ("manifest.json", json.dumps(manifest).encode()),
    )
    [(_, names)] = load(content)
    assert names == ["a:1"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "this is no archive of images: it has neither manifest.json nor index.json"),
        ({"manifest.json": b"[{}]"}, "the archive has no file ''"),
        ({"manifest.json": b"{}"}, "must be an array of objects"),
        ({"manifest.json": b"[1]"}, "must be an array of objects"),
        ({"manifest.json": b'[{"Config": "../../../etc/passwd"}]'}, "leads out of the layer"),
        (
            {"manifest.json": b'[{"Config": "/etc/passwd"}]'},
            "the archive has no file '/etc/passwd'",
        ),
        ({"manifest.json": b'[{"Config": "manifest.json"}]'}, "manifest.json"),
        ({"manifest.json": b'[{"RepoTags": ["A B"]}]'}, "must be lowercase"),
        ({"index.json": b'{"manifests": 1}'}, "manifests: must be an array"),
        (
            {"index.json": b'{"manifests": [{"digest": "x", "size": 1}]}'},
            "invalid reference format",
        ),
        ({"manifest.json": b"\xff"}, "is not UTF-8"),
        ({"manifest.json": b"[" * 10000}, "nested too deeply"),
    ],
)
def test_a_bad_archive_is_refused(
    store: Store, load: Load, files: dict[str, bytes], words: str
) -> None:
    with pytest.raises(EngineError) as error:
        load(layer(*files.items()))
    assert words in str(error.value) or words == "manifest.json"
    assert store.database.rows("SELECT * FROM image") == []
    assert os.listdir(f"{store.places.root}/layers") == []


def test_links_that_lead_out_of_the_archive_lead_nowhere(load: Load, scratch: Path) -> None:
    (scratch / "secret").write_bytes(config_of([]))
    for target in (f"{scratch}/secret", f"{'../' * 20}{scratch}/secret", "c"):
        content = layer(
            member("c", tarfile.SYMTYPE, linkname=target),
            ("manifest.json", b'[{"Config": "c", "Layers": []}]'),
        )
        with pytest.raises(EngineError, match="the archive has no file|leads out of the layer"):
            load(content)


def test_a_layer_that_is_not_the_configurations_is_refused(store: Store, load: Load) -> None:
    plain, other = layer(("a", b"1")), layer(("a", b"2"))
    with pytest.raises(EngineError, match="the image says"):
        load(docker_archive([plain], "a:1", stored=[other]))
    assert store.database.rows("SELECT * FROM image_name") == []


def test_saving_what_is_not_there_is_refused_in_dockers_words(store: Store, load: Load) -> None:
    load(docker_archive([layer(("a", b"x"))], "busybox:latest"))
    for name in ("busybox.latest", "nosuch:1", "sha256:" + "0" * 64):
        with pytest.raises(EngineError) as error:
            saved(store, name)
        assert str(error.value) == f"No such image: {name}"


def test_a_repository_is_saved_with_all_its_tags(store: Store, load: Load) -> None:
    load(docker_archive([layer(("a", b"1"))], "a:1", "b:1"))
    load(docker_archive([layer(("a", b"2"))], "a:2"))
    again = load(saved(store, "a"))
    assert sorted(name for _, names in again for name in names) == ["a:1", "a:2"]
    [(_, names)] = load(saved(store, "a:1", "b:1"))
    assert names == ["a:1", "b:1"]


def test_nothing_but_what_images_need_is_kept_of_an_archive(store: Store, load: Load) -> None:
    plain = [layer(("a", b"x"))]
    load(docker_archive(plain, "a:1"))
    blobs = set(os.listdir(f"{store.places.root}/images/blobs/sha256"))
    row = store.database.row("SELECT id, manifest FROM image")
    assert row is not None
    wanted = {str(row[0])[7:], str(row[1])[7:], digest_of(plain[0])[7:]}
    assert blobs == wanted
    assert os.listdir(f"{store.places.root}/staging") == ["partial"]
