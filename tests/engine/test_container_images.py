# SPDX-License-Identifier: Apache-2.0
"""Images made of containers, and images that containers use: side by side with Docker."""

import re
from pathlib import Path

import pytest
from sides import IMAGE, Oracle, Pypod

pytestmark = pytest.mark.root

CHANGE = "echo x > /etc/new; rm /bin/true; chmod 700 /tmp; mkdir -p /a/b; echo y > /a/b/c"
NONE = ["--network", "none"]


def same(text: str) -> str:
    """Return a text without what differs between two engines: ids, times, the name of the program."""
    return re.sub(r"\b[0-9a-f]{12,64}\b", "ID", text).replace(
        "Error response from daemon: ", "Error: "
    )


def test_diff_commit_and_export_are_dockers(pypod: Pypod, oracle: Oracle, scratch: Path) -> None:
    said = []
    for side in (pypod, oracle):
        side.output("run", "--name", "changed", *NONE, IMAGE, "sh", "-c", CHANGE)
        lines = sorted(side.output("diff", "changed").splitlines())
        identity = side.output("commit", "-m", "why", "-c", "ENV A=b", "changed", "made:1")
        assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", identity)
        look = "cat /etc/new /a/b/c; ls -ld /tmp /bin/true 2>&1 | cut -c1-10; echo $A"
        seen = side.output("run", "--rm", *NONE, "made:1", "sh", "-c", look)
        target = scratch / "export.tar"
        side.output("export", "-o", str(target), "changed")
        side.output("import", str(target), "flat:1")
        flat = side.output("run", "--rm", *NONE, "flat:1", "/bin/cat", "/a/b/c")
        history = side.output("history", "--format", "{{.CreatedBy}}|{{.Comment}}", "made:1")
        said.append((lines, seen, flat, history.splitlines()[0]))
        side.output("rm", "changed")
        side.output("rmi", "made:1", "flat:1")
    assert said[0] == said[1]


def test_an_image_in_use_is_refused_in_dockers_words(pypod: Pypod, oracle: Oracle) -> None:
    said = []
    for side in (pypod, oracle):
        side.output("tag", IMAGE, "used:1")
        side.output("run", "-d", "--name", "user", *NONE, IMAGE, "sleep", "100")
        identity = side.output("image", "inspect", "-f", "{{.Id}}", IMAGE).strip()
        refusals = [side("rmi", identity), side("rmi", "-f", identity)]
        side.output("rmi", "used:1")
        refusals.append(side("rmi", IMAGE))
        said.append([(ran.code, ran.stdout, same(ran.stderr)) for ran in refusals])
        side.output("rm", "-f", "user")
    assert said[0] == said[1]


@pytest.mark.parametrize(
    "words",
    [
        [
            "image",
            "inspect",
            "-f",
            "{{.Os}} {{.Config.Cmd}} {{.Config.Env}} {{len .RootFS.Layers}}",
            IMAGE,
        ],
        ["rmi", "nosuch"],
        ["history", "nosuch"],
        ["tag", "nosuch", "a:1"],
        ["tag", IMAGE, "Bad/Name:x"],
        ["save", "nosuch"],
        ["images", "--format", "{{.Repository}}:{{.Tag}} {{.Size}}", IMAGE],
        ["diff", "nosuch"],
        ["commit", "nosuch"],
        ["export", "nosuch"],
        ["pull", "Bad/Name"],
        ["load", "-i", "/nosuch"],
    ],
    ids=" ".join,
)
def test_the_same_is_said(pypod: Pypod, oracle: Oracle, words: list[str]) -> None:
    ours, theirs = pypod(*words), oracle(*words)
    assert (ours.code, ours.stdout, same(ours.stderr)) == (
        theirs.code,
        theirs.stdout,
        same(theirs.stderr),
    )
