# SPDX-License-Identifier: Apache-2.0
"""`_create`: for the monitor, make a container that begins again; reports on standard output."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Make the container; its init is the monitor's as soon as we have ended."""
    del flags
    import posix

    from pyoci.engine.containers import creator
    from pyoci.engine.containers.record import Records
    from pyoci.engine.containers.surroundings import look_around
    from pyoci.engine.errors import EngineError
    from pyoci.jsontext import dumps

    report = posix.dup(1)
    records = Records(places)
    container = records.find(arguments[0])
    try:
        around = look_around(records, container)
    except EngineError as error:
        posix.write(report, dumps({"error": str(error), "code": 125}).encode())
        return 1
    return creator.report(container, around, report)
