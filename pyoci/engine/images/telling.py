# SPDX-License-Identifier: Apache-2.0
"""Tell of images (events.py): each with the labels that it has."""

from pyoci.engine import events
from pyoci.engine.images import records

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.images.store import Store
    from pyoci.engine.reference import Reference


def labels_of(store: "Store", identity: str) -> dict[str, str]:
    """Return the labels of an image."""
    config = records.open_image(store.database, store.places, identity).config["config"]
    return config["Labels"] or {}


def tell(store: "Store", action: str, identity: str, name: str = "") -> None:
    """Tell of an image that is there, by a name; without one by its id."""
    events.of_image(store.places, action, identity, name or identity, labels_of(store, identity))


def tell_moved(store: "Store", action: str, identity: str, reference: "Reference") -> None:
    """Tell that an image was pulled or pushed: Docker names the reference where others have the id."""
    labels = labels_of(store, identity)
    events.of_image(store.places, action, reference.shown, reference.familiar, labels)
