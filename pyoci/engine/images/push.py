# SPDX-License-Identifier: Apache-2.0
"""push: the layers that the registry has not, three at a time, then the configuration, and the manifest last."""

import os
from functools import partial

from pyoci.engine.errors import EngineError
from pyoci.engine.images import compression, manifests, records
from pyoci.engine.images.manifests import Manifest, compose, describe
from pyoci.engine.images.registry import Refused, connect, in_parallel
from pyoci.engine.images.telling import tell_moved
from pyoci.engine.reference import from_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.engine.images.manifests import Descriptor
    from pyoci.engine.images.registry import Registry
    from pyoci.engine.images.store import Session, Store
    from pyoci.engine.reference import Reference

    Progress = Callable[[str, str, int, int], None]

AT_ONCE = 3
PREPARING, PUSHING, PUSHED, EXISTS, MOUNTED = (
    "Preparing", "Pushing", "Pushed", "Layer already exists", "Mounted",
)  # fmt: skip


class Pushed:
    """What a push left in the registry: the digest of the manifest, and its size in bytes."""

    __slots__ = ("digest", "size")

    def __init__(self, digest: str, size: int) -> None:
        self.digest = digest
        self.size = size


def push(store: "Store", reference: "Reference", progress: "Progress" = lambda *_: None) -> Pushed:
    """Send the image of a name to the registry of that name. Raises EngineError in Docker's words."""
    row = store.database.row("SELECT image FROM image_name WHERE name = ?", reference.name)
    if row is None:
        raise EngineError(f"An image does not exist locally with the tag: {reference.familiar}")
    registry = connect(reference.domain)[-1]
    with store.session() as session:
        manifest = prepare(session, str(row[0]))
        try:
            _send(registry, session, reference, manifest, progress)
        except Refused as error:
            if error.http_status in (401, 403):
                words = f"denied: requested access to the resource is denied ({error})"
                raise EngineError(words) from error
            raise
        digest = session.add_bytes(manifest.content)
        _record(session, str(row[0]), manifest, digest, reference)
    tell_moved(store, "push", str(row[0]), reference)
    return Pushed(digest, len(manifest.content))


def prepare(session: "Session", identity: str) -> Manifest:
    """Hold what an image needs and return its manifest, in which plain layers are compressed."""
    store = session.store
    row = store.database.row("SELECT manifest, manifest_type FROM image WHERE id = ?", identity)
    assert row is not None
    manifest = Manifest(records.read_blob(store.places, str(row[0])), str(row[1]))
    session.hold([identity, *(layer.digest for layer in manifest.layers)])
    layers = [_compressed(session, layer) for layer in manifest.layers]
    if all(new is old for new, old in zip(layers, manifest.layers, strict=True)):
        return manifest
    config = describe(identity, manifest.config.size, manifests.OCI_CONFIG)
    return Manifest(compose(config, layers))


def _compressed(session: "Session", layer: "Descriptor") -> "Descriptor":
    if layer.media_type.endswith(("gzip", "zstd")):
        return layer
    fd = os.open(session.store.blob_path(layer.digest), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if compression.kind_of(os.pread(fd, compression.LONGEST_MAGIC, 0)):
            return layer
        digest, size = session.add_chunks(compression.gzipped(compression.read_chunks(fd)))
    finally:
        os.close(fd)
    return describe(digest, size, f"{manifests.OCI_LAYER}+gzip")


def _send(
    registry: "Registry",
    session: "Session",
    reference: "Reference",
    manifest: Manifest,
    progress: "Progress",
) -> None:
    sources = _sources(session, reference)
    blobs = {blob.digest: blob for blob in (*manifest.layers, manifest.config)}

    def send(blob: "Descriptor") -> None:
        told = progress if blob is not manifest.config else lambda *_: None  # of layers alone
        _send_blob(registry, session, reference.path, blob, sources, told)

    for layer in manifest.layers:
        progress(layer.digest, PREPARING, 0, layer.size)
    in_parallel(registry, [partial(send, blob) for blob in blobs.values()], AT_ONCE)
    tag = reference.digest or reference.tag
    registry.put_manifest(reference.path, tag, manifest.content, manifest.media_type)


def _send_blob(  # noqa: PLR0913, PLR0917 - one call, of a thread
    registry: "Registry",
    session: "Session",
    repository: str,
    blob: "Descriptor",
    sources: dict[str, str],
    progress: "Progress",
) -> None:
    """Send a blob, unless the registry has it, or can take it from another repository of its own."""
    if registry.has(repository, blob.digest):
        progress(blob.digest, EXISTS, blob.size, blob.size)
        return
    progress(blob.digest, PUSHING, 0, blob.size)
    source = sources.get(blob.digest, "")
    with open(session.store.blob_path(blob.digest), "rb") as file:
        sent = registry.upload(repository, blob.digest, file, blob.size, source)
    progress(blob.digest, PUSHED if sent else MOUNTED, blob.size, blob.size)


def _sources(session: "Session", reference: "Reference") -> dict[str, str]:
    """Return in which other repository of the same registry each blob may be."""
    rows = session.store.database.rows(
        "SELECT blob, name FROM image_layer JOIN image_name USING (image) WHERE name >= ? AND name < ?",
        f"{reference.domain}/",
        f"{reference.domain}0",  # the character after the slash
    )
    found = {}
    for blob, name in rows:
        path = from_name(str(name)).path
        if path != reference.path:
            found[str(blob)] = path
    return found


def _record(
    session: "Session", identity: str, manifest: Manifest, digest: str, reference: "Reference"
) -> None:
    """Keep what was pushed as the image's manifest, and the name by digest."""
    with session.store.database.writing() as database:
        database.change(
            "UPDATE image SET manifest = ?, manifest_type = ?, manifest_bytes = ? WHERE id = ?",
            digest,
            manifest.media_type,
            len(manifest.content),
            identity,
        )
        for position, layer in enumerate(manifest.layers):
            database.change(
                "UPDATE image_layer SET blob = ?, media_type = ?, blob_bytes = ? "
                "WHERE image = ? AND position = ?",
                layer.digest,
                layer.media_type,
                layer.size,
                identity,
                position,
            )
        if not reference.digest:
            records.set_name(database, f"{reference.repository}@{digest}", identity)
        session.store.write_index()
