# SPDX-License-Identifier: Apache-2.0
"""`_create`: for the monitor, make a container that begins again; reports on standard output."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Make the container, in the network namespace that it had; its init is the monitor's as soon as we have ended."""
    del flags
    import posix

    from pyoci.engine.containers import creator
    from pyoci.engine.containers.record import Records
    from pyoci.engine.containers.surroundings import look_around
    from pyoci.engine.errors import EngineError

    report = posix.dup(1)
    records = Records(places)
    container = records.find(arguments[0])
    try:
        around = look_around(records, container, *arguments[1:])
    except EngineError as error:
        creator.tell(report, {"error": str(error), "code": 125})
        return 1
    if len(arguments) > 1:
        return creator.report(container, around, report, _now)
    return creator.report(
        container, around, report, _now, lambda pid: _attach(records, container, pid)
    )


def _now() -> bool:
    return True


def _attach(records: "Records", container: "Container", pid: int) -> None:
    """Give the container its network anew: it has lost its namespace with the monitor that was killed."""
    from pyoci.engine.containers import attachment
    from pyoci.engine.containers.session import Session

    session = Session()
    session.connect(container)
    for purpose, socket in attachment.attach(records, container, pid):
        session.give(purpose, socket)
    session.close()
