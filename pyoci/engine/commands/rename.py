# SPDX-License-Identifier: Apache-2.0
"""`rename`: give a container another name."""

from pyoci.engine.commands.several import complain
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Rename a container."""
    del flags
    from pyoci.engine.containers import life
    from pyoci.engine.containers.record import Records

    records = Records(places)
    if not all(arguments):
        raise EngineError("Neither old nor new names may be empty")
    try:
        life.rename(records, records.find(arguments[0]), arguments[1])
    except EngineError as error:
        complain(error)
        raise EngineError(f"failed to rename container named {arguments[0]}") from error
    return 0
