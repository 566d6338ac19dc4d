# SPDX-License-Identifier: Apache-2.0
"""A disk that is full: each command says so, leaves nothing half made, and the next one works when there is room again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox import host, kernel
from blackbox.processes import until
from sides import IMAGE, Pypod

pytestmark = pytest.mark.root
NONE = ("--network", "none")
FULL = "database or disk is full"
COUNT = "i=0; while test ! -e /stop; do i=$((i+1)); echo line $i; sleep 0.02; done; exit 3"


@pytest.fixture
def small(scratch: Path, root_archive: Path) -> Iterator[Pypod]:
    """A pypod whose root is a disk of twelve megabytes."""
    made = Pypod(scratch / "pypod")
    made.root.mkdir()
    kernel.mount("tmpfs", str(made.root), "tmpfs", data="size=12m,mode=700")
    made.load(root_archive)
    yield made
    filler(made).unlink(missing_ok=True)
    made.remove_all()
    until(lambda: not made.monitors(), "all monitors have ended")
    kernel.umount(str(made.root), kernel.MNT_DETACH)
    host.remove_empty_cgroups("pypod")


def filler(pypod: Pypod) -> Path:
    """Return the file that takes all room."""
    return pypod.root / "filler"


def fill(pypod: Pypod) -> None:
    """Take all the room that there is."""
    fd = os.open(filler(pypod), os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(fd, bytes(4096)):
            pass
    except OSError:
        os.close(fd)


def says_full(text: str) -> bool:
    """Tell whether a command has said what was wrong, in the words of the kernel's or of SQLite's."""
    return FULL in text or "no space left on device" in text.lower()


def lines(pypod: Pypod, name: str) -> list[int]:
    """Return the numbers of the lines of a log, each of which must be whole."""
    text = pypod.output("logs", name).splitlines()
    assert all(line.startswith("line ") for line in text), text
    return [int(line.split()[1]) for line in text]


def test_a_container_that_fills_the_disk_is_seen_to_its_end(small: Pypod) -> None:
    """Its monitor writes down how it ended, over what it wrote before; --rm makes room again."""
    words = ["dd", "if=/dev/zero", "of=/x", "bs=1M", "count=64"]
    ran = small("run", "--rm", *NONE, IMAGE, *words)
    assert (ran.code, "No space left on device" in ran.stderr) == (1, True)
    assert small.output("ps", "-aq") == ""
    small.output("run", "--rm", *NONE, IMAGE, "true")


def test_a_log_goes_on_when_there_is_room_again(small: Pypod) -> None:
    """What is written meanwhile is lost, as with Docker; no line is torn, and the exit status is known."""
    small.output("run", "-d", "--name", "counter", *NONE, IMAGE, "sh", "-c", COUNT)
    until(lambda: len(lines(small, "counter")) > 2, "it has written")
    fill(small)
    # Beyond the last block of the log's own there is none to be had.
    small.output(
        "exec", "counter", "sh", "-c", "head -c 20000 /dev/zero | tr '\\0' x > /proc/1/fd/1"
    )
    at = lines_or_rest(small)
    filler(small).unlink()
    until(lambda: lines_or_rest(small) > at, "the log goes on", 20)
    small.output("kill", "-s", "KILL", "counter")
    small.await_field("counter", "{{.State.Status}} {{.State.ExitCode}}", "exited 137")


def lines_or_rest(pypod: Pypod) -> int:
    """Return the last number in a log."""
    found = [
        line for line in pypod.output("logs", "counter").splitlines() if line.startswith("line ")
    ]
    return int(found[-1].split()[1])


def test_a_container_that_ends_on_a_full_disk_has_ended(small: Pypod) -> None:
    script = "while test ! -e /dev/shm/stop; do sleep 0.02; done; exit 3"
    small.output("run", "-d", "--name", "one", *NONE, IMAGE, "sh", "-c", script)
    fill(small)
    small.output("exec", "one", "touch", "/dev/shm/stop")
    small.await_field("one", "{{.State.Status}} {{.State.ExitCode}}", "exited 3")
    until(lambda: not small.monitors(), "its monitor has ended, too")


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--rm", *NONE, IMAGE, "true"),
        ("run", "-d", "--name", "made", *NONE, IMAGE, "true"),
        ("create", "--name", "made", *NONE, IMAGE, "true"),
        ("create", "--name", "made", "-v", "data:/data", *NONE, IMAGE, "true"),
        ("volume", "create", "data"),
        ("tag", IMAGE, "other"),
        ("start", "stopped"),
        ("commit", "stopped", "made"),
        ("rename", "stopped", "made"),
    ],
)
def test_a_command_says_that_the_disk_is_full(small: Pypod, words: tuple[str, ...]) -> None:
    """And leaves all as it was, and works afterwards."""
    small.output("create", "--name", "stopped", *NONE, IMAGE, "true")
    before = state(small)
    fill(small)
    ran = small(*words)
    assert ran.code in (1, 125)
    assert says_full(ran.stderr)
    assert "internal error" not in ran.stderr
    assert state(small) == before
    filler(small).unlink()
    small.output(*words)


def state(pypod: Pypod) -> tuple[object, ...]:
    """Return what there is."""
    said = tuple(
        pypod.output(*words)
        for words in (
            ("ps", "-a", "--format", "{{.Names}} {{.State}}"),
            ("images", "-a", "--format", "{{.Repository}} {{.ID}}"),
            ("volume", "ls", "-q"),
        )
    )
    kept = tuple(
        sorted(path.name for path in (pypod.root / name).glob("*"))
        for name in ("containers", "snapshots", "layers")
    )
    return said, kept


def test_a_build_says_that_the_disk_is_full(small: Pypod, scratch: Path) -> None:
    context = scratch / "context"
    context.mkdir()
    text = f"FROM {IMAGE}\nRUN dd if=/dev/zero of=/big bs=1M count=64\n"
    (context / "Dockerfile").write_text(text)
    before = state(small)
    ran = small("build", *NONE, "-t", "made", str(context))
    assert ran.code != 0
    assert "No space left on device" in ran.stdout + ran.stderr
    (context / "big").write_bytes(os.urandom(16 << 20))
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nCOPY big /big\n")
    ran = small("build", *NONE, "-t", "made", str(context))
    assert ran.code != 0
    assert says_full(ran.stderr)
    assert state(small) == before
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nRUN echo > /little\n")
    small.output("build", *NONE, "-t", "made", str(context))


def test_what_removes_works_on_a_full_disk(small: Pypod) -> None:
    """The reserve is for that; nothing is half removed."""
    for name in ("one", "two"):
        small.output("create", "--name", name, *NONE, IMAGE, "true")
    small.output("volume", "create", "data")
    small.output("tag", IMAGE, "other")
    fill(small)
    for words in (("rm", "one"), ("volume", "rm", "data"), ("rmi", "other"), ("rm", "-f", "two")):
        small.output(*words)
    assert small.output("ps", "-aq") == ""
    filler(small).unlink()
    small.output("run", "--rm", *NONE, IMAGE, "true")
