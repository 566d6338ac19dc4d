# SPDX-License-Identifier: Apache-2.0
"""`_cleanup`: for the monitor, take away what is left of a container that has ended while no command waited for it."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Clean up, unless the container has been started again or removed meanwhile."""
    del flags
    from pyoci.engine.containers import life, status
    from pyoci.engine.containers.record import Records
    from pyoci.engine.errors import NotFoundError

    records = Records(places)
    try:
        container = records.find(arguments[0])
        if not status.is_watched(container.run):
            life.clean_up(records, container)
    except NotFoundError:
        return 0
    return 0
