# SPDX-License-Identifier: Apache-2.0
"""docs/docker-notes.md: a row for each line of the notes, and each test that a row names is there."""

import ast
import os
import re
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parent.parent
FIRST, LAST = 13, 94  # what is before and behind is the web page's
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.*) \| `(test_\w+)` \|$", re.MULTILINE)
NOTES = Path(os.environ.get("PYOCI_NOTES", TOP.parent / "shared/reference/docker-notes.txt"))


def rows() -> list[tuple[int, str]]:
    """Return the numbers of the rows with the tests that they name."""
    text = (TOP / "docs/docker-notes.md").read_text(encoding="utf-8")
    return [(int(number), test) for number, _, _, test in ROW.findall(text)]


def test_each_line_has_one_row() -> None:
    """Issue 6, done when: every line of docker-notes.txt has its row."""
    assert [number for number, _ in rows()] == [*range(FIRST, LAST + 1)]


def test_the_notes_have_as_many_lines() -> None:
    if not NOTES.exists():
        pytest.skip("docker-notes.txt is not beside the checkout")
    lines = NOTES.read_text(encoding="utf-8").splitlines()
    assert lines[FIRST - 2] == "Docker:"
    assert lines[LAST].startswith("Sign up for free")
    assert all(line.strip() for line in lines[FIRST - 1 : LAST])


def test_each_row_names_a_test_that_is_there() -> None:
    found = set()
    for path in TOP.glob("tests/engine/test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                found.add(node.name)
    assert {test for _, test in rows()} <= found
