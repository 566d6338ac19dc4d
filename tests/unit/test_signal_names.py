# SPDX-License-Identifier: Apache-2.0
"""The launcher's table of signals is Python's."""

import re
from pathlib import Path

from pyoci.linux.signals import SIGNALS


def test_the_launcher_knows_the_same_numbers() -> None:
    """native/request.c names each of 1 to 31 once, in order."""
    text = (Path(__file__).resolve().parents[2] / "pyoci/native/request.c").read_text()
    table = text.partition("names[] = {")[2].partition("}")[0]
    names = re.findall(r'"(\w*)"', table)
    assert names[0] == ""
    assert len(names) == 32
    for number, name in enumerate(names[1:], 1):
        assert SIGNALS[name] == number
