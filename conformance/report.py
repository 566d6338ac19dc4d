# SPDX-License-Identifier: Apache-2.0
"""The report: a row for each test, a column for each runtime; in the terminal and as one HTML page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape

from conformance.result import FAIL, PASS, SKIP, Result, Results

NOT_RUN = Result(SKIP, "not run")
TITLES = {
    "validation": "OCI runtime-tools validation suite",
    "black-box": "pyoci's black-box suite",
}
MARKS = {PASS: "pass", FAIL: "FAIL", SKIP: "skip"}

STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; color: #1b1f24 }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem }
th, td { border: 1px solid #d0d7de; padding: .3rem .5rem; text-align: left; vertical-align: top }
thead th { background: #f3f5f7; position: sticky; top: 0 }
td:first-child { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; width: 24% }
.pass { color: #116329 } .fail { color: #a40e26; font-weight: 600 }
.explained { color: #7d4e00 } .skip { color: #57606a }
.why { display: block; font-size: .82em; font-weight: 400; color: #424a53; overflow-wrap: anywhere }
@media (prefers-color-scheme: dark) {
  body { background: #0d1117; color: #d6dde4 } thead th { background: #161b22 } th, td { border-color: #30363d }
  .pass { color: #56d364 } .fail { color: #ff7b72 } .explained { color: #e3b341 }
  .skip, .why { color: #9198a1 }
}
"""


def mark(result: Result) -> str:
    """Return the word of a result: a failure that is explained is `fail`, another one `FAIL`."""
    return "fail" if result.status == FAIL and result.cause else MARKS[result.status]


def text(results: Results, runtimes: Sequence[str]) -> str:
    """Return the report for a terminal: the table, then the reason of whatever did not pass."""
    return "".join(_text(suite, tests, runtimes) for suite, tests in results.items())


def _text(suite: str, tests: dict[str, dict[str, Result]], runtimes: Sequence[str]) -> str:
    width = max(map(len, tests), default=0) + 2
    columns = [max(len(runtime), 4) + 2 for runtime in runtimes]
    lines = [TITLES[suite], "=" * len(TITLES[suite]), ""]
    lines.append(" " * width + "".join(r.ljust(w) for r, w in zip(runtimes, columns, strict=True)))
    reasons = []
    for name, row in tests.items():
        cells = [row.get(runtime, NOT_RUN) for runtime in runtimes]
        words = "".join(mark(cell).ljust(w) for cell, w in zip(cells, columns, strict=True))
        lines.append(f"{name.ljust(width)}{words}".rstrip())
        reasons += _reasons(name, zip(runtimes, cells, strict=True))
    lines += ["", *(reasons and [*reasons, ""])]
    lines += [f"{runtime}: {total(tests, runtime)}" for runtime in runtimes]
    for runtime in runtimes:
        found = causes(tests, runtime)
        lines += ["", f"{runtime}, by cause:"] if found else []
        lines += [f"{count:5}  {cause}" for cause, count in found]
    return "\n".join(lines) + "\n\n"


def _reasons(name: str, cells: Iterable[tuple[str, Result]]) -> list[str]:
    """Return a line for each reason, with all the runtimes that it is the reason of."""
    by_reason: dict[tuple[str, str], list[str]] = {}
    for runtime, cell in cells:
        if cell.status != PASS:
            by_reason.setdefault((mark(cell), cell.why), []).append(runtime)
    return [f"{name}, {', '.join(of)}: {word}: {why}" for (word, why), of in by_reason.items()]


def total(tests: dict[str, dict[str, Result]], runtime: str) -> str:
    """Return how many tests passed, failed (for a known reason, or not), were skipped."""
    counts = Counter(mark(row.get(runtime, NOT_RUN)) for row in tests.values())
    return (
        f"{counts['pass']} pass, {counts['FAIL'] + counts['fail']} fail "
        f"({counts['fail']} of them explained), {counts['skip']} skip"
    )


def causes(tests: dict[str, dict[str, Result]], runtime: str) -> list[tuple[str, int]]:
    """Return the known causes of a runtime's failures with the number of tests, most first."""
    cells = (row.get(runtime, NOT_RUN) for row in tests.values())
    return Counter(cell.cause for cell in cells if mark(cell) == "fail").most_common()


def html(results: Results, runtimes: Sequence[str], versions: dict[str, str], about: str) -> str:
    """Return the report as a page that loads nothing."""
    heads = "".join(
        f"<th>{escape(r)}<span class=why>{escape(versions[r])}</span></th>" for r in runtimes
    )
    parts = []
    for suite, tests in results.items():
        rows = "".join(_row(name, row, runtimes) for name, row in tests.items())
        totals = "".join(f"<td>{_total_cell(tests, runtime)}</td>" for runtime in runtimes)
        parts.append(
            f"<h2>{escape(TITLES[suite])}</h2>\n<table><thead><tr><th>test</th>{heads}</tr></thead>\n"
            f"<tbody><tr><td>in all</td>{totals}</tr>\n{rows}</tbody></table>\n"
        )
    return (
        "<!doctype html>\n<html lang=en><head><meta charset=utf-8><title>Conformance of OCI runtimes</title>"
        f"<style>{STYLE}</style></head>\n<body><h1>Conformance of OCI runtimes</h1>\n<p>{escape(about)}</p>\n"
        "<p><span class=fail>FAIL</span>: the runtime does not do what the test asks for. <span class=explained>"
        "fail</span>: it failed, and the cause is known: it is the test, or this host, or a choice that the "
        f"reason gives.</p>\n{''.join(parts)}</body></html>\n"
    )


def _total_cell(tests: dict[str, dict[str, Result]], runtime: str) -> str:
    whys = (f"{count}: {escape(cause)}" for cause, count in causes(tests, runtime))
    return escape(total(tests, runtime)) + "".join(f"<span class=why>{why}</span>" for why in whys)


def _row(name: str, row: dict[str, Result], runtimes: Sequence[str]) -> str:
    cells = ""
    for runtime in runtimes:
        result = row.get(runtime, NOT_RUN)
        kind = "explained" if mark(result) == "fail" else result.status
        why = f"<span class=why>{escape(result.why)}</span>" if result.why else ""
        cells += f"<td class={kind}>{mark(result)}{why}</td>"
    return f"<tr><td>{escape(name)}</td>{cells}</tr>\n"


def unexplained(results: Results, runtime: str) -> list[str]:
    """Return the tests that a runtime failed for no known reason."""
    rows = (item for tests in results.values() for item in tests.items())
    return [name for name, row in rows if mark(row.get(runtime, NOT_RUN)) == "FAIL"]
