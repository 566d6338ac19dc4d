# SPDX-License-Identifier: Apache-2.0
"""The launcher by itself: there is no Python that it could fall back to."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from blackbox.processes import Ran
from blackbox.runtime import Runtime

Alone = Callable[..., Ran]


def launcher_only(runtime: Runtime, scratch: Path) -> Alone:
    """Return a function that runs a command of the runtime with a copy of its launcher."""
    copy = scratch / "alone/bin/pyoci"
    copy.parent.mkdir(parents=True)
    shutil.copy(runtime.program, copy)

    def run(*args: str, flags: Sequence[str] = (), env: dict[str, str] | None = None) -> Ran:
        own, runtime.program = runtime.program, str(copy)
        try:
            return runtime(*args, flags=flags, env=env)
        finally:
            runtime.program = own

    return run


def is_refused(ran: Ran) -> bool:
    """Tell whether the launcher wanted to leave it to Python."""
    assert ran.code == (1 if "no interpreter" in ran.stderr else 0), ran
    return ran.code == 1
