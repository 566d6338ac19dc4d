# SPDX-License-Identifier: Apache-2.0
"""The root of a container: its image, and its writable layer on that. Images and snapshots do it; here they are asked."""

from pyoci.engine.errors import NotFoundError
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
    """Note that a container needs its image, within the transaction that writes its row; NotFoundError when it has just gone."""
    if not records.database.row("SELECT 1 FROM image WHERE id = ?", image.id):
        resolve(records, container.config["Image"])  # says so, in Docker's words
        raise NotFoundError(f"No such image: {image.id}")  # another one has the name by now
    snapshot(records, container).record(image)


def make(records: "Records", container: "Container") -> None:
    """Make the directories of the writable layer."""
    snapshot(records, container).create()


def mount(records: "Records", container: "Container") -> str:
    """Mount the root and return where."""
    return snapshot(records, container).mount()


def unmount(records: "Records", container: "Container") -> None:
    """Unmount the root, where it is mounted."""
    snapshot(records, container).unmount()


def remove(records: "Records", container: "Container") -> None:
    """Remove the writable layer with all that is in it, without the image store's imports."""
    from pyoci.engine.trees import remove_tree

    layer = snapshot(records, container)
    layer.unmount()
    remove_tree(layer.directory)
    layer.forget()
