# SPDX-License-Identifier: Apache-2.0
"""docs/spec-conformance.md leaves out no property and no demand of the specification, and names tests that exist."""

import ast
import functools
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
import sentences

from pyoci.spec import explain

TOP = Path(__file__).resolve().parent.parent.parent
TABLES = TOP / "docs/spec-conformance.md"
OTHER_PLATFORMS = ("freebsd", "solaris", "vm", "windows", "zos")  # a row for each will do


@functools.cache
def rows() -> list[list[str]]:
    """Return the rows of all tables, without their heads."""
    lines = TABLES.read_text(encoding="utf-8").splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split(" | ")]
        for line in lines
        if line[:2] == "| "
    ]
    return [row for row in cells if row[0] not in ("property", "section")]


def named_tests() -> Iterator[str]:
    """Yield what the last column names."""
    for row in rows():
        yield from re.findall(r"`([\w/]+::[\w*]+)`", row[-1])


def properties(node: Any, place: str = "") -> Iterator[str]:
    """Yield every property of our schema: linux.devices[].path; `*` is any key."""
    whole = explain.schema("config")
    while "$ref" in node:
        node = whole["$defs"][node["$ref"].rpartition("/")[2]]
    for name, child in node.get("properties", {}).items():
        path = f"{place}.{name}" if place else name
        yield path
        if path not in OTHER_PLATFORMS:
            yield from properties(child, path)
    if "items" in node:
        yield from properties(node["items"], f"{place}[]")
    if isinstance(node.get("additionalProperties"), dict):
        yield from properties(node["additionalProperties"], f"{place}.*")
    for part in (part for word in ("allOf", "anyOf", "oneOf") for part in node.get(word, [])):
        yield from properties(part, place)


@functools.cache
def names_in(file: Path) -> set[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def is_about(pattern: str, name: str) -> bool:
    """Tell whether a row is about a property: its `*` is any part of a name, its brackets are brackets."""
    return fnmatchcase(name.replace("[]", "@"), pattern.replace("[]", "@"))


def test_every_property_has_a_row() -> None:
    patterns = [row[0].strip("`") for row in rows() if len(row) == 2]
    names = set(properties(explain.schema("config")))
    assert [name for name in sorted(names) if not any(is_about(p, name) for p in patterns)] == []
    assert [p for p in patterns if not any(is_about(p, name) for name in names)] == []


def test_every_demand_has_a_row() -> None:
    """The sentences come from the specification's own text."""
    text = TABLES.read_text(encoding="utf-8")
    wanted = {
        f"| {place.partition('#')[2]} | {sentence} |" for place, sentence in sentences.demands()
    }
    assert len(wanted) > 200
    assert [row for row in sorted(wanted) if row not in text] == []
    kept = [f"| {row[0]} | {row[1]} |" for row in rows() if len(row) == 3]
    assert [row for row in kept if row not in wanted] == []


@pytest.mark.parametrize("name", sorted(set(named_tests())))
def test_every_test_that_is_named_exists(name: str) -> None:
    file, _, test = name.partition("::")
    path = TOP / "tests" / (file if "/" in file else f"integration/{file}")
    found = names_in(path.with_suffix(".py"))
    assert test == "*" or test in found, f"{path} has no {test}"


def test_every_row_says_something() -> None:
    words = ("not of ", "of whoever ", "open: ", "the table ", "`")
    assert [row for row in rows() if not any(word in row[-1] for word in words)] == []
