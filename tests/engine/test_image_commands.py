# SPDX-License-Identifier: Apache-2.0
"""The commands of images, as a user calls them: output, messages and exit status are Docker's."""

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from images import Load, busybox_layer, config_of, digest_of, docker_archive, layer, member
from servers import DebianRegistry, Stub, basic

from pyoci.engine import snapshots
from pyoci.engine.images import manifests, records
from pyoci.engine.images.store import Store

pytestmark = pytest.mark.root

MAIN = "import sys; from pyoci.engine.cli import main; sys.exit(main(['pypod', *sys.argv[1:]]))"
Pypod = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pypod(store: Store, login: Path) -> Pypod:
    """Call pypod and return exit status, standard output and standard error."""

    def call(*words: object, stdin: str = "") -> tuple[int, str, str]:
        argv = [sys.executable, "-c", MAIN, "--root", store.places.root, *map(str, words)]
        ran = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, timeout=60, check=False, cwd="/"
        )
        return ran.returncode, ran.stdout, ran.stderr

    return call


@pytest.fixture
def two(load: Load) -> list[str]:
    """Two images that share a layer; returns their ids."""
    shared = busybox_layer()
    one = load(docker_archive([shared], "busybox:latest", "x/y:1"))
    other = load(docker_archive([shared, layer(("a", b"b"))], "other:2"))
    return [one[0][0], other[0][0]]


def test_tag_rmi_and_load(pypod: Pypod, two: list[str], scratch: Path) -> None:
    """The acceptance script's first lines."""
    assert pypod("save", "-o", scratch / "m.tar", "busybox:latest") == (0, "", "")
    assert os.stat(scratch / "m.tar").st_mode & 0o777 == 0o600
    assert pypod("tag", "busybox:latest", "x/z:1") == (0, "", "")
    assert pypod("rmi", "x/z:1") == (0, "Untagged: x/z:1\n", "")
    loaded = (0, "Loaded image: busybox:latest\n", "")
    assert pypod("load", "-i", scratch / "m.tar") == loaded


@pytest.mark.parametrize("command", ["push", "save", "history"])
def test_an_image_is_for_one_platform(
    command: str, pypod: Pypod, two: list[str], registry: DebianRegistry, scratch: Path
) -> None:
    """The store has one image of a name: its platform may be named, another one is refused."""
    name = f"{registry.domain}/app:1"
    pypod("tag", "busybox:latest", name)
    options = ["-o", scratch / "m.tar"] if command == "save" else []
    own = f"linux/{manifests.host_platform().architecture}"
    code, _, errors = pypod(command, *options, "--platform", "linux/s390x", name)
    assert (code, errors) == (
        1,
        f"Error: image with reference {name} was found but does not match the specified platform: "
        f"wanted linux/s390x, actual: {own}\n",
    )
    assert not (scratch / "m.tar").exists()
    assert pypod(command, *options, "--platform", own, name)[0] == 0


def test_the_last_name_takes_the_image_with_it(pypod: Pypod, two: list[str], store: Store) -> None:
    status, out, _ = pypod("rmi", "other:2")
    lines = out.splitlines()
    assert (status, lines[:2]) == (0, ["Untagged: other:2", f"Deleted: {two[1]}"])
    assert len(lines) == 3  # its own layer; the other is shared
    assert len(os.listdir(f"{store.places.root}/layers")) == 1
    pypod("rmi", "busybox", "x/y:1")
    assert os.listdir(f"{store.places.root}/layers") == []
    assert os.listdir(f"{store.places.root}/images/blobs/sha256") == []
    index = json.loads(Path(f"{store.places.root}/images/index.json").read_text())
    assert index["manifests"] == []


def test_an_id_with_several_names_needs_force(pypod: Pypod, two: list[str]) -> None:
    short = two[0][7:19]
    words = f"conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
    assert pypod("rmi", short) == (1, "", f"Error: {words}\n")
    status, out, _ = pypod("rmi", "-f", short)
    assert (status, out.splitlines()[:2]) == (0, ["Untagged: busybox:latest", "Untagged: x/y:1"])


def test_an_image_in_use_is_kept(pypod: Pypod, two: list[str], store: Store) -> None:
    image = records.resolve(store.database, store.places, "other:2")
    snapshot = snapshots.create(store.database, store.places, "f" * 64, image)
    words = (
        f'conflict: unable to remove repository reference "other:2" (must force) - container {"f" * 12} '
        f"is using its referenced image {two[1][7:19]}"
    )
    assert pypod("rmi", "other:2") == (1, "", f"Error: {words}\n")
    status, _, errors = pypod("rmi", two[1])
    assert status == 1
    assert "image is being used by stopped container ffffffffffff" in errors
    assert pypod("rmi", "-f", "other:2") == (0, "Untagged: other:2\n", "")
    assert pypod("image", "prune", "-af")[1].count("deleted: sha256:") == 1  # busybox, no layer
    assert store.has_layer(image.layers[1])
    snapshot.remove()
    status, out, _ = pypod("image", "prune", "-f")
    assert f"deleted: {two[1]}" in out
    assert "Total reclaimed space: " in out


def test_docker_words_for_what_is_wrong(pypod: Pypod, two: list[str], scratch: Path) -> None:
    assert pypod("rmi", "nosuch") == (1, "", "Error: No such image: nosuch:latest\n")
    assert pypod("rmi", "-f", "nosuch") == (0, "", "Error: No such image: nosuch:latest\n")
    assert pypod("save", "-o", scratch / "n", "busybox.latest")[2] == (
        "Error: No such image: busybox.latest\n"
    )
    assert not (scratch / "n").exists()
    assert pypod("load", "-i", "/nosuch") == (
        1, "", "open /nosuch: no such file or directory\n",
    )  # fmt: skip
    status, _, errors = pypod("tag", "busybox", "Bad/Name:x")
    words = "invalid reference format: repository name (Name) must be lowercase"
    assert status == 1
    assert errors.endswith(f"is not a valid repository/tag: {words}\n")
    status, _, errors = pypod("save", "-o", "/nosuch/x", "busybox")
    assert (status, errors) == (
        1, "failed to save image: invalid output path: stat /nosuch: no such file or directory\n",
    )  # fmt: skip
    assert pypod("image", "prune", "--filter", "bogus=1")[2] == "Error: Invalid filter 'bogus'\n"
    assert pypod("load", stdin="no archive")[0] == 1


def test_pull_and_push_say_what_docker_says(
    pypod: Pypod, load: Load, registry: DebianRegistry
) -> None:
    plain = [layer(("a", b"x"))]
    load(docker_archive(plain, f"{registry.domain}/app:latest"))
    status, out, errors = pypod("push", f"{registry.domain}/app")
    lines = out.splitlines()
    assert (status, errors) == (0, "")
    assert lines[0] == "Using default tag: latest"
    assert lines[1] == f"The push refers to repository [{registry.domain}/app]"
    assert lines[-1].startswith("latest: digest: sha256:")
    pypod("rmi", f"{registry.domain}/app")
    status, out, _ = pypod("pull", f"{registry.domain}/app")
    lines = out.splitlines()
    assert lines[:2] == ["Using default tag: latest", "latest: Pulling from app"]
    assert lines[-3].startswith("Digest: sha256:")
    assert lines[-2] == f"Status: Downloaded newer image for {registry.domain}/app:latest"
    assert lines[-1] == f"{registry.domain}/app:latest"
    assert [line.partition(": ")[2] for line in lines[2:-3]] == [
        "Pulling fs layer", "Download complete", "Pull complete",
    ]  # fmt: skip
    _, out, _ = pypod("pull", f"{registry.domain}/app")
    assert f"Status: Image is up to date for {registry.domain}/app:latest" in out
    assert pypod("pull", "-q", f"{registry.domain}/app") == (
        0,
        f"{registry.domain}/app:latest\n",
        "",
    )
    assert (
        pypod("pull", "-a", f"{registry.domain}/app")[1].splitlines()[-1]
        == f"{registry.domain}/app"
    )
    assert pypod("push", f"{registry.domain}/nosuch")[2] == (
        f"An image does not exist locally with the tag: {registry.domain}/nosuch\n"
    )


def test_login_and_logout(pypod: Pypod, scratch: Path, login: Path) -> None:
    server = DebianRegistry(scratch / "private", "anna", "s3cret")
    try:
        argv = ("login", "-u", "anna", "--password-stdin", server.domain)
        status, out, errors = pypod(*argv, stdin="wrong")
        assert (status, out) == (1, "")
        assert errors.startswith(
            f"Error: login attempt to http://{server.domain}/v2/ failed with status: "
        )
        assert not (login / "config.json").exists()
        status, out, errors = pypod(*argv, stdin="s3cret\n")
        assert (status, out) == (0, "Login Succeeded\n")
        assert "stored unencrypted" in errors
        stored = json.loads((login / "config.json").read_text())
        assert stored["auths"][server.domain] == {"auth": basic("anna", "s3cret")}
        removed = f"Removing login credentials for {server.domain}\n"
        assert pypod("logout", server.domain) == (0, removed, "")
        assert pypod("logout", server.domain) == (0, f"Not logged in to {server.domain}\n", "")
        assert pypod("login", server.domain)[2] == (
            "Error: Cannot perform an interactive login from a non TTY device\n"
        )
    finally:
        server.stop()


def test_import_makes_an_image_of_a_tar_file(pypod: Pypod, scratch: Path, store: Store) -> None:
    (scratch / "root.tar").write_bytes(layer(member("bin", tarfile.DIRTYPE), ("bin/x", b"y")))
    status, out, errors = pypod("import", "-c", "CMD x", scratch / "root.tar", "made:1")
    assert (status, errors) == (0, "")
    image = records.resolve(store.database, store.places, "made:1")
    assert out == f"{image.id}\n"
    assert image.config["config"]["Cmd"] == ["/bin/sh", "-c", "x"]


def test_a_pull_that_is_killed_leaves_nothing_half_done(
    pypod: Pypod, stub: Stub, store: Store, scratch: Path
) -> None:
    """The next command removes what it was making; what was downloaded is used."""
    import gzip
    import signal
    import time

    plain = layer(("a", os.urandom(3 << 20)))
    pressed = gzip.compress(plain)
    stub.add(config_of([plain]), [pressed])
    half = len(pressed) // 2

    def stall(handler: object) -> bool:
        content = stub.blobs.get(handler.path.rpartition("/")[2], b"")
        if content != pressed or "Range" in handler.headers:
            return False
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:half])
        return handler.rfile.read(1) == b""

    stub.faults.append(stall)
    argv = [sys.executable, "-c", MAIN, "--root", store.places.root, "pull", f"{stub.domain}/app"]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, cwd="/")
    partial = Path(f"{store.places.root}/staging/partial/{digest_of(pressed)[7:]}")
    deadline = time.monotonic() + 20
    while not partial.exists() or partial.stat().st_size < 1 << 20:
        assert time.monotonic() < deadline, "nothing was downloaded"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    have = partial.stat().st_size
    assert len(os.listdir(f"{store.places.root}/staging")) == 3
    stub.requests.clear()
    assert pypod("pull", f"{stub.domain}/app")[0] == 0
    asked = [headers["Range"] for _, _, headers in stub.requests if "Range" in headers]
    assert asked == [f"bytes={have}-"]
    assert os.listdir(f"{store.places.root}/staging") == ["partial"]
    assert store.database.rows("SELECT * FROM staging_hold") == []


def test_images_are_listed(pypod: Pypod, two: list[str]) -> None:
    _, out, _ = pypod("images")
    lines = out.splitlines()
    assert lines[0].split("  ")[0] == "REPOSITORY"
    assert [line.split()[:3] for line in lines[1:]] == [
        ["busybox", "latest", two[0][7:19]],
        ["other", "2", two[1][7:19]],
        ["x/y", "1", two[0][7:19]],
    ]
    assert pypod("images", "-q", "--no-trunc", "busybox")[1] == f"{two[0]}\n"
    template = "{{.Repository}}:{{.Tag}}"
    assert pypod("images", "--format", template, "x/*")[1] == "x/y:1\n"
    assert pypod("image", "ls", "-f", "since=busybox", "-q")[1] == ""
    assert pypod("images", "-f", "bogus=1")[2] == "Error: Invalid filter 'bogus'\n"


def test_images_without_a_name_are_dangling(pypod: Pypod, two: list[str], load: Load) -> None:
    load(docker_archive([layer(("n", b"ew"))], "other:2"))
    _, out, _ = pypod("images", "-f", "dangling=true", "--format", "{{.Repository}} {{.ID}}")
    assert out == f"<none> {two[1][7:19]}\n"
    assert f"deleted: {two[1]}" in pypod("image", "prune", "-f")[1]


def test_history_tells_each_step(pypod: Pypod, two: list[str]) -> None:
    _, out, _ = pypod("history", "--format", "{{.ID}} {{.CreatedBy}} {{.Size}}", "other:2")
    assert out.splitlines()[0] == f"{two[1][7:19]} layer 1 1B"
    assert out.splitlines()[1].startswith("<missing> layer 0 1.")
    assert pypod("history", "other:2")[1].split("\n")[0].split() == (
        "IMAGE CREATED CREATED BY SIZE COMMENT".split()
    )
    assert pypod("history", "nosuch")[2] == "Error: No such image: nosuch:latest\n"
