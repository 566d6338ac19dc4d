# SPDX-License-Identifier: Apache-2.0
"""Signals as Docker names them: TERM, SIGTERM, 15, RTMIN+3."""

from pyoci.engine.errors import EngineError
from pyoci.linux.signals import number_of

KILL, TERM, STOP, CONT = 9, 15, 19, 18


def number(name: str) -> int:
    """Return the number of a signal; raises EngineError with Docker's words."""
    found = number_of(name)
    if not found:
        raise EngineError(f"Invalid signal: {name}")
    return found
