# SPDX-License-Identifier: Apache-2.0
"""The build cache: what each step made, by the digest of all that it was made from.

A key covers the layers below a step, what of the configuration the step can see, its words, and the digests of the files that it
reads: not the way by which these came about. So another LABEL before a RUN runs nothing again, and the same files from another
directory are no change. A row keeps the step's layer in the store until `builder prune`.
"""

import os
import time
from _blake2 import blake2b

from pyoci.engine import events
from pyoci.engine.build import known
from pyoci.engine.images.manifests import describe
from pyoci.engine.images.store import try_lock
from pyoci.engine.trees import measure, remove_tree
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.images.manifests import Descriptor
    from pyoci.engine.images.store import Session, Store
    from pyoci.engine.places import Places

VERSION = 2  # of what a key covers
_LATE = 60_000_000_000  # ns: so long a step that is used again and again is not written down anew
_KEY_BYTES = 32
LOCK = ".lock"  # behind the name of a directory of RUN --mount=type=cache


class Layer:
    """A layer of the store: its blob, and the digest of its plain content."""

    __slots__ = ("blob", "diff_id")

    def __init__(self, blob: "Descriptor", diff_id: str) -> None:
        self.blob = blob
        self.diff_id = diff_id


class Made:
    """What a step has made: when, and a layer unless it changed no file."""

    __slots__ = ("created", "layer")

    def __init__(self, created: str, layer: Layer | None) -> None:
        self.created = created
        self.layer = layer


class Cache:
    """The cache as one build uses it."""

    __slots__ = ("is_read", "made", "session", "store", "used")

    def __init__(self, session: "Session", *, is_read: bool) -> None:
        self.session = session
        self.store = session.store
        self.is_read = is_read
        self.used: list[str] = []  # what was last used long ago
        self.made: dict[str, tuple[Made, str]] = {}  # what this build has made

    def find(self, key: str) -> Made | None:
        """Return what a step made the last time; its layer is held, and there."""
        if key in self.made:
            return self.made[key][0]
        if not self.is_read:
            return None
        row = self.store.database.row(
            "SELECT created, used, diff_id, blob, media_type, blob_bytes FROM build_step WHERE key = ?",
            key,
        )
        if row is None:
            return None
        layer = None
        created, used, diff_id, blob, kind, size = row
        if diff_id:
            layer = Layer(describe(str(blob), int(str(size)), str(kind)), str(diff_id))
            if not self.session.hold_layer(layer.blob.digest, layer.diff_id):
                return None
        if time.time_ns() - int(str(used)) > _LATE:
            self.used.append(key)
        return Made(str(created), layer)

    def keep(self, key: str, made: Made, words: str) -> None:
        """Remember what a step has made, at the latest when the build ends; `words` are for people."""
        self.made[key] = made, words

    def write(self) -> None:
        """Write down what was made, once it is on the disk, and what was used, for `builder prune --filter until`.

        The last use is known to the minute; so a build that finds all of it writes nothing, and waits for no disk.
        """
        if not self.made and not self.used:
            return
        if any(made.layer is not None for made, _ in self.made.values()):
            self.session.sync()
        now = time.time_ns()
        with self.store.database.writing() as database:
            for key, (made, words) in self.made.items():
                database.change(
                    "REPLACE INTO build_step VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    key, made.created, now, words, *self._columns(made.layer),
                )  # fmt: skip
            for key in self.used:
                database.change("UPDATE build_step SET used = ? WHERE key = ?", now, key)

    def _columns(
        self, layer: Layer | None
    ) -> "tuple[int, str | None, str | None, str | None, int | None]":
        if layer is None:
            return 0, None, None, None, None
        blob = layer.blob
        size = self.session.layer_bytes.get(layer.diff_id, 0)
        return size, layer.diff_id, blob.digest, blob.media_type, blob.size


def key_of(*parts: object) -> str:
    """Return the key of what a step is made from."""
    return blake2b(dumps([VERSION, *parts]).encode(), digest_size=_KEY_BYTES).hexdigest()


def prune(store: "Store", before: int | None = None) -> tuple[list[str], int]:
    """Forget the steps that were not used since a moment (ns), all for None; return their keys and the bytes freed.

    The directories of `RUN --mount=type=cache` go with them, those that no build has locked.
    """
    limit = time.time_ns() + 1 if before is None else before
    with store.session() as session:
        with store.database.writing() as database:
            rows = database.rows("SELECT key FROM build_step WHERE used < ? ORDER BY used", limit)
            database.change("DELETE FROM build_step WHERE used < ?", limit)
        _, freed = store.collect(session)
    known.prune(store.places, limit)
    freed += _remove_directories(store, limit)
    events.of_prune(store.places, events.BUILDER, freed)
    return [str(key) for (key,) in rows], freed


def directories(places: "Places") -> list[str]:
    """Return the directories of RUN --mount=type=cache."""
    top = places.directory("build", "cache")
    return [f"{top}/{name}" for name in sorted(os.listdir(top)) if not name.endswith(LOCK)]


def _remove_directories(store: "Store", limit: int) -> int:
    top = store.places.directory("build", "cache")
    freed = 0
    for name in os.listdir(top):
        if not name.endswith(LOCK) or os.stat(f"{top}/{name}").st_mtime_ns >= limit:
            continue
        lock = try_lock(f"{top}/{name}")
        if lock is not None:
            path = f"{top}/{name.removesuffix(LOCK)}"
            freed += measure(path)
            remove_tree(path)
            os.unlink(f"{top}/{name}")
            os.close(lock)
    return freed
