# SPDX-License-Identifier: Apache-2.0
"""`kill`: send a signal to containers."""

from pyoci.engine.commands.several import each_name
from pyoci.engine.containers.record import Records
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (("signal", "s", "string", "Signal to send to the container"),)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Signal each container and print its name."""
    from pyoci.engine.containers import life, signals

    name = flags.text("signal", "KILL")
    signals.number(name)
    records = Records(places)

    def act(reference: str) -> None:
        try:
            container = records.find(reference)
        except EngineError as error:
            raise EngineError(f"Cannot kill container: {reference}: {error}") from None
        life.kill(records, container, name)

    return each_name(arguments, act)
