# SPDX-License-Identifier: Apache-2.0
"""What ran where: counts from pytest's own report, and docs/test-layouts.md made of them."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from vm.layouts import LAYOUTS, Layout
from vm.stage import BUILD, TOP

TABLE = TOP / "docs/test-layouts.md"
RESULTS = BUILD / "results"
ROW = re.compile(r"^\| (?P<name>[\w-]+) \|.*\| (?P<passed>\d+) \| (?P<skipped>\d+) \|$", re.MULTILINE)
SLACK = 0.1  # of a documented number, by which a run may be worse before the table is out of date
HEAD = """# Test layouts

The integration tests, as they ran in the machines of [tests/vm](../tests/vm/README.md). Written by `make test-vm ALL=1`;
`make test-vm` runs a part of it and fails where a layout runs a tenth fewer tests, or skips a tenth more, than stand here.
"""


class Result(NamedTuple):
    """The counts of one layout; `skipped` by reason."""

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


def read(report: Path) -> Result:
    """Return the counts of a JUnit report; one that is not there is one failure: pytest came to no end."""
    if not report.exists():
        return Result(0, 1, {})
    passed = failed = 0
    skipped: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):  # noqa: S314 - our own pytest wrote it
        kinds = {child.tag: child for child in case}
        if "failure" in kinds or "error" in kinds:
            failed += 1
        elif "skipped" in kinds:
            skipped[kinds["skipped"].get("message", "")] += 1
        else:
            passed += 1
    return Result(passed, failed, dict(skipped))


def add(results: Iterable[Result]) -> Result:
    """Return the counts of all shards of a layout."""
    total = Result(0, 0, {}, date=time.strftime("%Y-%m-%d"))
    for each in results:
        skipped = dict(Counter(total.skipped) + Counter(each.skipped))
        total = total._replace(
            passed=total.passed + each.passed, failed=total.failed + each.failed, skipped=skipped
        )
    return total


def keep(layout: Layout, result: Result) -> None:
    """Keep the counts of a whole run, for the table."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{layout.name}.json").write_text(json.dumps(result._asdict()), encoding="utf-8")


def kept(layout: Layout) -> Result | None:
    """Return the counts of the last whole run; None without one."""
    path = RESULTS / f"{layout.name}.json"
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write(path: Path = TABLE) -> None:
    """Write the table of all layouts that ran as a whole."""
    rows = ["| layout | what it is | kernel | date | run | skipped |", "|---|---|---|---|--:|--:|"]
    reasons: list[str] = []
    for layout in LAYOUTS.values():
        result = kept(layout)
        if result is None:
            rows.append(f"| {layout.name} | {layout.what}: {layout.off or 'not run'} | | | 0 | 0 |")
            continue
        what = [layout.what, result.kernel, result.date, result.passed, result.skips]
        rows.append(f"| {layout.name} | {' | '.join(map(str, what))} |")
        reasons += reasons_of(layout, result)
    text = "\n".join([HEAD, *rows, "", "## What was skipped, and why", "", *reasons])
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def reasons_of(layout: Layout, result: Result) -> list[str]:
    """Return the section of a layout: how many tests for which reason."""
    if not result.skipped:
        return []
    rows = [f"| {count} | {reason} |" for reason, count in sorted(result.skipped.items())]
    return [f"**{layout.name}**", "", "| tests | reason |", "|--:|---|", *rows, ""]


def complaints(layout: Layout, result: Result, table: str) -> list[str]:
    """Return what a whole run shows to be out of date in the table: numbers within a tenth are good."""
    rows = {row["name"]: row for row in ROW.finditer(table)}
    row = rows.get(layout.name)
    if row is None:
        return [f"{TABLE.name} has no row {layout.name}: make test-vm ALL=1 writes it"]
    found = []
    passed, skipped = int(row["passed"]), int(row["skipped"])
    if result.passed < passed * (1 - SLACK):
        found.append(f"{layout.name}: {result.passed} tests ran, {passed} stand in {TABLE.name}")
    if result.skips > skipped * (1 + SLACK) + 1:
        found.append(f"{layout.name}: {result.skips} were skipped, {skipped} in {TABLE.name}")
    return found
