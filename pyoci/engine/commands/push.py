# SPDX-License-Identifier: Apache-2.0
"""`push`: send an image to the registry of its name."""

from pyoci.engine.errors import EngineError, PlainError
from pyoci.engine.reference import DEFAULT_TAG, Reference, from_name, parse_bare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.engine.flags import Flag
    from pyoci.engine.images.store import Store
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all-tags", "a", "", "Push all tags of an image to the repository"),
    ("disable-content-trust", "", "", "Ignored: there is no content trust"),
    ("platform", "", "string", "Push the image only if it is for this platform"),
    ("quiet", "q", "", "Suppress verbose output"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Push one tag, or all of a repository."""
    from pyoci.engine.database import Database
    from pyoci.engine.images.store import Store

    try:
        reference = parse_bare(arguments[0])
    except EngineError as error:
        raise PlainError(str(error)) from error
    quiet = flags.is_on("quiet")
    if reference.digest:
        raise PlainError("cannot push a digest reference")
    if flags.is_on("all-tags") and reference.tag:
        raise PlainError("tag can't be used with --all-tags/-a")
    if not flags.is_on("all-tags") and not reference.tag:
        reference.tag = DEFAULT_TAG
        if not quiet:
            print(f"Using default tag: {reference.tag}")
    if not quiet:
        print(f"The push refers to repository [{reference.repository}]", flush=True)
    store = Store(Database(places), places)
    found = tags_of(store, reference)
    if flags.text("platform"):
        check_platforms(store, [one.name for one in found], flags.text("platform"))
    for one in found:
        send(store, one, quiet=quiet)
    if quiet:
        print(f"{reference.repository}:{reference.tag}".rstrip(":"))
    return 0


def tags_of(store: "Store", reference: Reference) -> list[Reference]:
    """Return the tag that is named, or all of a repository. Raises PlainError in Docker's words where there is none."""
    rows = store.database.rows(
        "SELECT name FROM image_name WHERE name >= ? AND name < ? ORDER BY name",
        f"{reference.repository}:",
        f"{reference.repository};",  # the character after the colon
    )
    if not rows:
        raise PlainError(f"An image does not exist locally with the tag: {reference.familiar}")
    found = [from_name(str(name)) for (name,) in rows]
    if reference.tag and reference.name not in [one.name for one in found]:
        raise PlainError(f"tag does not exist: {reference.shown}")
    return [reference] if reference.tag else found


def check_platforms(store: "Store", names: "Sequence[str]", platform: str) -> None:
    """Refuse images that are for another platform."""
    from pyoci.engine.images import records
    from pyoci.engine.images.manifests import check_platform

    for name in names:
        check_platform(records.resolve(store.database, store.places, name).config, platform, name)


def send(store: "Store", reference: Reference, *, quiet: bool) -> None:
    """Push one tag and tell of it."""
    from pyoci.engine.commands.progress import reporter
    from pyoci.engine.images.push import push

    with reporter(quiet=quiet) as progress:
        pushed = push(store, reference, progress)
    if not quiet:
        what = reference.tag or reference.digest
        print(f"{what}: digest: {pushed.digest} size: {pushed.size}", flush=True)
