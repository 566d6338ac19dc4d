# SPDX-License-Identifier: Apache-2.0
"""`save`: images as an archive for any engine."""

import os
import sys

from pyoci.engine.errors import PlainError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("output", "o", "string", "Write to a file, instead of STDOUT"),
    ("platform", "", "string", "Save the images only if they are for this platform"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Write the images, each blob once."""
    from pyoci.engine.database import Database
    from pyoci.engine.images.archive import choose, save
    from pyoci.engine.images.store import Store
    from pyoci.engine.images.telling import tell

    store = Store(Database(places), places)
    if flags.text("platform"):
        from pyoci.engine.commands.push import check_platforms

        check_platforms(store, arguments, flags.text("platform"))
    write(save(store, arguments), flags.text("output"), "save image")
    for identity in choose(store, arguments):
        tell(store, "save", identity)
    return 0


def write(chunks: "Iterable[bytes]", path: str, what: str) -> None:
    """Write to standard output, which must not be a terminal, or to a file that appears only when it is whole.

    `what` is done, in the words of an error.
    """
    from pyoci.engine.images.store import write_all

    if not path:
        if sys.stdout.isatty():
            raise PlainError("cowardly refusing to save to a terminal. Use the -o flag or redirect")
        for chunk in chunks:
            write_all(1, chunk)
        return
    path = os.path.abspath(path)
    if not os.path.exists(os.path.dirname(path)):
        words = f"invalid output path: stat {os.path.dirname(path)}: no such file or directory"
        raise PlainError(f"failed to {what}: {words}")
    if os.path.isdir(path):
        raise PlainError(f"failed to {what}: cannot write to a directory")
    if os.path.exists(path) and not os.path.isfile(path):
        write_into(chunks, path)  # a pipe or a device
        return
    temporary = f"{os.path.dirname(path)}/.{os.path.basename(path)}.{os.urandom(4).hex()}"
    try:
        write_into(chunks, temporary)
        os.rename(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def write_into(chunks: "Iterable[bytes]", path: str) -> None:
    """Write a file that only its owner can read."""
    from pyoci.engine.images.store import write_all

    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for chunk in chunks:
            write_all(fd, chunk)
    finally:
        os.close(fd)
