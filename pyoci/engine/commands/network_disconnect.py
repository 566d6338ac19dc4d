# SPDX-License-Identifier: Apache-2.0
"""`network disconnect`: take a container from a network."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("force", "f", "", "Force the container to disconnect from a network"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Detach a container, at once when it runs; with --force one that is not there is no error."""
    from pyoci.engine.containers import connection
    from pyoci.engine.containers.record import Records
    from pyoci.engine.errors import NotFoundError

    records = Records(places)
    try:
        connection.disconnect(records, records.find(arguments[1]), arguments[0])
    except NotFoundError:
        if not flags.is_on("force"):
            raise
    return 0
