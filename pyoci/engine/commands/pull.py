# SPDX-License-Identifier: Apache-2.0
"""`pull`: bring an image from a registry."""

import sys

from pyoci.engine.errors import EngineError, PlainError
from pyoci.engine.reference import parse, parse_bare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from pyoci.engine.flags import Flag
    from pyoci.engine.images.manifests import Platform
    from pyoci.engine.images.store import Store
    from pyoci.engine.places import Places
    from pyoci.engine.reference import Reference
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all-tags", "a", "", "Download all tagged images in the repository"),
    ("disable-content-trust", "", "", "Ignored: there is no content trust"),
    ("platform", "", "string", "Set platform if the registry has several"),
    ("quiet", "q", "", "Suppress verbose output"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Pull one image, or all of a repository, and print its whole name."""
    from pyoci.engine.database import Database
    from pyoci.engine.images.manifests import parse_platform
    from pyoci.engine.images.pull import tags
    from pyoci.engine.images.store import Store

    try:
        reference = parse_bare(arguments[0])
    except EngineError as error:
        raise PlainError(str(error)) from error
    quiet = flags.is_on("quiet")
    text = flags.text("platform")
    platform = parse_platform(text) if text else None
    store = Store(Database(places), places)
    if flags.is_on("all-tags"):
        if reference.tag or reference.digest:
            raise PlainError("tag can't be used with --all-tags/-a")
        for found in tags(reference):
            fetch(store, found, platform, quiet=quiet)
        print(reference.repository)
        return 0
    if not reference.tag and not reference.digest:
        reference = parse(arguments[0])
        if not quiet:
            print(f"Using default tag: {reference.tag}")
    fetch(store, reference, platform, quiet=quiet)
    print(reference.name)
    return 0


def fetch(
    store: "Store",
    reference: "Reference",
    platform: "Platform | None",
    *,
    quiet: bool,
    stream: "TextIO | None" = None,
) -> None:
    """Pull one image and tell of it on a stream, the standard output for none."""
    from pyoci.engine.commands.progress import reporter
    from pyoci.engine.images.pull import pull

    stream = stream or sys.stdout

    def tell() -> None:
        if not quiet:
            words = f"{reference.tag or reference.digest}: Pulling from {reference.path}"
            print(words, file=stream, flush=True)

    with reporter(quiet=quiet, stream=stream) as progress:
        pulled = pull(store, reference, platform, progress, tell)
    if not quiet:
        status = "Downloaded newer image" if pulled.is_new else "Image is up to date"
        words = f"Digest: {pulled.digest}\nStatus: {status} for {reference.shown}"
        print(words, file=stream, flush=True)
