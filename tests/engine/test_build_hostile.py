# SPDX-License-Identifier: Apache-2.0
"""Dockerfiles and contexts that mean harm or are broken: a clear error with its line, nothing half made; odd names as they are."""

import os
import socket
import tarfile
from pathlib import Path

import pytest
from blackbox import host
from building import NONE, Build, ok, says
from images import layer
from sides import IMAGE, Pypod

from pyoci.engine.below import open_below, open_within
from pyoci.engine.trees import remove_tree

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_image_left")]

MANY = 20_000


def check_nothing_half_made(pypod: Pypod) -> None:
    """Fail if a build has left an image, a session, a mount or a container."""
    assert pypod("image", "inspect", "made").code == 1
    assert [name for name in os.listdir(pypod.root / "staging") if name != "partial"] == []
    assert [place for place in host.mounts() if place.startswith(str(pypod.directory))] == []
    runtime = pypod.run_root / "runtime"
    names = os.listdir(runtime) if runtime.exists() else []
    assert not [name for name in names if name.startswith("build-")]


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("RUN true\nFOO x", "dockerfile parse error on line 3: unknown instruction: FOO"),
        ("RUN true\nCOPY a\0b /x", "dockerfile parse error on line 3: a NUL is in no text"),
        ("COPY --chown=99999999999 a /x", "Dockerfile:2: COPY --chown=99999999999 a /x: uids and gids must be in range"),
        ("COPY --chmod=77777 a /x", "error on line 2: invalid chmod parameter: '77777'"),
        ("RUN --mount=type=cache,target=/c,uid=99999999999 true", "line 2: invalid value '99999999999' for key 'uid'"),
        ("RUN --mount=type=cache,target=/c,mode=77777 true", "line 2: invalid value '77777' for key 'mode'"),
        ("RUN --mount=,,, true", "line 2: unexpected key '' for mount type 'bind'"),
        ("RUN --mount=type=bind,source=../../../etc/shadow,target=/x cat /x", '"/etc/shadow": not found in the build context'),
        ("HEALTHCHECK --retries=99999999999999999999 CMD true", "line 2: --retries must be a number"),
        ("COPY <<../../e /x\nq\n../../e", "line 2: a document cannot be called '../../e'"),
        ("COPY <<. /x\nq\n.", "line 2: a document cannot be called '.'"),
        ("RUN <<EOF\ntrue", "line 2: unterminated heredoc"),
        ("COPY ../../../etc/shadow /x", '"/etc/shadow": not found in the build context'),
        ("COPY [x /", "Dockerfile:2: COPY [x /: [x: syntax error in pattern"),
        ("COPY --from=made a /x", "stage made is not built before this instruction"),
        ("COPY --from=0 a /x", "stage 0 is not built before this instruction"),
        ("COPY --from=later a /x\nFROM box AS later\nCOPY --from=made a /", "stage later is not built before this instruction"),
        ("ENV a=xxxxxxxx\n" + "ENV a=$a$a\n" * 40, "ENV a=$a$a: the variables in it make it longer than 1048576 letters"),
        ("ENV a=" + "x" * 1000 + "\nENV b=${a//x/$a}\nENV c=${b//x/$b}", "longer than 1048576 letters"),
        ("ENV a=" + "${a:-" * 500 + "}" * 500, "more than 100 substitutions are nested"),
        ("RUN " + "x" * 200_000, "..."),
        ("RUN exit 3", "Dockerfile:2: RUN exit 3: process \"/bin/sh -c exit 3\" did not complete successfully: exit code: 3"),
        ("ONBUILD ONBUILD RUN x", "line 2: Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("WORKDIR " + "/y" * 3000, "file name too long"),
        ("COPY a /bin/sh/x", "cannot copy to non-directory: /bin/sh/x"),
        ("COPY sub /bin/sh", "cannot copy to non-directory: /bin/sh"),
    ],
)  # fmt: skip
def test_a_broken_dockerfile_is_refused_with_its_line(
    pypod: Pypod, build: Build, body: str, problem: str
) -> None:
    ran = build(f"FROM BOX AS made\n{body}\n")
    last = ran.stderr.strip().splitlines()[-1]
    assert (ran.code, problem in last) == (1, True), ran
    assert len(last) < 2000
    check_nothing_half_made(pypod)


def test_stages_in_a_circle_are_images_of_those_names(pypod: Pypod, build: Build) -> None:
    """A stage is known by those after it alone, so there is no circle; the first asks a registry, which no-one is."""
    ran = build("FROM 127.0.0.1:1/b AS a\nFROM a AS b\nFROM b AS a\nRUN true\n")
    last = ran.stderr.strip().splitlines()[-1]
    assert (ran.code, last.startswith("Error: Dockerfile:1: FROM 127.0.0.1:1/b AS a: ")) == (
        1,
        True,
    )
    check_nothing_half_made(pypod)


def test_bytes_that_are_no_utf8_are_told_as_go_tells_them(
    pypod: Pypod, build: Build, context: Path
) -> None:
    """U+FFFD: an old Dockerfile with a Latin-1 comment is built."""
    (context / "Dockerfile").write_bytes(
        f"# \xe9\nFROM {IMAGE}\nLABEL a=\xe9\nRUN echo \xe9 > /f\n".encode("latin-1")
    )
    ok(pypod("build", *NONE, "-t", "made", "--build-arg", "x=\udce9", str(context)))
    assert pypod.output("image", "inspect", "-f", "{{.Config.Labels.a}}", "made") == "\ufffd\n"
    assert says(pypod, "cat /f") == "\ufffd\n"


def test_names_of_any_bytes_are_copied_as_they_are(
    pypod: Pypod, build: Build, context: Path
) -> None:
    names = [
        b"new\nline",
        b"\xff\xfe",
        b"-rf",
        b"*",
        b"a b",
        b" ",
        b"\\",
        b"x" * 255,
        b"quote'\"",
        b"\x01\x1b[31m",
    ]
    (context / "odd").mkdir()
    for name in names:
        (context / "odd" / os.fsdecode(name)).write_bytes(name)
    (context / ".dockerignore").write_text("odd/\\*\n")
    ok(build("FROM BOX\nCOPY odd /odd\nCOPY odd/new?line /one\n"))
    listed = says(pypod, "find /odd -type f -print0 | tr -cd '\\0' | wc -c; cat /one")
    assert listed == f"{len(names) - 1}\nnew\nline"  # without the one that is ignored
    pypod.output("save", "-o", str(pypod.directory / "odd.tar"), "made")
    assert {os.fsencode(name) for name in odd_names(pypod.directory / "odd.tar")} == {*names} - {
        b"*"
    }


def odd_names(archive: Path) -> list[str]:
    """Return the names below /odd in a saved image."""
    import io
    import json

    with tarfile.open(archive) as saved:
        manifest = json.load(saved.extractfile("manifest.json") or io.BytesIO())
        data = saved.extractfile(manifest[0]["Layers"][-2])
        with tarfile.open(fileobj=data) as inner:
            return [name[4:] for name in inner.getnames() if name.startswith("odd/")]


def test_special_files_of_a_context_are_never_opened(
    pypod: Pypod, build: Build, context: Path
) -> None:
    """Nobody may ever write into a FIFO; a socket is nothing that an image can have."""
    os.mkfifo(context / "fifo")
    with socket.socket(socket.AF_UNIX) as end:
        end.bind(str(context / "socket"))
        ok(build("FROM BOX\nADD fifo /fifo\nCOPY . /all\n"))
    assert (
        says(pypod, "test -p /fifo && test -p /all/fifo && test ! -e /all/socket && echo ok")
        == "ok\n"
    )
    (context / "data.tar").write_bytes(layer(("x", b"x")))
    (context / "Dockerfile").unlink()
    os.mkfifo(context / "Dockerfile")
    with tarfile.open(pypod.directory / "given.tar", "w") as archive:
        archive.add(context, ".", filter=lambda entry: None if entry.name == "./socket" else entry)
    ran = pypod("build", *NONE, "-", stdin=pypod.directory / "given.tar")
    assert (ran.code, "open Dockerfile: not a regular file" in ran.stderr) == (1, True)


@pytest.mark.parametrize("file", ["../../../etc/passwd", "/etc/passwd", "link", "sub/../../x"])
def test_a_dockerfile_of_a_strangers_context_lies_in_it(
    pypod: Pypod, scratch: Path, file: str
) -> None:
    """`docker build - < archive`: -f is a path in the archive, whose links lead nowhere else."""
    with tarfile.open(scratch / "given.tar", "w") as archive:
        entry = tarfile.TarInfo("link")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    ran = pypod("build", *NONE, "-f", file, "-", stdin=scratch / "given.tar")
    assert (ran.code, f"open {file}: no such file or directory" in ran.stderr) == (1, True), ran


def test_a_dockerfile_may_lie_outside_of_the_context(
    pypod: Pypod, context: Path, scratch: Path
) -> None:
    """docs of `docker build`: -f is a path of the caller's; what it copies is the context's."""
    (scratch / "Outside").write_text(f"FROM {IMAGE}\nCOPY a /a\n")
    pypod.output("build", *NONE, "-t", "made", "-f", str(scratch / "Outside"), str(context))
    assert says(pypod, "cat /a") == "a\n"
    (scratch / "Outside").write_text(f"FROM {IMAGE}\nCOPY ../Outside /a\n")
    ran = pypod("build", *NONE, "-f", str(scratch / "Outside"), str(context))
    assert (ran.code, '"/Outside": not found in the build context' in ran.stderr) == (1, True)


def test_a_context_of_many_files_is_copied(pypod: Pypod, build: Build, context: Path) -> None:
    for number in range(MANY):
        if number % 1000 == 0:
            (context / f"many/{number // 1000}").mkdir(parents=True)
        (context / f"many/{number // 1000}/{number}").touch()
    ok(build("FROM BOX\nCOPY many /many\n"))
    assert says(pypod, "find /many -type f | wc -l") == f"{MANY}\n"


def test_a_context_that_is_too_deep_is_refused(pypod: Pypod, build: Build, context: Path) -> None:
    """Not by the interpreter's own limit, and not for want of descriptors."""
    fd = os.open(context, os.O_RDONLY | os.O_DIRECTORY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    ran = build("FROM BOX\nCOPY d /d\n")
    remove_tree(str(context / "d"))  # shutil.rmtree cannot
    assert (ran.code, "directories are nested more than 1000 deep" in ran.stderr) == (1, True), ran
    check_nothing_half_made(pypod)
    ran = build("FROM BOX\nWORKDIR " + "/y" * 1500 + "\n")
    assert (ran.code, "directories are nested more than 1024 deep" in ran.stderr) == (1, True)
    check_nothing_half_made(pypod)


def test_paths_below_lead_nowhere_else(scratch: Path) -> None:
    """below.py: what openat2(2) does with RESOLVE_BENEATH and NO_SYMLINKS, and what it is asked for where there is a link."""
    top = scratch / "top"
    (top / "d").mkdir(parents=True)
    (top / "d/f").write_text("f")
    (scratch / "secret").write_text("secret")
    (top / "up").symlink_to("..")
    (top / "root").symlink_to("/d")
    (top / "out").symlink_to("/../../secret")
    fd = os.open(top, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for path in ("d/f", "root/f", "up/d/f", "d/../d/f", "up/up/up/root/f"):
            opened = open_within(fd, path, os.O_RDONLY)
            assert os.read(opened, 9) == b"f"
            os.close(opened)
        for path in ("out", "up/secret", "../secret", "root/../../secret"):
            with pytest.raises(FileNotFoundError):
                open_within(fd, path, os.O_RDONLY)
        for path in ("up/d/f", "root/f", "out", "../secret", "d/../../secret", "d/.."):
            with pytest.raises(OSError, match=path):
                open_below(fd, path, os.O_RDONLY)
    finally:
        os.close(fd)


def test_a_cache_directory_that_one_step_asks_for_twice_is_locked_once(
    build: Build, pypod: Pypod
) -> None:
    """It would wait for itself for ever."""
    mounts = " ".join(f"--mount=type=cache,id=x,target=/{name},sharing=locked" for name in "ab")
    ok(build(f"FROM BOX\nRUN {mounts} echo x > /a/f && cat /b/f > /seen\n"))
    assert says(pypod, "cat /seen") == "x\n"
