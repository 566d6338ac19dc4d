# SPDX-License-Identifier: Apache-2.0
"""How each test file ran: counts from pytest's own report, kept in build/ until the file runs again."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from vm.layouts import Layout
from vm.stage import BUILD

RESULTS = BUILD / "results"


class Result(NamedTuple):
    """The counts of a test file, or of several; `skipped` by reason."""

    passed: int
    failed: int
    skipped: dict[str, int]
    kernel: str = ""
    date: str = ""

    @property
    def skips(self) -> int:
        """How many were skipped."""
        return sum(self.skipped.values())

    @property
    def is_good(self) -> bool:
        """Whether something ran and nothing failed."""
        return self.passed > 0 and self.failed == 0

    def words(self) -> str:
        """Return the counts in pytest's words."""
        return f"{self.passed} passed, {self.failed} failed, {self.skips} skipped"


FAILURE = Result(0, 1, {})


def read(report: Path, files: Sequence[str], kernel: str) -> dict[str, Result]:
    """Return the counts of each file, as of today, out of a JUnit report.

    A file of which the report says nothing is one failure: pytest came to no end.
    """
    if not report.exists():
        return dict.fromkeys(files, FAILURE)
    numbers: dict[str, Counter[str]] = {Path(file).name: Counter() for file in files}
    skipped: dict[str, Counter[str]] = {Path(file).name: Counter() for file in files}
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag: child for child in case}
        # a file that could not be collected, or skips as a whole, is named as a test without a class
        name = module_of(case.get("classname") or case.get("name") or "")
        if "failure" in kinds or "error" in kinds:
            numbers[name]["failed"] += 1
        elif "skipped" in kinds:
            skipped[name][kinds["skipped"].get("message", "")] += 1
        else:
            numbers[name]["passed"] += 1
    date = time.strftime("%Y-%m-%d")
    found = {}
    for file in files:
        count, reasons = numbers[Path(file).name], skipped[Path(file).name]
        result = Result(count["passed"], count["failed"], dict(reasons), kernel, date)
        found[file] = result if count or reasons else FAILURE
    return found


def module_of(name: str) -> str:
    """Return the file's name out of `tests.integration.test_x.TestClass`."""
    return next((part for part in name.split(".") if part.startswith("test_")), "") + ".py"


def add(results: Iterable[Result]) -> Result:
    """Return the counts of all of them; the date is the oldest one."""
    total = Result(0, 0, {})
    for each in results:
        total = Result(
            total.passed + each.passed,
            total.failed + each.failed,
            dict(Counter(total.skipped) + Counter(each.skipped)),
            total.kernel or each.kernel,
            min(filter(None, (total.date, each.date)), default=""),
        )
    return total


def keep(layout: Layout, results: Mapping[str, Result]) -> None:
    """Keep how files ran on a layout, failures too: a failed file is counted again when it has run again."""
    for file, result in results.items():
        path = place(layout, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(result._asdict()), encoding="utf-8")


def kept(layout: Layout, files: Iterable[str]) -> Result | None:
    """Return the counts of files on a layout, each as it ran last; None where one has not run in this clone."""
    paths = [place(layout, file) for file in files]
    if not all(path.exists() for path in paths):
        return None
    return add(Result(**json.loads(path.read_text(encoding="utf-8"))) for path in paths)


def place(layout: Layout, file: str) -> Path:
    """Return where the counts of a file are kept."""
    return RESULTS / layout.name / f"{Path(file).stem}.json"
