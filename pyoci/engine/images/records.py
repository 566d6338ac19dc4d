# SPDX-License-Identifier: Apache-2.0
"""Images and their names in the database; `resolve`, by which run and create find one."""

import posix

from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images.config import parse_config
from pyoci.engine.reference import is_hex, parse

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.database import Database
    from pyoci.engine.images.config import ImageConfig
    from pyoci.engine.places import Places

PACKAGE = "images"
MIGRATIONS = (
    (
        # id: digest of the configuration; manifest: digest of the manifest that lies in blobs/
        "CREATE TABLE image (id TEXT PRIMARY KEY, manifest TEXT NOT NULL, manifest_type TEXT NOT NULL, "
        "manifest_bytes INTEGER NOT NULL, created TEXT NOT NULL, bytes INTEGER NOT NULL)",
        # position 0 is the lowest; blob: digest of what lies in blobs/, bytes: of the extracted files
        "CREATE TABLE image_layer (image TEXT NOT NULL REFERENCES image ON DELETE CASCADE, "
        "position INTEGER NOT NULL, diff_id TEXT NOT NULL, blob TEXT NOT NULL, media_type TEXT NOT NULL, "
        "blob_bytes INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (image, position))",
        # name: docker.io/library/busybox:latest, or with @sha256:...
        "CREATE TABLE image_name (name TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image)",
        "CREATE INDEX image_name_image ON image_name (image)",
        # whose writable layer lies on which image
        "CREATE TABLE snapshot (container TEXT PRIMARY KEY, image TEXT NOT NULL REFERENCES image)",
        "CREATE INDEX snapshot_image ON snapshot (image)",
        # what a running command needs, though no image refers to it yet
        "CREATE TABLE staging_hold (session TEXT NOT NULL, object TEXT NOT NULL, PRIMARY KEY (session, object))",
    ),
    (
        # what a step of a build made, by the digest of what it was made from; used: nanoseconds since 1970
        "CREATE TABLE build_step (key TEXT PRIMARY KEY, created TEXT NOT NULL, used INTEGER NOT NULL, "
        "words TEXT NOT NULL, bytes INTEGER NOT NULL, diff_id TEXT, blob TEXT, media_type TEXT, blob_bytes INTEGER)",
    ),
)
_SHA256 = "sha256:"


class Image:
    """An image as a container needs it: layers are diff ids, the lowest first."""

    __slots__ = ("config", "id", "layers")

    def __init__(self, identity: str, config: "ImageConfig", layers: tuple[str, ...]) -> None:
        self.id = identity
        self.config = config
        self.layers = layers


def resolve(database: "Database", places: "Places", text: str) -> Image:
    """Return the image of a reference, an id or the beginning of one. Raise NotFoundError in Docker's words."""
    return open_image(database, places, find(database, text))


def open_image(database: "Database", places: "Places", identity: str) -> Image:
    """Return an image whose id is known."""
    require(database)
    layers = database.rows(
        "SELECT diff_id FROM image_layer WHERE image = ? ORDER BY position", identity
    )
    config = parse_config(read_blob(places, identity))
    return Image(identity, config, tuple(str(diff_id) for (diff_id,) in layers))


def find(database: "Database", text: str) -> str:
    """Return the id of the image that a user means by a name, an id or the beginning of one."""
    require(database)
    digits = text.removeprefix(_SHA256)
    if text != digits or is_hex(text, 64):
        found = _by_id(database, digits)
        if found is None:
            raise NotFoundError(f"No such image: {text}")
        return found
    reference = parse(text)
    row = database.row("SELECT image FROM image_name WHERE name = ?", reference.name)
    found = str(row[0]) if row else _by_id(database, digits)
    if found is None:
        raise NotFoundError(f"No such image: {reference.shown}")
    return found


def _by_id(database: "Database", digits: str) -> str | None:
    """Return the one image whose id begins so; None for none and for several."""
    if not is_hex(digits):
        return None
    begin = _SHA256 + digits
    rows = database.rows("SELECT id FROM image WHERE id >= ? AND id < ?", begin, begin + "g")
    return str(rows[0][0]) if len(rows) == 1 else None


def names_of(database: "Database", identity: str) -> list[str]:
    """Return the names of an image, in order."""
    rows = database.rows("SELECT name FROM image_name WHERE image = ? ORDER BY name", identity)
    return [str(name) for (name,) in rows]


def in_use_by(database: "Database", identity: str) -> list[str]:
    """Return the ids of the containers whose writable layer lies on this image."""
    require(database)
    rows = database.rows(
        "SELECT container FROM snapshot WHERE image = ? ORDER BY container", identity
    )
    return [str(container) for (container,) in rows]


def set_name(database: "Database", name: str, identity: str) -> None:
    """Let a name mean this image from now on; inside the caller's transaction."""
    database.change("REPLACE INTO image_name VALUES (?, ?)", name, identity)


def require(database: "Database") -> None:
    """Make sure of the tables."""
    database.require(PACKAGE, MIGRATIONS)


def blob_path(places: "Places", digest: str) -> str:
    """Return where a blob lies."""
    algorithm, _, digits = digest.partition(":")
    return f"{places.root}/images/blobs/{algorithm}/{digits}"


def layer_path(places: "Places", diff_id: str) -> str:
    """Return where a layer lies, extracted."""
    return f"{places.root}/layers/{diff_id.partition(':')[2]}"


def read_blob(places: "Places", digest: str) -> bytes:
    """Return a blob that is small: a configuration or a manifest."""
    try:
        fd = posix.open(blob_path(places, digest), posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        raise EngineError(f"{digest} is missing in {places.root}/images: pull again") from None
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)
