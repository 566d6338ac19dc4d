# SPDX-License-Identifier: Apache-2.0
"""docs/test-layouts.md: read, its rows changed by what ran, written. What no run changes stays as it stands there."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from vm.layouts import LAYOUTS, Layout
from vm.report import Result
from vm.stage import TOP

PATH = TOP / "docs/test-layouts.md"
UNCOUNTED = "-"  # where no run has been yet
SLACK = 0.1  # of a documented number, by which a run may be worse before the table is out of date
ROW = re.compile(
    r"^\| (?P<name>[\w-]+) \| (?P<what>.*) \| (?P<kernel>\S*) \| (?P<date>\S*) "
    r"\| (?P<passed>\d+|-) \| (?P<skips>\d+|-) \| (?P<brief_passed>\d+|-) \| (?P<brief_skips>\d+|-) \|$"
)
SECTION = re.compile(r"^\*\*(?P<name>[\w-]+)\*\*$")
REASON = re.compile(r"^\| (?P<count>\d+) \| (?P<reason>.*) \|$")
HEAD = """# Test layouts

The integration tests in the machines of [tests/vm](../tests/vm/README.md), as they ran last on each layout. Written by
`make test-vm ALL=1` (`tests/vm/test --all --write LAYOUT...` for some layouts: the other rows stay; without `--all` the last two
columns only; a dash is what no run has counted yet).
An ordinary `make test-vm`, as in CI, runs those of the last two columns; it fails where a tenth fewer run, or a tenth more
are skipped, than stand here.
It is of what a layout can change (`LAYOUT` in tests/vm/layouts.py) and, on v2, of exec, hooks, hand-over, lists and mounts,
which ask much of a kernel: some ten minutes of two idle processors. Where systemd makes the cgroups, on hybrid
and on v1 alone, only the files run that look at cgroups at all; `make test` on the host is every test on a hybrid layout.

| layout | what it is | kernel | date | run | skipped | of them brief | skipped |
|---|---|---|---|--:|--:|--:|--:|
"""


class Row(NamedTuple):
    """What the table says of a layout: numbers as they stand there, and why how many were skipped."""

    kernel: str = ""
    date: str = ""
    passed: str = UNCOUNTED
    skips: str = UNCOUNTED
    brief_passed: str = UNCOUNTED
    brief_skips: str = UNCOUNTED
    skipped: Mapping[str, int] = {}


def read(text: str) -> dict[str, Row]:
    """Return the rows of the table, by layout."""
    rows: dict[str, Row] = {}
    reasons: dict[str, dict[str, int]] = {}
    section = ""
    for line in text.splitlines():
        if row := ROW.match(line):
            numbers = (row["passed"], row["skips"], row["brief_passed"], row["brief_skips"])
            rows[row["name"]] = Row(row["kernel"], row["date"], *numbers)
        elif title := SECTION.match(line):
            section = title["name"]
        elif reason := REASON.match(line):
            reasons.setdefault(section, {})[reason["reason"]] = int(reason["count"])
    return {name: row._replace(skipped=reasons.get(name, {})) for name, row in rows.items()}


def changed(row: Row, whole: Result | None, brief: Result | None) -> Row:
    """Return the row after a run: of all files of the layout, of those of an ordinary run, or of both.

    What was not counted, or failed, leaves its columns as they are; date and reasons are of the whole
    run where there was one.
    """
    if brief is not None and brief.is_good:
        row = row._replace(brief_passed=str(brief.passed), brief_skips=str(brief.skips))
        if row.passed == UNCOUNTED:
            row = row._replace(kernel=brief.kernel, date=brief.date, skipped=brief.skipped)
    if whole is not None and whole.is_good:
        numbers = {"passed": str(whole.passed), "skips": str(whole.skips)}
        row = row._replace(kernel=whole.kernel, date=whole.date, skipped=whole.skipped, **numbers)
    return row


def words(rows: Mapping[str, Row]) -> str:
    """Return the text of the table, with every layout that there is."""
    lines, reasons = [], []
    for layout in LAYOUTS.values():
        row = rows.get(layout.name, Row())
        if not layout.is_ordinary:
            row = row._replace(brief_passed="0", brief_skips="0")
        lines.append(f"| {layout.name} | {layout.what} | {' | '.join(row[:-1])} |")
        if row.skipped:
            reasons += [f"**{layout.name}**", "", "| tests | reason |", "|--:|---|"]
            reasons += [f"| {count} | {reason} |" for reason, count in sorted(row.skipped.items())]
            reasons.append("")
    text = HEAD + "\n".join([*lines, "", "## What was skipped, and why", "", *reasons])
    return text.rstrip() + "\n"


def complaints(layout: Layout, result: Result, rows: Mapping[str, Row]) -> list[str]:
    """Return what an ordinary run shows to be out of date in the table: numbers within a tenth are good."""
    row = rows.get(layout.name)
    if row is None:
        return [f"{PATH.name} has no numbers of {layout.name}: make test-vm ALL=1 writes them"]
    if row.brief_passed == UNCOUNTED:
        return []
    found = []
    passed, skips = int(row.brief_passed), int(row.brief_skips)
    if result.passed < passed * (1 - SLACK):
        found.append(f"{layout.name}: {result.passed} tests ran, {passed} stand in {PATH.name}")
    if result.skips > skips * (1 + SLACK) + 1:
        found.append(f"{layout.name}: {result.skips} were skipped, {skips} in {PATH.name}")
    return found


def update(names: Mapping[str, tuple[Result | None, Result | None]], path: Path = PATH) -> None:
    """Write the file anew with the counts, whole and brief, of the layouts named; all other rows stay."""
    rows = read(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, (whole, brief) in names.items():
        rows[name] = changed(rows.get(name, Row()), whole, brief)
    path.write_text(words(rows), encoding="utf-8")
