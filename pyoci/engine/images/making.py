# SPDX-License-Identifier: Apache-2.0
"""Make an image here: of a container's changes (`commit`), or of a tar file (`import`)."""

import os
from hashlib import sha256

from pyoci.engine.errors import EngineError
from pyoci.engine.images import compression, layers, manifests, records
from pyoci.engine.images.changes import MOUNT_POINTS
from pyoci.engine.images.instructions import apply
from pyoci.engine.images.listing import now
from pyoci.engine.images.manifests import describe, host_platform
from pyoci.engine.images.register import add_document
from pyoci.engine.images.tarwrite import tree
from pyoci.engine.trees import measure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from hashlib import _Hash as HASH
    from typing import Any

    from pyoci.engine.images.config import Process
    from pyoci.engine.images.manifests import Descriptor, Platform
    from pyoci.engine.images.store import Session, Store
    from pyoci.engine.snapshots import Snapshot


class Story:
    """What the history and the configuration tell of who made an image, how and why."""

    __slots__ = ("author", "comment", "created_by")

    def __init__(self, created_by: str = "", author: str = "", comment: str = "") -> None:
        self.created_by = created_by
        self.author = author
        self.comment = comment


def commit(
    store: "Store",
    snapshot: "Snapshot",
    process: "Process",
    story: Story,
    names: "Sequence[str]" = (),
) -> str:
    """Make an image of a container's image and its changes; return its id. The caller has paused the container."""
    parent = records.open_image(store.database, store.places, snapshot.image())
    with store.session() as session:
        below = _hold_parent(session, parent.id)
        layer, diff_id = add_changes(session, snapshot.upper)
        platform = manifests.Platform(
            parent.config["os"], parent.config["architecture"], parent.config["variant"]
        )
        document = _document(process, story, platform, [*parent.layers, diff_id])
        document["history"] = [*parent.config["history"], _step(story)]
        return add_document(session, document, [*below, layer], names)


def add_changes(session: "Session", upper: str) -> "tuple[Descriptor, str]":
    """Make a layer of what overlayfs has collected in a directory; return its descriptor and diff id."""
    fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        digest, size = session.add_chunks(
            compression.gzipped(tree(fd, whiteouts=True, without=MOUNT_POINTS))
        )
    finally:
        os.close(fd)
    return describe(digest, size, f"{manifests.OCI_LAYER}+gzip"), layers.extract(session, digest)


def adopt_changes(session: "Session", upper: str) -> "tuple[Descriptor, str] | None":
    """Make a directory that overlayfs has filled, and that nobody uses any more, a layer; None where it is empty.

    The directory itself becomes the extracted layer: nothing is unpacked again.
    """
    if not os.listdir(upper):
        return None
    plain = sha256()
    fd = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        chunks = _digested(tree(fd, whiteouts=True), plain)
        digest, size = session.add_chunks(compression.gzipped(chunks))
    finally:
        os.close(fd)
    diff_id = f"sha256:{plain.hexdigest()}"
    session.hold([diff_id])
    session.layer_bytes[diff_id] = measure(upper)
    session.add_layer(upper, diff_id)
    return describe(digest, size, f"{manifests.OCI_LAYER}+gzip"), diff_id


def _digested(chunks: "Iterator[bytes]", digest: "HASH") -> "Iterator[bytes]":
    """Pass a stream on, and its digest."""
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


def export(merged: str) -> "Iterator[bytes]":
    """Yield an archive of all that a container sees of its own file system; it is mounted at this path."""
    fd = os.open(merged, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from tree(fd, whiteouts=False)
    finally:
        os.close(fd)


def import_image(  # noqa: PLR0913 - the flags of the command
    store: "Store",
    fd: int,
    *,
    names: "Sequence[str]" = (),
    changes: "Sequence[str]" = (),
    comment: str = "",
    platform: "Platform | None" = None,
) -> str:
    """Make an image of one layer of a tar file, compressed or not; return its id."""
    with store.session() as session:
        digest, size = session.add_chunks(compression.read_chunks(fd))
        blob = os.open(store.blob_path(digest), os.O_RDONLY | os.O_CLOEXEC)
        try:
            kind = compression.kind_of(os.pread(blob, compression.LONGEST_MAGIC, 0))
        finally:
            os.close(blob)
        diff_id = layers.extract(session, digest)
        story = Story(comment=comment)
        document = _document(apply({}, changes), story, platform or host_platform(), [diff_id])
        document["history"] = [_step(story)]
        layer = describe(digest, size, manifests.OCI_LAYER + (f"+{kind}" if kind else ""))
        return add_document(session, document, [layer], names)


def _hold_parent(session: "Session", identity: str) -> "list[Descriptor]":
    """Keep the layers of the image below, and return their descriptors."""
    rows = session.store.database.rows(
        "SELECT blob, blob_bytes, media_type, diff_id FROM image_layer WHERE image = ? ORDER BY position",
        identity,
    )
    found = [describe(str(blob), int(str(size)), str(kind)) for blob, size, kind, _ in rows]
    session.hold([*(layer.digest for layer in found), *(str(diff_id) for *_, diff_id in rows)])
    for layer in found:
        if not session.store.has_blob(layer.digest):
            raise EngineError(f"layer {layer.digest} is missing in the store: pull again")
    return found


def _document(
    process: "Process | dict[str, Any]", story: Story, platform: "Platform", diff_ids: list[str]
) -> "dict[str, Any]":
    """Return a configuration as it is written: without what is empty."""
    document: dict[str, Any] = {
        "created": now(),
        "author": story.author,
        "architecture": platform.architecture,
        "variant": platform.variant,
        "os": platform.os,
        "config": {key: value for key, value in process.items() if value},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    return {key: value for key, value in document.items() if value or key == "config"}


def _step(story: Story) -> dict[str, str]:
    step = {
        "created": now(),
        "created_by": story.created_by,
        "author": story.author,
        "comment": story.comment,
    }
    return {key: value for key, value in step.items() if value}
