# SPDX-License-Identifier: Apache-2.0
"""`export`: a container's file system as a tar file, without its volumes."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (("output", "o", "string", "Write to a file, instead of STDOUT"),)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Write what the container sees of its own file system; one that does not run is mounted meanwhile."""
    from pyoci.engine import events
    from pyoci.engine.commands.save import write
    from pyoci.engine.containers import root
    from pyoci.engine.containers.life import Lock
    from pyoci.engine.containers.record import Records
    from pyoci.engine.images.making import export

    records = Records(places)
    container = records.find(arguments[0])
    snapshot = root.snapshot(records, container)
    with Lock(container):
        was_mounted = snapshot.is_mounted()
        merged = snapshot.mount()
        try:
            write(export(merged), flags.text("output"), "export container")
        finally:
            if not was_mounted:
                snapshot.unmount()
    events.of_container(container, "export")
    return 0
