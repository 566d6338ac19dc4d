# SPDX-License-Identifier: Apache-2.0
"""`wait`: wait until containers stop."""

from pyoci.engine.commands.several import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Wait for each container and print its exit status."""
    del flags
    from pyoci.engine.containers import life

    return each(arguments, places, lambda _, container: life.wait(container))
