# SPDX-License-Identifier: Apache-2.0
"""docs/resources.md: a row for every property of linux.resources, and a test that exists for every row."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

TOP = Path(__file__).resolve().parent.parent.parent
ROW = re.compile(r"^\| `([\w.]+)` \| (.+) \| (.+) \| (.+) \| `(\w+\.py)(?:::(\w+)|\[(.+)\])` \|$")
PLACES = ("integration", "unit")


def rows() -> list[tuple[str, str, str, str]]:
    """Return property, file, test and parameter of each row of the table."""
    lines = (TOP / "docs/resources.md").read_text(encoding="utf-8").splitlines()
    found = [ROW.match(line) for line in lines if line.startswith("| `")]
    assert all(found)
    return [(row[1], row[5], row[6] or "", row[7] or "") for row in found if row]


def properties() -> Iterator[str]:
    """Yield the properties that the schema has: of lists and maps the whole."""
    schema = json.loads((TOP / "spec/config-schema.json").read_text(encoding="utf-8"))
    resources: dict[str, Any] = schema["$defs"]["resources"]["properties"]
    for name, part in resources.items():
        if "properties" in part:
            yield from (f"{name}.{key}" for key in part["properties"])
        else:
            yield name


def test_every_property_has_a_row() -> None:
    names = [name for name, *_ in rows()]
    assert sorted(names) == sorted(set(names)) == sorted(properties())


@pytest.mark.parametrize(("name", "file", "test", "parameter"), rows())
def test_every_row_has_a_test(name: str, file: str, test: str, parameter: str) -> None:
    paths = [TOP / "tests" / place / file for place in PLACES]
    text = "".join(path.read_text(encoding="utf-8") for path in paths if path.exists())
    assert (f"def {test}(" if test else f'"{parameter}"') in text, name
