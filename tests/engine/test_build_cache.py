# SPDX-License-Identifier: Apache-2.0
"""What `pypod build` takes from its cache, what it reads again, and what a build that changes nothing leaves undone."""

import os
import time
from pathlib import Path

import pytest
from blackbox.processes import Ran, Running, until
from building import NONE, Build, cached, ok, says
from sides import IMAGE, PYPOD, Pypod

from pyoci.engine.build.known import Known
from pyoci.engine.places import Places

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_image_left")]

LONG = 3_000_000_000  # ns: more than any file system's clock leaves open


def traced(pypod: Pypod, calls: str, context: Path) -> tuple[Ran, str]:
    """Build, and return which of these system calls were made."""
    trace = pypod.directory / f"trace-{time.monotonic_ns()}"
    argv = ["strace", "-f", "-q", "-e", f"trace={calls}", "-o", str(trace), str(PYPOD)]
    argv += ["build", *NONE, "-t", "made", str(context)]
    ran = Running(argv, pypod.outputs, env=pypod.environment).wait()
    return ran, trace.read_text()


def is_read(name: str, trace: str) -> bool:
    """Tell whether a file was opened for more than to look at it."""
    return any(f'"{name}"' in line and "O_PATH" not in line for line in trace.splitlines())


def test_the_cache_knows_contents(build: Build, pypod: Pypod, context: Path) -> None:
    """A key is what a step was made from: files by content, not by time; not what it cannot see."""
    text = "FROM BOX\nLABEL v=1\nCOPY a /a\nRUN cat /a > /b\nENV x=1\nRUN echo $x > /c\n"
    ok(build(text))
    first = pypod.output("image", "inspect", "-f", "{{.Id}}", "made")
    os.utime(context / "a", (1, 1))
    assert cached(ok(build(text))) == 3
    assert pypod.output("image", "inspect", "-f", "{{.Id}}", "made") == first
    assert cached(ok(build(text.replace("v=1", "v=2")))) == 3
    assert cached(ok(build(text.replace("x=1", "x=2")))) == 2
    (context / "a").chmod(0o600)
    assert cached(ok(build(text))) == 0
    (context / "a").chmod(0o644)
    assert cached(ok(build(text))) == 3
    (context / "a").write_text("other\n")
    assert cached(ok(build(text))) == 0
    assert says(pypod, "cat /b") == "other\n"
    assert cached(ok(build(text, "--no-cache"))) == 0


def test_the_cache_follows_the_files_of_a_stage(build: Build, pypod: Pypod) -> None:
    """A stage that comes out the same, made in another way, is no change to what copies from it."""
    text = "FROM BOX AS one\nRUN {} echo x > /f && touch -d @0 /f\nFROM BOX\nCOPY --from=one /f /f\nRUN cat /f > /g\n"
    ok(build(text.replace("{}", "true;")))
    assert cached(ok(build(text.replace("{}", "true ;")))) == 2
    assert cached(ok(build(text.replace("{}", "true;")))) == 3


def test_pruned_cache_is_built_again_and_images_stay(build: Build, pypod: Pypod) -> None:
    text = "FROM BOX\nRUN echo x > /f\n"
    ok(build(text))
    assert "Total" in pypod.output("builder", "prune", "--force", "--all")
    assert says(pypod, "cat /f") == "x\n"
    assert cached(ok(build(text))) == 0


def test_a_build_that_changes_nothing_waits_for_no_disk(
    build: Build, pypod: Pypod, context: Path
) -> None:
    """docs/adr/0016: what is cached is only read: no fsync, no directory of a session, no lock file."""
    ok(build("FROM BOX\nCOPY . /context\nRUN true\nENV a=b\n"))
    ran, made = traced(pypod, "fsync,fdatasync,syncfs,sync_file_range,mount,rmdir,unshare", context)
    assert cached(ok(ran)) == 2
    assert "(" not in made


def test_a_file_that_is_as_it_was_is_not_read_again(
    build: Build, pypod: Pypod, context: Path
) -> None:
    """As git's index: inode, size and times say so. The change time is one that no program can set."""
    (context / "large").write_text("one\n")
    os.utime(context / "large", (1, 1))
    changed = (context / "large").stat().st_ctime_ns
    until(lambda: time.time_ns() > changed + LONG, "the file is not of this moment", 10)
    text = "FROM BOX\nCOPY large /f\n"
    ok(build(text))
    ran, opened = traced(pypod, "openat,openat2", context)
    assert cached(ok(ran)) == 1
    assert not is_read("large", opened)
    (context / "large").write_text("two\n")
    os.utime(context / "large", (1, 1))
    assert (context / "large").stat().st_mtime == 1
    ran, opened = traced(pypod, "openat,openat2", context)
    assert cached(ok(ran)) == 0
    assert is_read("large", opened)
    assert says(pypod, "cat /f") == "two\n"


def test_a_replaced_file_of_the_same_size_and_time_is_read_again(
    build: Build, pypod: Pypod, context: Path
) -> None:
    text = "FROM BOX\nCOPY a /f\n"
    ok(build(text))
    (context / "new").write_text("x\n")
    os.utime(context / "new", ns=((context / "a").stat().st_mtime_ns,) * 2)
    (context / "new").rename(context / "a")
    assert cached(ok(build(text))) == 0
    assert says(pypod, "cat /f") == "x\n"


def test_a_file_of_this_moment_is_not_remembered(places: Places, scratch: Path) -> None:
    """It could change once more within one tick of the file system's clock: racy git."""
    file = scratch / "file"
    file.write_text("x")
    status = file.stat()
    for begun, wanted in ((status.st_ctime_ns + 1, ""), (status.st_ctime_ns + LONG, "digest")):
        known = Known(places, str(scratch))
        known.keep(status, "digest", begun)
        known.write()
        assert Known(places, str(scratch)).find(status) == wanted
    os.link(file, scratch / "other")  # which changes the change time alone
    assert Known(places, str(scratch)).find(file.stat()) == ""
    assert Known(places, "/elsewhere").find(status) == ""


def test_half_a_file_of_what_is_known_is_none(places: Places, scratch: Path) -> None:
    """A power cut: what was renamed may not be whole."""
    status = scratch.stat()
    known = Known(places, "/c")
    known.keep(status, "digest", status.st_ctime_ns + LONG)
    known.write()
    (file,) = Path(places.root, "build/known").iterdir()
    content = file.read_bytes()
    for cut in (content[:-1], content[:-3], b"", b"\0" * len(content)):
        file.write_bytes(cut)
        assert Known(places, "/c").find(status) == ""


def test_what_changes_while_it_is_used_is_not_cached(
    build: Build, pypod: Pypod, context: Path
) -> None:
    """The key would be that of the old files, the layer that of the new ones."""
    script = "echo begun; until grep -q new /c/a; do sleep 0.1; done; cp /c/a /f"
    dockerfile = f"FROM {IMAGE}\nRUN --mount=type=bind,source=a,target=/c/a {script}\n"
    (context / "Dockerfile").write_text(dockerfile)
    pypod.output("builder", "prune", "--force", "--all")
    running = pypod.spawn("build", *NONE, "-t", "made", str(context))
    until(lambda: "begun" in running.err.read_text(), "the program runs")
    (context / "a").write_text("new\n")
    ok(running.wait())
    assert says(pypod, "cat /f") == "new\n"
    assert "Deleted" not in pypod.output("builder", "prune", "--force", "--all")
