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
    from pyoci.engine.containers import processes
    from pyoci.engine.containers.record import Records

    rows = processes.table(Records(places).find(arguments[0]), arguments[1:])
    print(align(["\t".join(row) for row in rows], least=20), end="")
    return 0
