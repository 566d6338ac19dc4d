# SPDX-License-Identifier: Apache-2.0
"""`volume create`: make a volume."""

from pyoci.engine import events
from pyoci.engine.containers.record import Records
from pyoci.engine.errors import EngineError
from pyoci.engine.volumes import Volumes, make_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("driver", "d", "string", 'Specify volume driver name (default "local")'),
    ("label", "", "label", "Set metadata for a volume"),
    ("opt", "o", "map", "Set driver specific options (default map[])"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Make a volume, where there is none of its name, and print that."""
    from pyoci.engine.containers.environment import pairs

    driver = flags.text("driver", "local")
    if driver != "local":
        raise EngineError(
            f"create {arguments[0] if arguments else ''}: error looking up volume plugin {driver}: "
            f'plugin "{driver}" not found'
        )
    volumes = Volumes(places, Records(places).database)
    name = arguments[0] if arguments else make_name()
    labels, options = pairs(flags.every("label")), pairs(flags.every("opt"))
    with volumes.database.writing():
        is_new = volumes.ensure(name, anonymous=not arguments, labels=labels, options=options)
    volumes.data(name)
    if is_new:
        events.of_volume(places, "create", name)
    print(name)
    return 0
