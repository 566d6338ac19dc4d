# SPDX-License-Identifier: Apache-2.0
"""`top`: the processes of a container."""

from pyoci.engine.tables import align

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print what ps(1) says of the container's processes."""
    del flags
    from pyoci.engine import events
    from pyoci.engine.containers import processes
    from pyoci.engine.containers.record import Records

    container = Records(places).find(arguments[0])
    rows = processes.table(container, arguments[1:])
    events.of_container(container, "top")
    print(align(["\t".join(row) for row in rows], least=20), end="")
    return 0
