# SPDX-License-Identifier: Apache-2.0
"""Read the Test Anything Protocol as the runtime-tools programs write it."""

import dataclasses
import json
import re

_LINE = re.compile(r"(not )?ok\b(?: \d+)?(?: - )?(.*)")
_SKIP = re.compile(r"# SKIP\b *(.*)", re.IGNORECASE)


@dataclasses.dataclass
class Checks:
    """What one program's checks said: how many passed, why others were skipped, the names of those that failed."""

    passed: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)
    failures: list[str] = dataclasses.field(default_factory=list)


def read(text: str) -> Checks:
    """Read one program's output.

    A diagnostic that belongs to no check and holds an error is a failure too: the programs for hooks report so, and
    print the plan 1..0.
    """
    checks = Checks()
    belongs = False
    for line in _logical_lines(text):
        if line.startswith("{") and not belongs:
            checks.failures += _errors(line)
        check = _LINE.match(line)
        if check is None:
            continue
        belongs = True
        failed, name = check.groups()
        skip = _SKIP.search(name)
        if failed:
            checks.failures.append(name)
        elif skip:
            checks.skipped.append(skip.group(1))
        else:
            checks.passed += 1
    return checks


def _logical_lines(text: str) -> list[str]:
    """Return the lines of checks, and each diagnostic block of several lines as one."""
    lines: list[str] = []
    block: list[str] | None = None
    for line in text.splitlines():
        if block is None and line == "  ---":
            block = []
        elif block is not None and line == "  ...":
            lines.append(" ".join(block))
            block = None
        elif block is not None:
            block.append(line.strip())
        else:
            lines.append(line)
    return lines


def _errors(block: str) -> list[str]:
    """Return the error of a diagnostic, where it is one."""
    try:
        error = json.loads(block).get("error", "")
    except ValueError:
        return []
    return [" ".join(error.split())] if error else []
