# SPDX-License-Identifier: Apache-2.0
"""The root of a container: its image, and its writable layer on that. Images and snapshots do it; here they are asked."""

import posix

from pyoci.engine.images import records as images

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.images.records import Image
    from pyoci.engine.snapshots import Snapshot


def resolve(records: "Records", reference: str) -> "Image":
    """Return the image of a reference; raises NotFoundError in Docker's words."""
    return images.resolve(records.database, records.places, reference)


def snapshot(records: "Records", container: "Container") -> "Snapshot":
    """Return the writable layer of a container."""
    from pyoci.engine.snapshots import Snapshot

    return Snapshot(records.database, records.places, container.id)


def claim(records: "Records", container: "Container", image: "Image") -> None:
    """Note that a container needs its image, within the transaction that writes its row."""
    snapshot(records, container).record(image)


def make(records: "Records", container: "Container") -> None:
    """Make the directories of the writable layer, and the empty file by which programs know that they are in a container."""
    layer = snapshot(records, container)
    layer.create()
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_NOFOLLOW | posix.O_CLOEXEC
    posix.close(posix.open(f"{layer.upper}/.dockerenv", flags, 0o755))


def mount(records: "Records", container: "Container") -> str:
    """Mount the root and return where."""
    return snapshot(records, container).mount()


def unmount(records: "Records", container: "Container") -> bool:
    """Unmount the root; False when it was not mounted."""
    return snapshot(records, container).unmount()


def remove(records: "Records", container: "Container") -> None:
    """Remove the writable layer with all that is in it, without the image store's imports."""
    from pyoci.engine.trees import remove_tree

    layer = snapshot(records, container)
    layer.unmount()
    remove_tree(layer.directory)
    layer.forget()
