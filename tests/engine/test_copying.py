# SPDX-License-Identifier: Apache-2.0
"""`cp` beside Docker's: the rules by which source and target make a place, and the words for what cannot be."""

import subprocess
from pathlib import Path

import pytest
from sides import IMAGE, Oracle, Pypod, same

pytestmark = pytest.mark.root
MADE = "mkdir -p /tree/sub /there; echo words > /tree/file; echo q > /tree/sub/q; ln -s nowhere /tree/link; exec sleep 1000"
# HERE is a directory of the host, for each side its own, with file, dir/sub/q.
COPIES = (
    "one:/tree/file HERE/new", "one:/tree/file HERE", "one:/tree HERE", "one:/tree HERE/other", "one:/tree/. HERE/dotted",
    "one:/tree HERE/made/", "one:/tree/. HERE/dir", "one:/tree HERE/dir/", "one:/tree/link HERE/link", "-L one:/tree/link HERE/x",
    "one:/nosuch HERE", "one:/tree/file HERE/no/x", "one:/tree/file HERE/no/", "nosuch:/x HERE", "one:/tree HERE/file",
    "HERE/nosuch one:/", "HERE/file one:/there/file", "HERE/file one:/there/", "HERE/file one:/no/x", "HERE/file one:/no/",
    "HERE/file one:relative", "HERE/dir one:/there", "HERE/dir/. one:/there/into", "HERE/dir one:/there/file",
    "HERE/file one:/there/dir", "HERE/dir one:/there/dir", "one:/a one:/b", "HERE/a HERE/b", "- -",
)  # fmt: skip


def listed(directory: Path) -> list[str]:
    """Return what is below a directory of the host."""
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*"))


def test_each_copy_ends_as_under_docker(pypod: Pypod, oracle: Oracle, scratch: Path) -> None:
    """Docker's manual, docker cp: what SRC_PATH and DEST_PATH mean when they exist and when they do not."""
    differences = []
    for side in (pypod, oracle):
        side.output("run", "-d", "--name", "one", "--network", "none", IMAGE, "sh", "-c", MADE)
    for copy in COPIES:
        said = []
        for side in (pypod, oracle):
            here = scratch / ("ours" if side is pypod else "theirs") / str(COPIES.index(copy))
            (here / "dir/sub").mkdir(parents=True)
            (here / "file").write_text("of the host\n")
            (here / "dir/sub/q").write_text("q\n")
            code, out, problem = same(side("cp", *copy.replace("HERE", str(here)).split()))
            # Docker's client logs that its own pipe was closed; pypod has none
            lines = [line for line in problem.splitlines() if not line.startswith("time=")]
            inside = side("exec", "one", "find", "/there", "/relative").stdout if code == 0 else ""
            words = [line.replace(str(here), "HERE") for line in lines]
            said.append((code, out, words, listed(here), sorted(inside.splitlines())))
        if said[0] != said[1]:
            differences.append(f"{copy}\n  docker {said[1]}\n  pypod  {said[0]}")
    assert not differences, "\n".join(differences)


def test_a_stream_is_an_archive(pypod: Pypod, scratch: Path) -> None:
    pypod.start("one", MADE)
    stream = scratch / "stream.tar"
    stream.write_bytes(pypod.output("cp", "one:/tree", "-").encode())
    listing = subprocess.run(["tar", "tf", stream], capture_output=True, text=True, check=True)
    assert sorted(listing.stdout.split()) == [
        "tree/",
        "tree/file",
        "tree/link",
        "tree/sub/",
        "tree/sub/q",
    ]
    pypod.output("cp", "-", "one:/there", stdin=stream)
    assert pypod.output("exec", "one", "cat", "/there/tree/file") == "words\n"
    ran = pypod("cp", "-", "one:/no", stdin=stream)
    assert (ran.code, ran.stderr) == (1, 'destination "one:/no" must be a directory\n')


def test_a_terminal_is_told_what_was_copied(pypod: Pypod, scratch: Path) -> None:
    """Docker's client 28 counts the archive: a block for the head, one for the content, two at the end."""
    pypod.start("one", MADE)
    client = pypod.terminal("cp", "one:/tree/file", f"{scratch}/file")
    try:
        assert f"Successfully copied 2.05kB to {scratch}/file\r\n" in client.read_until("\n")
        assert client.wait() == 0
    finally:
        client.close()
