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
    from pyoci.engine.errors import EngineError, PlainError
    from pyoci.engine.images.removal import tag
    from pyoci.engine.images.store import Store
    from pyoci.engine.reference import parse

    source, target = arguments
    try:
        reference = parse(target)
    except EngineError as error:
        words = f'Error parsing reference: "{target}" is not a valid repository/tag'
        raise PlainError(f"{words}: {error}") from error
    if reference.digest:
        raise PlainError("refusing to create a tag with a digest reference")
    tag(Store(Database(places), places), source, target)
    return 0
