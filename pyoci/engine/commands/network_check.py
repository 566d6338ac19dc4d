# SPDX-License-Identifier: Apache-2.0
"""`network check`: what on this host would keep networks from working; changes nothing."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()
WELL = "nothing on this host keeps networks from working"


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print what is wrong, what it keeps from working and the command that mends it; return 1, or 0 for nothing."""
    del arguments, flags
    from pyoci.engine.containers.record import Records
    from pyoci.engine.networks.examination import examine
    from pyoci.engine.networks.records import Networks

    found = [*examine(Networks(Records(places).database))]
    for wrong, what, mend in found:
        print(f"{wrong}\n  keeps: {what}\n  mend:  {mend}")
    if not found:
        print(WELL)
    return 1 if found else 0
