# SPDX-License-Identifier: Apache-2.0
"""The files of docs/engines that a user copies, with the place of the program under test."""

from pathlib import Path

DOCUMENTS = Path(__file__).resolve().parent.parent.parent / "docs/engines"
INSTALLED = "/usr/local/bin/pyoci"


def configuration(name: str, program: str) -> str:
    """Return a file of docs/engines; it must name the installed program."""
    text = (DOCUMENTS / name).read_text(encoding="utf-8")
    assert INSTALLED in text
    return text.replace(INSTALLED, program)
