# SPDX-License-Identifier: Apache-2.0
"""A command over several names: each is done for itself; what was done is printed, what was not is said on stderr, status 1."""

import sys

from pyoci.engine.containers.record import Records
from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pyoci.engine.containers.record import Container
    from pyoci.engine.places import Places


def each(
    references: "Sequence[str]",
    places: "Places",
    action: "Callable[[Records, Container], object]",
) -> int:
    """Do something to each container; prints the name as given, or what the action returns; returns the exit status."""
    records = Records(places)

    def act(reference: str) -> object:
        return action(records, records.find(reference))

    return each_name(references, act)


def each_name(names: "Sequence[str]", action: "Callable[[str], object]") -> int:
    """Do something for each name; prints the name, or the text that the action returns; returns the exit status."""
    status = 0
    for name in names:
        try:
            said = action(name)
        except PyociError as error:
            sys.stdout.flush()
            complain(error)
            status = 1
        else:
            print(name if said is None else said)
    return status


def warn(text: str) -> None:
    """Say on stderr what is amiss, and no error."""
    print(f"WARNING: {text}", file=sys.stderr, flush=True)


def complain(error: Exception) -> None:
    """Say an error on stderr, as it is said at the end of a command."""
    print(f"Error: {error}", file=sys.stderr, flush=True)
