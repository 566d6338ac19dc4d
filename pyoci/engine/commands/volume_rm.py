# SPDX-License-Identifier: Apache-2.0
"""`volume rm`: remove volumes."""

from pyoci.engine import events
from pyoci.engine.commands.several import each_name
from pyoci.engine.containers.record import Records
from pyoci.engine.errors import NotFoundError
from pyoci.engine.volumes import Volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (("force", "f", "", "Force the removal of one or more volumes"),)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Remove each volume and print its name; with --force one that is not there is no error."""
    volumes = Volumes(places, Records(places).database)

    def remove(name: str) -> None:
        try:
            volumes.remove(name)
        except NotFoundError:
            if not flags.is_on("force"):
                raise
        else:
            events.of_volume(places, "destroy", name)

    return each_name(arguments, remove)
