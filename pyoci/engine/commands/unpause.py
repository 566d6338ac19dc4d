# SPDX-License-Identifier: Apache-2.0
"""`unpause`: let every process of containers go on."""

from pyoci.engine.commands.several import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Unpause each container and print its name."""
    del flags
    from pyoci.engine.containers import life

    return each(arguments, places, lambda _, container: life.unpause(container))
