# SPDX-License-Identifier: Apache-2.0
"""Questions before what cannot be undone."""

import sys


def confirm(warning: str) -> bool:
    """Ask on standard output, in Docker's words; only y is yes."""
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() == "y"
