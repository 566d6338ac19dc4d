# SPDX-License-Identifier: Apache-2.0
"""`restart`: stop and start containers."""

from pyoci.engine.commands import stop
from pyoci.engine.commands.several import each

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS = stop.FLAGS


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Restart each container and print its name."""
    from pyoci.engine.containers import life

    seconds = flags.number("timeout") if flags.is_given("timeout") else None
    return each(
        arguments,
        places,
        lambda records, container: life.restart(records, container, flags.text("signal"), seconds),
    )
