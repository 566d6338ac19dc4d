# SPDX-License-Identifier: Apache-2.0
"""The launcher's conversion of cpu.shares is Python's (native/weight.c, cgroup/resources.py)."""

import subprocess
from pathlib import Path

from pyoci.cgroup.resources import MAX_SHARES, MIN_SHARES, weight

NATIVE = Path(__file__).resolve().parents[2] / "pyoci/native"
MAIN = """
#include "shortcut.h"
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv)
{
    for (int shares = atoi(argv[argc - 2]); shares <= atoi(argv[argc - 1]); shares++)
        printf("%d\\n", weight_of(shares));
}
"""


def test_every_weight_is_pythons(tmp_path: Path) -> None:
    """From the least shares to the most."""
    (tmp_path / "main.c").write_text(MAIN)
    program = tmp_path / "weights"
    files = [str(tmp_path / "main.c"), str(NATIVE / "weight.c"), "-lm"]
    subprocess.run(["cc", f"-I{NATIVE}", "-o", str(program), *files], check=True)
    words = [str(program), str(MIN_SHARES), str(MAX_SHARES)]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout.split()
    assert list(map(int, said)) == [weight(n) for n in range(MIN_SHARES, MAX_SHARES + 1)]
