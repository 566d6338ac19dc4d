# SPDX-License-Identifier: Apache-2.0
"""Our own black-box suite (tests/integration) against a runtime, through pytest and its JUnit file."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from conformance.result import FAIL, PASS, SKIP, Result

TOP = Path(__file__).resolve().parent.parent
PYTEST = TOP / ".venv/bin/pytest"
SUITE = TOP / "tests/integration"
SECONDS = 3600.0


def run(runtime: Path, options: Sequence[str]) -> Iterator[tuple[str, Result]]:
    """Run the suite with these options of pytest's; yields each test with its result."""
    if not PYTEST.exists():
        sys.exit("the tests are not installed: `make build/stamps/tools` installs them")
    environment = {**os.environ, "PYOCI_RUNTIME": str(runtime)}
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        argv = [PYTEST, "-q", "--tb=short", f"--junitxml={report.name}", SUITE, *options]
        status = subprocess.run(
            argv, cwd=TOP, env=environment, stdout=subprocess.DEVNULL, timeout=SECONDS, check=False
        ).returncode
        if status not in (0, 1, 5):  # all passed, some failed, none selected
            sys.exit(f"pytest ended with status {status}: {' '.join(map(str, argv))}")
        yield from read(Path(report.name).read_text(encoding="utf-8"))


def read(report: str) -> Iterator[tuple[str, Result]]:
    """Read pytest's JUnit report; what is marked expect_fail_on is a failure that is explained."""
    found: dict[str, Result] = {}
    for case in ElementTree.fromstring(report).iter("testcase"):
        file = case.get("classname", "").removeprefix("tests.integration.")
        name = f"{file}::{case.get('name', '')}"
        result = _result(case)
        if (
            name not in found or result.status == FAIL
        ):  # an error of a fixture comes as a second case
            found[name] = result
    yield from sorted(found.items())


def _result(case: ElementTree.Element) -> Result:
    for tag in ("failure", "error"):
        found = case.find(tag)
        if found is not None:
            return Result(FAIL, _line(found.get("message", "")))
    skipped = case.find("skipped")
    if skipped is None:
        return Result(PASS)
    reason = _line(skipped.get("message", ""))
    if skipped.get("type") == "pytest.xfail":
        return Result(FAIL, reason, explained=True)
    return Result(SKIP, reason)


def _line(message: str) -> str:
    """Return a message as one line of at most 600 characters."""
    return re.sub(r"\s+", " ", message).strip()[:600]
