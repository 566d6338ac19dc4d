# SPDX-License-Identifier: Apache-2.0
"""The root of a container: its image, and its writable layer on that. Images and snapshots do it; here they are asked."""

import posix

from pyoci.engine.containers import status
from pyoci.engine.errors import EngineError, NotFoundError
from pyoci.engine.images import records as images
from pyoci.identity import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.images.records import Image
    from pyoci.engine.snapshots import Snapshot

INCOMPATIBLE = (
    "work/work/incompat"  # where overlayfs notes what keeps a layer from being mounted again
)


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


def place(container: "Container") -> str:
    """Return where the root is mounted."""
    return f"{_directory(container)}/merged"


def _directory(container: "Container") -> str:
    return f"{container.places.root}/snapshots/{container.id}"


def layers(records: "Records", container: "Container") -> list[str]:
    """Return what lies below the writable layer, the uppermost first."""
    return snapshot(records, container).below()


def mount_layers(container: "Container", below: "Sequence[str]") -> None:
    """Mount the root on these layers, unless it is: without the database, which the process that makes a container has not.

    What --rm removes at its end is not written to the disk before that.
    """
    from pyoci.engine.overlay import mount_layer

    mount_layer(_directory(container), below, volatile=container.host_config["AutoRemove"])


def trust(container: "Container") -> None:
    """Have a layer that was mounted volatile be mounted again; raises EngineError where the host has been down meanwhile."""
    mark = f"{_directory(container)}/{INCOMPATIBLE}"
    if not posix.access(mark, posix.F_OK):
        return
    if status.read(container.directory)["Boot"] != boot_id():
        raise EngineError(
            f"container {container.id}: the host went down while it ran, and with --rm its files are not kept safe from that: "
            "remove it"
        )
    from pyoci.engine.trees import remove_tree

    remove_tree(mark)


def mount(records: "Records", container: "Container") -> str:
    """Mount the root and return where."""
    trust(container)
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
