# SPDX-License-Identifier: Apache-2.0
"""Our own black-box suite (tests/integration) against a runtime, through pytest and its JUnit file."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from conformance.result import FAIL, PASS, SKIP, Result

TOP = Path(__file__).resolve().parent.parent
PYTEST = TOP / ".venv/bin/pytest"
SUITE = TOP / "tests/integration"
SECONDS = 3600.0


def run(
    runtimes: Mapping[str, Path], options: Sequence[str]
) -> dict[str, Iterable[tuple[str, Result]]]:
    """Run the suite with these options of pytest's, all runtimes at once: it mostly waits."""
    if not PYTEST.exists():
        sys.exit("the tests are not installed: `make build/stamps/tools` installs them")
    with ThreadPoolExecutor(len(runtimes)) as pool:
        reports = pool.map(lambda path: drive(path, options), runtimes.values())
        return {name: read(text) for name, text in zip(runtimes, reports, strict=True)}


def drive(runtime: Path, options: Sequence[str]) -> str:
    """Run the suite against one runtime; return pytest's report."""
    environment = {**os.environ, "PYOCI_RUNTIME": str(runtime)}
    with tempfile.NamedTemporaryFile(suffix=".xml") as report:
        argv = [PYTEST, "-q", "--tb=short", f"--junitxml={report.name}", SUITE, *options]
        try:
            status: int | str = subprocess.run(
                argv,
                cwd=TOP,
                env=environment,
                stdout=subprocess.DEVNULL,
                timeout=SECONDS,
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            status = f"none within {SECONDS:.0f} s"
        if status not in (0, 1, 5):  # all passed, some failed, none selected
            sys.exit(f"pytest ended with status {status}: {' '.join(map(str, argv))}")
        return Path(report.name).read_text(encoding="utf-8")


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
        return Result(FAIL, cause=reason)
    return Result(SKIP, reason)


def _line(message: str) -> str:
    """Return a message as one line of at most 600 characters."""
    return re.sub(r"\s+", " ", message).strip()[:600]
