# SPDX-License-Identifier: Apache-2.0
"""tests/vm: counts of a run, and how they are kept."""

from pathlib import Path

import pytest
from vm import report
from vm.layouts import LAYOUTS
from vm.report import FAILURE, Result

REPORT = """<testsuites><testsuite>
<testcase name="a" classname="tests.integration.test_cgroup.TestEverywhere"/>
<testcase name="f" classname="tests.integration.test_crashes"/>
<testcase name="b" classname="tests.integration.test_cgroup"><skipped type="pytest.skip" message="no v1 here"/></testcase>
<testcase name="c" classname="tests.integration.test_crashes"><failure message="x"/></testcase>
<testcase name="d" classname="tests.integration.test_crashes"><error message="x"/></testcase>
<testcase name="tests.integration.test_paths" classname=""><skipped type="pytest.skip" message="no paths"/></testcase>
</testsuite></testsuites>"""
LAYOUT = LAYOUTS["v2"]
CGROUP, CRASHES, PATHS = (f"tests/integration/test_{n}.py" for n in ("cgroup", "crashes", "paths"))


def counted(passed: int = 1, date: str = "2026-11-23") -> Result:
    """What a good run of one file left."""
    return Result(passed, 0, {"no v1 here": 2}, "6.1.0", date)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone in which nothing has run."""
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results")


def test_a_report_is_counted_by_file(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text(REPORT)
    found = report.read(tmp_path / "report.xml", [CGROUP, CRASHES, PATHS], "6.1.0")
    assert {file: result.words() for file, result in found.items()} == {
        CGROUP: "1 passed, 0 failed, 1 skipped",
        CRASHES: "1 passed, 2 failed, 0 skipped",
        PATHS: "0 passed, 0 failed, 1 skipped",
    }
    assert found[PATHS].skipped == {"no paths": 1}
    assert found[PATHS].kernel == "6.1.0"
    assert not found[CRASHES].is_good


def test_no_report_is_a_failure_of_every_file(tmp_path: Path) -> None:
    found = report.read(tmp_path / "report.xml", [CGROUP, PATHS], "")
    assert found == {CGROUP: FAILURE, PATHS: FAILURE}


def test_a_file_that_the_report_lacks_has_failed(tmp_path: Path) -> None:
    (tmp_path / "report.xml").write_text("<testsuites/>")
    assert report.read(tmp_path / "report.xml", [PATHS], "") == {PATHS: FAILURE}


def test_nothing_that_ran_is_no_success() -> None:
    assert not Result(0, 0, {"no v1 here": 3}).is_good


def test_counts_are_added_and_the_oldest_date_is_theirs() -> None:
    total = report.add([counted(1, "2026-11-24"), counted(2), FAILURE])
    assert total == Result(3, 1, {"no v1 here": 4}, "6.1.0", "2026-11-23")


@pytest.mark.usefixtures("clone")
def test_a_file_counts_as_it_ran_last() -> None:
    report.keep(LAYOUT, {CGROUP: counted(5), PATHS: FAILURE})
    report.keep(LAYOUT, {PATHS: counted(7, "2026-11-25")})
    report.keep(LAYOUTS["debian13"], {CGROUP: FAILURE})
    result = report.kept(LAYOUT, [CGROUP, PATHS])
    assert result == Result(12, 0, {"no v1 here": 4}, "6.1.0", "2026-11-23")


@pytest.mark.usefixtures("clone")
def test_a_failure_is_kept_too() -> None:
    report.keep(LAYOUT, {CGROUP: counted()})
    report.keep(LAYOUT, {CGROUP: FAILURE})
    result = report.kept(LAYOUT, [CGROUP])
    assert result is not None
    assert not result.is_good


@pytest.mark.usefixtures("clone")
def test_a_layout_is_whole_when_every_file_has_run() -> None:
    report.keep(LAYOUT, {CGROUP: counted()})
    assert report.kept(LAYOUT, [CGROUP, PATHS]) is None
