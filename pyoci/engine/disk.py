# SPDX-License-Identifier: Apache-2.0
"""What pypod has on the disk: images, containers, volumes and the build cache, and how much of each could go (`system df`)."""

from pyoci.engine.build import cache
from pyoci.engine.containers import description, state
from pyoci.engine.containers.record import Records
from pyoci.engine.images import records as images
from pyoci.engine.trees import measure
from pyoci.engine.volumes import Volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.state import Warn
    from pyoci.engine.places import Places


class Usage:
    """One kind of object: how many, how many of them in use, bytes in all, bytes that pruning would free."""

    __slots__ = ("active", "kind", "reclaimable", "size", "total")

    def __init__(self, kind: str, sizes: list[tuple[int, bool]]) -> None:
        """Count objects, each with its bytes and whether it is in use."""
        self.kind = kind
        self.total = len(sizes)
        self.active = sum(used for _, used in sizes)
        self.size = sum(size for size, _ in sizes)
        self.reclaimable = sum(size for size, used in sizes if not used)


def measured(places: "Places", warn: "Warn") -> list[Usage]:
    """Return what each kind takes; `warn` is told of containers whose status cannot be known."""
    records = Records(places)
    images.require(records.database)
    return [_images(records), _containers(records, warn), _volumes(records), _build_cache(records)]


def _images(records: Records) -> Usage:
    """Count images; a layer that several have counts once, and as used when one of them is."""
    database = records.database
    used = {identity for (identity,) in database.rows("SELECT DISTINCT image FROM snapshot")}
    rows = database.rows("SELECT id FROM image")
    found = Usage("Images", [(0, identity in used) for (identity,) in rows])
    layers: dict[object, tuple[int, bool]] = {}
    for image, diff_id, size in database.rows("SELECT image, diff_id, bytes FROM image_layer"):
        known = layers.get(diff_id, (0, False))[1]
        layers[diff_id] = int(str(size)), known or image in used
    found.size = sum(size for size, _ in layers.values())
    found.reclaimable = sum(size for size, is_used in layers.values() if not is_used)
    return found


def _containers(records: Records, warn: "Warn") -> Usage:
    return Usage(
        "Containers",
        [(description.writable_size(one), state.is_running(one, warn)) for one in records.all()],
    )


def _volumes(records: Records) -> Usage:
    volumes = Volumes(records.places, records.database)
    return Usage(
        "Local Volumes",
        [
            (
                measure(f"{records.places.root}/volumes/{one.name}/_data"),
                bool(volumes.users(one.name)),
            )
            for one in volumes.all()
        ],
    )


def _build_cache(records: Records) -> Usage:
    """Count the steps that the cache knows; what an image has, too, is not theirs."""
    rows = records.database.rows(
        "SELECT bytes, diff_id IN (SELECT diff_id FROM image_layer) FROM build_step"
    )
    directories = [(measure(path), False) for path in cache.directories(records.places)]
    sizes = [(0 if shared else int(str(size)), False) for size, shared in rows]
    return Usage("Build Cache", sizes + directories)
