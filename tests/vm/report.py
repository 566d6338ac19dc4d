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
NUMBERS = ("passed", "skips", "brief_passed", "brief_skips")
ROW = re.compile(
    r"^\| (?P<name>[\w-]+) \|.*" + "".join(rf"\| (?P<{name}>\d+|-) " for name in NUMBERS) + r"\|$",
    re.MULTILINE,
)
UNCOUNTED = "-"  # where no run has been yet
SLACK = 0.1  # of a documented number, by which a run may be worse before the table is out of date
HEAD = """# Test layouts

The integration tests in the machines of [tests/vm](../tests/vm/README.md), as they ran last on each layout. Written by
`make test-vm ALL=1` (`tests/vm/test --write` for some layouts, or the brief run only; a dash is what no run has counted yet).
An ordinary `make test-vm`, as in CI, runs those of the last two columns; it fails where a tenth fewer run, or a tenth more
are skipped, than stand here.
It is of what a layout can change (`LAYOUT` in tests/vm/layouts.py) and, on v2, of exec, hooks, hand-over, lists and mounts,
which ask much of a kernel: some ten minutes of two idle processors. Where systemd makes the cgroups, on hybrid
and on v1 alone, only the files run that look at cgroups at all; `make test` on the host is every test on a hybrid layout.
"""


class Result(NamedTuple):
    """The counts of one layout; `skipped` by reason; the brief ones are those that an ordinary run has too."""

    passed: int
    failed: int
    skipped: dict[str, int]
    brief_passed: int = 0
    brief_skips: int = 0
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


def read(report: Path, layout: Layout) -> Result:
    """Return the counts of a JUnit report; one that is not there is one failure: pytest came to no end."""
    if not report.exists():
        return Result(0, 1, {})
    numbers: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for case in ElementTree.parse(report).iter("testcase"):
        kinds = {child.tag: child for child in case}
        is_brief = layout.is_brief(module_of(case.get("classname", "")))
        if "failure" in kinds or "error" in kinds:
            numbers["failed"] += 1
        elif "skipped" in kinds:
            skipped[kinds["skipped"].get("message", "")] += 1
            numbers["brief_skips"] += is_brief
        else:
            numbers["passed"] += 1
            numbers["brief_passed"] += is_brief
    brief = (numbers["brief_passed"], numbers["brief_skips"])
    return Result(numbers["passed"], numbers["failed"], dict(skipped), *brief)


def module_of(classname: str) -> str:
    """Return the file's name out of `tests.integration.test_x.TestClass`."""
    return next((part for part in classname.split(".") if part.startswith("test_")), "") + ".py"


def add(results: Iterable[Result]) -> Result:
    """Return the counts of all shards of a layout, as of today."""
    total = Result(0, 0, {}, date=time.strftime("%Y-%m-%d"))
    for each in results:
        total = total._replace(
            passed=total.passed + each.passed,
            failed=total.failed + each.failed,
            skipped=dict(Counter(total.skipped) + Counter(each.skipped)),
            brief_passed=total.brief_passed + each.brief_passed,
            brief_skips=total.brief_skips + each.brief_skips,
        )
    return total


def keep(layout: Layout, result: Result, *, everything: bool) -> None:
    """Keep the counts for the table; an ordinary run leaves those of the last whole one as they are."""
    before = kept(layout)
    if not everything:
        whole = (
            {"passed": 0}
            if before is None
            else {"passed": before.passed, "skipped": before.skipped}
        )
        result = result._replace(**whole)
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{layout.name}.json").write_text(json.dumps(result._asdict()), encoding="utf-8")


def kept(layout: Layout) -> Result | None:
    """Return the counts that were kept; `passed` is 0 when no whole run was among them."""
    path = RESULTS / f"{layout.name}.json"
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def write(path: Path = TABLE) -> None:
    """Write the table of the last whole run of each layout."""
    rows = ["| layout | what it is | kernel | date | run | skipped | of them brief | skipped |"]
    rows.append("|---|---|---|---|--:|--:|--:|--:|")
    reasons: list[str] = []
    for layout in LAYOUTS.values():
        result = kept(layout) or Result(0, 0, {})
        numbers = numbers_of(layout, result)
        rows.append(
            f"| {layout.name} | {' | '.join(map(str, [layout.what, result.kernel, result.date, *numbers]))} |"
        )
        reasons += reasons_of(layout, result)
    text = "\n".join([HEAD, *rows, "", "## What was skipped, and why", "", *reasons])
    path.write_text(text.rstrip() + "\n", encoding="utf-8")


def numbers_of(layout: Layout, result: Result) -> list[int | str]:
    """Return the last four columns; what no run has counted yet is a dash."""
    whole: list[int | str] = [result.passed, result.skips] if result.passed else [UNCOUNTED] * 2
    brief: list[int | str] = (
        [result.brief_passed, result.brief_skips] if result.date else [UNCOUNTED] * 2
    )
    return [*whole, *(brief if layout.is_ordinary else [0, 0])]


def reasons_of(layout: Layout, result: Result) -> list[str]:
    """Return the section of a layout: how many tests for which reason."""
    if not result.skipped:
        return []
    rows = [f"| {count} | {reason} |" for reason, count in sorted(result.skipped.items())]
    return [f"**{layout.name}**", "", "| tests | reason |", "|--:|---|", *rows, ""]


def complaints(layout: Layout, result: Result, table: str) -> list[str]:
    """Return what an ordinary run shows to be out of date in the table: numbers within a tenth are good."""
    rows = {row["name"]: row for row in ROW.finditer(table)}
    row = rows.get(layout.name)
    if row is not None and row["brief_passed"] == UNCOUNTED:
        return []
    if row is None:
        return [f"{TABLE.name} has no numbers of {layout.name}: make test-vm ALL=1 writes them"]
    found = []
    passed, skips = int(row["brief_passed"]), int(row["brief_skips"])
    if result.passed < passed * (1 - SLACK):
        found.append(f"{layout.name}: {result.passed} tests ran, {passed} stand in {TABLE.name}")
    if result.skips > skips * (1 + SLACK) + 1:
        found.append(f"{layout.name}: {result.skips} were skipped, {skips} in {TABLE.name}")
    return found
