# SPDX-License-Identifier: Apache-2.0
"""tests/vm: docs/test-layouts.md, of which a run changes its own rows only."""

from pathlib import Path

import pytest
from vm import table
from vm.layouts import LAYOUTS
from vm.report import FAILURE, Result
from vm.table import Row

LAYOUT = LAYOUTS["v2"]
SKIPPED = {"no v1 here": 19, "needs x | y": 1}
V2 = Row("6.1.0", "2026-11-23", "2000", "20", "1000", "10", SKIPPED)
SELINUX = Row("6.2.0", "2026-11-22", "95", "7", "95", "7", {"no AppArmor": 7})
HYBRID = Row("6.1.0", "2026-11-21", "-", "-", "0", "0")
ROWS = {"v2": V2, "selinux": SELINUX, "hybrid": HYBRID}
BRIEF = Result(1001, 0, {"no v1 here": 11}, "6.3.0", "2026-11-29")
WHOLE = Result(2001, 0, {"no v1 here": 21}, "6.3.0", "2026-11-29")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A table that other runs, in other clones, have written."""
    path = tmp_path / "table.md"
    path.write_text(table.words(ROWS))
    return path


def test_the_table_has_a_row_for_each_layout_and_the_reasons(file: Path) -> None:
    text = file.read_text()
    assert f"| v2 | {LAYOUT.what} | 6.1.0 | 2026-11-23 | 2000 | 20 | 1000 | 10 |" in text
    assert "| 19 | no v1 here |" in text
    assert all(f"| {name} |" in text for name in LAYOUTS)


def test_what_is_written_is_read(file: Path) -> None:
    rows = table.read(file.read_text())
    assert {name: rows[name] for name in ROWS} == ROWS
    assert rows["v2-systemd"] == Row()
    assert rows["v1"] == Row(brief_passed="0", brief_skips="0")


def test_the_committed_table_is_as_it_would_be_written() -> None:
    text = table.PATH.read_text()
    assert table.words(table.read(text)) == text


def test_a_run_changes_its_own_row_only(file: Path) -> None:
    table.update({"v2": (WHOLE, BRIEF)}, file)
    rows = table.read(file.read_text())
    new = Row("6.3.0", "2026-11-29", "2001", "21", "1001", "11", {"no v1 here": 21})
    assert rows["v2"] == new
    assert (rows["selinux"], rows["hybrid"]) == (SELINUX, HYBRID)


def test_a_brief_run_leaves_the_numbers_of_the_whole_one(file: Path) -> None:
    table.update({"v2": (None, BRIEF)}, file)
    row = table.read(file.read_text())["v2"]
    assert row == V2._replace(brief_passed="1001", brief_skips="11")


def test_a_brief_run_of_what_was_never_counted_whole_has_its_date_and_reasons(file: Path) -> None:
    table.update({"debian13": (None, BRIEF)}, file)
    row = table.read(file.read_text())["debian13"]
    assert row == Row("6.3.0", "2026-11-29", "-", "-", "1001", "11", BRIEF.skipped)


def test_a_run_that_failed_writes_nothing(file: Path) -> None:
    before = file.read_text()
    table.update({"v2": (FAILURE, FAILURE), "selinux": (None, None)}, file)
    assert file.read_text() == before


def test_a_layout_that_is_not_ordinary_has_no_brief_run(file: Path) -> None:
    table.update({"hybrid": (WHOLE, None)}, file)
    row = table.read(file.read_text())["hybrid"]
    assert (row.passed, row.brief_passed, row.brief_skips) == ("2001", "0", "0")


@pytest.mark.parametrize(
    ("passed", "skips", "complaint"),
    [
        (1000, 10, ""),
        (905, 11, ""),
        (5000, 0, ""),
        (899, 10, "899 tests ran"),
        (1000, 13, "13 were"),
    ],
)
def test_a_run_that_is_a_tenth_worse_makes_the_table_out_of_date(
    passed: int, skips: int, complaint: str
) -> None:
    found = table.complaints(LAYOUT, Result(passed, 0, {"reason": skips}), ROWS)
    assert bool(found) == bool(complaint)
    assert complaint in "".join(found)


def test_a_layout_without_a_row_makes_the_table_out_of_date() -> None:
    assert "no numbers of v2" in table.complaints(LAYOUT, Result(1, 0, {}), {})[0]


def test_a_layout_that_was_never_counted_is_not_out_of_date() -> None:
    assert table.complaints(LAYOUT, Result(1, 0, {"reason": 9}), {"v2": Row()}) == []
