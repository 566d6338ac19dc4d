# SPDX-License-Identifier: Apache-2.0
"""Commands at once about the same thing: one of them has its way, the others are told, nothing is half there."""

import gzip
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox import host
from blackbox.processes import Ran, until
from images import config_of, layer
from servers import Stub
from sides import IMAGE, Pypod, docker_archive

pytestmark = pytest.mark.root
SIZE = 2 << 20
FLAGS = os.WEXITED | os.WNOHANG | os.WNOWAIT
NONE = ("--network", "none")


@pytest.fixture
def own(scratch: Path, root_archive: Path) -> Iterator[Pypod]:
    """A pypod of this test's own, whose images may be removed, and the image as an archive."""
    made = Pypod(scratch / "pypod")
    (scratch / "image.tar").write_bytes(docker_archive(root_archive.read_bytes()))
    made.output("load", "-i", str(scratch / "image.tar"))
    yield made
    made.remove_all()
    until(lambda: not made.monitors(), "all monitors have ended")
    host.remove_empty_cgroups("pypod")


def at_once(pypod: Pypod, *commands: tuple[str, ...]) -> list[Ran]:
    """Run commands at once and return what became of each."""
    return [running.wait(60) for running in [pypod.spawn(*words) for words in commands]]


def left(pypod: Pypod) -> dict[str, list[str]]:
    """Return what lies on the disk."""
    names = ("containers", "snapshots", "staging", "volumes")
    return {name: sorted(path.name for path in (pypod.root / name).glob("*")) for name in names}


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (
            ("create", "--name", "same", *NONE, IMAGE, "true"),
            'The container name "/same" is already',
        ),
        (("network", "create", "--config-only", "same"), "network with name same already exists"),
    ],
)
def test_a_name_is_given_once(own: Pypod, words: tuple[str, ...], refusal: str) -> None:
    ran = at_once(own, *([words] * 8))
    won = [one for one in ran if one.code == 0]
    assert len(won) == 1
    for one in ran:
        assert one in won or refusal in one.stderr
    if words[0] == "create":
        assert left(own)["containers"] == [won[0].stdout.strip()]
        own.output("rm", "same")
    else:
        own.output("network", "rm", "same")


def test_a_volume_is_made_once(own: Pypod) -> None:
    """`volume create` of one that is there is no error, nor is `run` that makes it."""
    make = ("volume", "create", "same")
    use = ("run", "--rm", "-v", "same:/v", *NONE, IMAGE, "true")
    assert [one.code for one in at_once(own, *([make, use] * 4))] == [0] * 8
    assert own.output("volume", "ls", "-q") == "same\n"


def test_a_container_is_removed_once(own: Pypod) -> None:
    own.output("run", "-d", "--name", "one", *NONE, IMAGE, "sleep", "1000")
    ran = at_once(own, *([("rm", "-f", "one")] * 6))
    assert "one\n" in [one.stdout for one in ran]
    for one in ran:
        assert "internal error" not in one.stderr
        assert one.code == 0 or "No such container" in one.stderr or "in progress" in one.stderr
    assert own.output("ps", "-aq") == ""
    assert left(own)["containers"] == left(own)["snapshots"] == []


def test_a_container_is_started_once(own: Pypod) -> None:
    own.output("create", "--name", "one", *NONE, IMAGE, "sleep", "1000")
    ran = at_once(own, *([("start", "one")] * 6))
    assert [one.code for one in ran] == [0] * 6, ran
    assert len(own.monitors()) == 1
    assert own.output("top", "one").count("sleep 1000") == 1


def test_stop_kill_and_rm_at_once(own: Pypod) -> None:
    """Whoever is first; the others find it stopped, or gone."""
    for _ in range(3):
        own.output("run", "-d", "--name", "one", *NONE, IMAGE, "sleep", "1000")
        words = [("stop", "-t", "0", "one"), ("kill", "one"), ("rm", "-f", "one")] * 2
        for one in at_once(own, *words):
            assert "internal error" not in one.stderr
            known = ("No such container", "is not running", "in progress")
            assert one.code == 0 or any(text in one.stderr for text in known), one
        assert own.output("ps", "-aq") == ""


def test_stop_and_start_at_once(own: Pypod) -> None:
    """Who stops cleans up, and who starts waits for that: neither waits for the other for ever."""
    own.output("run", "-d", "--name", "one", *NONE, IMAGE, "sleep", "1000")
    for _ in range(3):
        words = [("stop", "-t", "0", "one"), ("start", "one")] * 3
        for one in at_once(own, *words):
            assert "internal error" not in one.stderr
        own.output("start", "one")
        assert len(own.monitors()) == 1


def test_an_image_goes_while_containers_are_made_of_it(own: Pypod, scratch: Path) -> None:
    """A container has its layers, or is told that there is no such image; the image is whole or not there."""
    run = ("run", "--rm", "--pull", "never", *NONE, IMAGE, "true")
    load = ("load", "-i", str(scratch / "image.tar"))
    for _ in range(6):
        for one in at_once(own, run, ("rmi", "-f", IMAGE), run, load, run):
            assert "internal error" not in one.stderr
            assert one.code == 0 or "No such image" in one.stderr or "conflict" in one.stderr, one
    own.output(*load)
    own.output(*run)
    own.output("image", "prune", "-a", "-f")
    assert own.output("images", "-q") == ""
    assert os.listdir(own.root / "layers") == []
    assert left(own)["staging"] == ["partial"]


def test_prune_while_an_image_is_pulled(own: Pypod, stub: Stub, scratch: Path) -> None:
    """What a pull has brought is its own until the image is there."""
    plain = [layer((f"file{number}", os.urandom(SIZE))) for number in range(4)]
    stub.add(config_of(plain), [gzip.compress(one, 1) for one in plain])
    name = f"{stub.domain}/app"
    for _ in range(4):
        pulls = [own.spawn("pull", "-q", name) for _ in range(2)]
        while any(os.waitid(os.P_PIDFD, one.pidfd, FLAGS) is None for one in pulls):
            own.output("image", "prune", "-f")
            own.output("system", "prune", "-f")
        for one in pulls:
            ran = one.wait(60)
            assert ran.code == 0, ran
        container = own.output("create", *NONE, name, "x").strip()
        own.output("export", "-o", str(scratch / "export.tar"), container)
        with tarfile.open(scratch / "export.tar") as archive:
            sizes = {found.name: found.size for found in archive.getmembers()}
        assert all(sizes[f"file{number}"] == SIZE for number in range(4))
        own.output("rm", container)
        own.output("rmi", name)
