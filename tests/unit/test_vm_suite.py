# SPDX-License-Identifier: Apache-2.0
"""tests/vm/test: which files of a layout run, and in how many machines."""

from pathlib import Path

import pytest
from vm import report, suite
from vm.layouts import LAYOUTS
from vm.report import FAILURE, Result

LAYOUT = LAYOUTS["v2-rootless"]
GOOD = Result(3, 0, {})
SKIPPED = Result(0, 0, {"needs root": 3})


def names(*words: str) -> list[str]:
    """Return the middle names of the files that a command line asks for, sorted."""
    flags = suite.arguments([*words, LAYOUT.name])
    files = suite.files_of(LAYOUT, flags)
    return sorted(Path(file).stem.removeprefix("test_") for file in files)


def test_an_ordinary_run_is_brief() -> None:
    assert names() == sorted(LAYOUT.brief)
    assert names("--all") == sorted(LAYOUT.only)


def test_a_file_is_named_whether_it_is_brief_or_not() -> None:
    assert names("--file", "hooks", "--file", "exec", "--file", "update") == ["exec", "hooks"]


def test_the_rest_is_what_failed_and_what_never_ran(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    results = dict.fromkeys(LAYOUT.files(), GOOD)
    del results["tests/integration/test_hooks.py"]
    results["tests/integration/test_exec.py"] = FAILURE
    results["tests/integration/test_rootless.py"] = SKIPPED
    report.keep(LAYOUT, results)
    assert names("--all", "--rest") == ["exec", "hooks"]
    assert names("--rest") == ["exec"]


def test_every_file_of_a_whole_run_has_one_machine() -> None:
    files = LAYOUTS["v2"].files()
    jobs = suite.jobs_of(LAYOUTS["v2"], files, whole=True)
    assert sorted(file for job in jobs for file in job.files) == sorted(files)
    assert all(0 < len(job.files) <= suite.FILES for job in jobs)


def test_two_machines_share_an_ordinary_run_and_none_is_without_work() -> None:
    files = LAYOUTS["v2"].files()[:3]
    jobs = suite.jobs_of(LAYOUTS["v2"], files, whole=False)
    assert [len(job.files) for job in jobs] == [2, 1]
    assert len(suite.jobs_of(LAYOUTS["v2"], files[:1], whole=False)) == 1
