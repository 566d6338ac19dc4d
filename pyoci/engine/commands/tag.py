# SPDX-License-Identifier: Apache-2.0
"""`tag`: one more name for an image."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags


FLAGS: "tuple[Flag, ...]" = ()


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Name the image; nothing is printed."""
    del flags
    from pyoci.engine.database import Database
    from pyoci.engine.images.removal import tag
    from pyoci.engine.images.store import Store

    tag(Store(Database(places), places), arguments[0], arguments[1])
    return 0
