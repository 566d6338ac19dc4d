# SPDX-License-Identifier: Apache-2.0
"""tests/vm: counts of a run, and the table made of them."""

from pathlib import Path

import pytest
from vm import report
from vm.layouts import LAYOUTS
from vm.report import Result

REPORT = """<testsuites><testsuite>
<testcase name="a" classname="tests.integration.test_cgroup.TestEverywhere"/>
<testcase name="f" classname="tests.integration.test_crashes"/>
<testcase name="b" classname="tests.integration.test_cgroup"><skipped type="pytest.skip" message="no v1 here"/></testcase>
<testcase name="c"><failure message="x"/></testcase>
<testcase name="d"><error message="x"/></testcase>
<testcase name="e" classname="tests.integration.test_crashes"><skipped type="pytest.skip" message="no v1 here"/></testcase>
</testsuite></testsuites>"""
LAYOUT = LAYOUTS["v2"]


def test_a_report_is_counted(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    result = report.read(tmp_path / "report.xml", LAYOUT)
    assert result == Result(2, 2, {"no v1 here": 2}, brief_passed=1, brief_skips=1)
    assert not result.is_good
    assert result.words() == "2 passed, 2 failed, 2 skipped"


def test_no_report_is_a_failure(tmp_path: Path) -> None:
    assert not report.read(tmp_path / "report.xml", LAYOUT).is_good


def test_nothing_that_ran_is_no_success() -> None:
    assert not Result(0, 0, {"no v1 here": 3}).is_good


def test_shards_are_added() -> None:
    total = report.add([Result(1, 0, {"a": 1}), Result(2, 1, {"a": 2, "b": 1})])
    assert (total.passed, total.failed, total.skipped) == (3, 1, {"a": 3, "b": 1})


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The table after a whole run of one layout."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    skipped = {"no v1 here": 19, "needs x": 1}
    result = Result(2000, 0, skipped, 1000, 10, "6.1.0", "2026-11-23")
    report.keep(LAYOUT, result, everything=True)
    report.write(tmp_path / "table.md")
    return (tmp_path / "table.md").read_text()


def test_the_table_has_a_row_for_each_layout_and_the_reasons(table: str) -> None:
    assert f"| v2 | {LAYOUT.what} | 6.1.0 | 2026-11-23 | 2000 | 20 | 1000 | 10 |" in table
    assert "| 19 | no v1 here |" in table
    assert all(f"| {name} |" in table for name in LAYOUTS)


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
    table: str, passed: int, skips: int, complaint: str
) -> None:
    found = report.complaints(LAYOUT, Result(passed, 0, {"reason": skips}), table)
    assert bool(found) == bool(complaint)
    assert complaint in "".join(found)


def test_a_layout_without_a_row_makes_the_table_out_of_date(table: str) -> None:
    text = table.replace("| v2 |", "| v3 |")
    assert "no numbers of v2" in report.complaints(LAYOUT, Result(1, 0, {}), text)[0]


def test_a_layout_that_was_never_counted_is_not_out_of_date(table: str) -> None:
    assert "| debian13 |" in table
    assert report.complaints(LAYOUTS["debian13"], Result(1, 0, {"reason": 9}), table) == []
