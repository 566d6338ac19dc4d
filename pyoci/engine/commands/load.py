# SPDX-License-Identifier: Apache-2.0
"""`load`: images from an archive that `save` of any engine has written."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.images.archive import Loaded
    from pyoci.engine.places import Places
    from pyoci.flags import Flags


FLAGS: "tuple[Flag, ...]" = (
    ("input", "i", "string", "Read from tar archive file, instead of STDIN"),
    ("quiet", "q", "", "Suppress the load output"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Load all images and print their names, or the id of one that has none; on a terminal with a bar for each layer."""
    del arguments
    from pyoci.engine.commands.progress import reporter
    from pyoci.engine.database import Database
    from pyoci.engine.images.archive import load
    from pyoci.engine.images.store import Store
    from pyoci.engine.images.telling import tell

    fd = open_input(flags.text("input"))
    store = Store(Database(places), places)
    with reporter(quiet=flags.is_on("quiet") or not sys.stdout.isatty()) as progress:
        for loaded in load(store, fd, progress):
            tell(store, "load", loaded.id)
            print_loaded(loaded)
    return 0


def print_loaded(loaded: "Loaded") -> None:
    """Print what an image is called, and from which other one it took a name."""
    for name, owner in loaded.owners.items():
        words = f"renaming the old one with ID {owner} to empty string"
        print(f"The image {name} already exists, {words}")
    for name in loaded.names:
        print(f"Loaded image: {name}", flush=True)
    if not loaded.names:
        print(f"Loaded image ID: {loaded.id}", flush=True)


def open_input(path: str) -> int:
    """Return the descriptor of a file, or of standard input, which must not be a terminal. Raises PlainError."""
    from pyoci.engine.errors import PlainError

    if not path:
        if os.isatty(0):
            raise PlainError("requested load from stdin, but stdin is empty")
        return 0
    if os.path.isdir(path):
        raise PlainError(f"read {path}: is a directory")
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise PlainError(f"open {path}: {(error.strerror or '').lower()}") from error
