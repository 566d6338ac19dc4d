# SPDX-License-Identifier: Apache-2.0
"""Archives between pypod and Docker, in both directions; what `diff` and `images` say is what Docker says."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from engines.docker import IMAGE, Docker

from pyoci.engine import snapshots
from pyoci.engine.database import Database
from pyoci.engine.images import archive, listing, records
from pyoci.engine.images.store import Store
from pyoci.engine.places import Places

pytestmark = pytest.mark.root

CHANGE = """
echo x > /etc/new; rm /bin/true; chmod 700 /tmp; mkdir -p /a/b; echo y > /a/b/c
ln -s nowhere /link; mv /bin/cat /bin/dog
"""


@pytest.fixture
def store(scratch: Path) -> Iterator[Store]:
    """The images of a pypod."""
    places = Places(str(scratch / "pypod"), str(scratch / "run"))
    database = Database(places)
    yield Store(database, places)
    database.close()


def load(store: Store, path: Path) -> list[archive.Loaded]:
    """Load an archive."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return list(archive.load(store, fd))
    finally:
        os.close(fd)


def test_an_image_goes_to_pypod_and_back(docker: Docker, store: Store, scratch: Path) -> None:
    docker.output("save", "-o", str(scratch / "docker.tar"), f"{IMAGE}:latest")
    [loaded] = load(store, scratch / "docker.tar")
    assert loaded.names == [f"{IMAGE}:latest"]
    identity = docker.output("image", "inspect", "--format", "{{.Id}}", IMAGE).strip()
    assert loaded.id == identity
    size = docker.output("image", "inspect", "--format", "{{.Size}}", IMAGE).strip()
    assert listing.inspect(store, IMAGE)["Size"] == int(size)

    (scratch / "pypod.tar").write_bytes(b"".join(archive.save(store, [IMAGE])))
    docker.output("tag", IMAGE, "kept:1")
    docker.output("rmi", f"{IMAGE}:latest")
    said = docker.output("load", "-i", str(scratch / "pypod.tar"))
    assert said == f"Loaded image: {IMAGE}:latest\n"
    assert docker.output("image", "inspect", "--format", "{{.Id}}", IMAGE).strip() == identity
    assert docker.says("--", "echo", "works") == "works\n"
    docker.output("rmi", "kept:1")


def test_a_compressed_layer_is_loaded_by_docker(
    docker: Docker, store: Store, scratch: Path
) -> None:
    import gzip
    import io
    import json
    import tarfile

    docker.output("save", "-o", str(scratch / "docker.tar"), IMAGE)
    with (
        tarfile.open(scratch / "docker.tar") as source,
        tarfile.open(scratch / "gz.tar", "w") as to,
    ):
        for member in source:
            content = source.extractfile(member)
            data = content.read() if content else b""
            if member.name.endswith("layer.tar") or data[257:262] == b"ustar":
                data = gzip.compress(data, 1)
                member.size = len(data)
            if member.name == "manifest.json":
                data = json.dumps([dict(json.loads(data)[0], RepoTags=["pressed:1"])]).encode()
                member.size = len(data)
            to.addfile(member, io.BytesIO(data))
    load(store, scratch / "gz.tar")
    (scratch / "pypod.tar").write_bytes(b"".join(archive.save(store, ["pressed:1"])))
    assert docker.output("load", "-i", str(scratch / "pypod.tar")) == "Loaded image: pressed:1\n"
    docker.output("rmi", "pressed:1")


def test_diff_says_what_docker_says(docker: Docker, store: Store, scratch: Path) -> None:
    name = docker.start_container("--", "sh", "-c", f"{CHANGE} sleep 100")
    docker.output("exec", name, "sh", "-c", "until [ -e /bin/dog ]; do :; done")
    expected = sorted(docker.output("diff", name).splitlines())
    docker.output("rm", "-f", name)

    docker.output("save", "-o", str(scratch / "docker.tar"), IMAGE)
    load(store, scratch / "docker.tar")
    image = records.resolve(store.database, store.places, IMAGE)
    snapshot = snapshots.create(store.database, store.places, "c", image)
    try:
        root = snapshot.mount()
        script = f"chroot {root} /bin/busybox sh -c '{CHANGE}'"
        assert os.system(script) == 0
        assert sorted(f"{kind} {path}" for kind, path in snapshot.changes()) == expected
    finally:
        snapshot.remove()
