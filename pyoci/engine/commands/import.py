# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: N999 - named for its command
"""`import`: an image of one layer, from a tar file."""

import os

from pyoci.engine.errors import EngineError, PlainError
from pyoci.engine.reference import parse_asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags


FLAGS: "tuple[Flag, ...]" = (
    ("change", "c", "list", "Apply Dockerfile instruction to the created image"),
    ("message", "m", "string", "Set commit message for imported image"),
    ("platform", "", "string", "Set platform if it is not the host's"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Make the image and print its id."""
    from pyoci.engine.database import Database
    from pyoci.engine.images.making import import_image
    from pyoci.engine.images.manifests import parse_platform
    from pyoci.engine.images.store import Store
    from pyoci.engine.images.telling import tell

    source, name = arguments[0], arguments[1] if len(arguments) > 1 else ""
    if "://" in source:
        raise EngineError(f"{source}: fetch it yourself, and import the file or `-`")
    reference = parse_asked(name) if name else None
    platform = flags.text("platform")
    fd = 0 if source == "-" else open_file(source)
    store = Store(Database(places), places)
    identity = import_image(
        store,
        fd,
        names=[reference.name] if reference else [],
        changes=flags.every("change"),
        comment=flags.text("message") or "Imported from -",
        platform=parse_platform(platform) if platform else None,
    )
    if reference:
        tell(store, "tag", identity, reference.shown)
    tell(store, "import", identity)
    print(identity)
    return 0


def open_file(path: str) -> int:
    """Open a file. Raises PlainError in Docker's words."""
    if os.path.isdir(path):
        raise PlainError(f"read {path}: is a directory")
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PlainError(f"open {path}: {(error.strerror or '').lower()}") from error
