# SPDX-License-Identifier: Apache-2.0
"""`diff`: what a container has changed in its file system."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print A, C or D and the path of each change."""
    del flags
    from pyoci.engine.containers import root
    from pyoci.engine.containers.record import Records

    records = Records(places)
    for kind, path in root.snapshot(records, records.find(arguments[0])).changes():
        print(f"{kind} {path}")
    return 0
