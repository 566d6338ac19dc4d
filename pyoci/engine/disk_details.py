# SPDX-License-Identifier: Apache-2.0
"""`system df --verbose`: every object with what it takes on the disk."""

import time

from pyoci.engine import durations, sizes
from pyoci.engine.build import cache
from pyoci.engine.commands import images as image_list
from pyoci.engine.containers import listing
from pyoci.engine.containers.record import Records
from pyoci.engine.images import listing as images
from pyoci.engine.images.store import Store
from pyoci.engine.tables import render
from pyoci.engine.trees import measure
from pyoci.engine.volumes import Volumes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.state import Warn
    from pyoci.engine.places import Places

    Rows = list[dict[str, Any]]

_IMAGES = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
_CONTAINERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "LocalVolumes": "LOCAL VOLUMES",
    "Size": "SIZE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Names": "NAMES",
}
_VOLUMES = {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}
_CACHE = {
    "ID": "CACHE ID",
    "CacheType": "CACHE TYPE",
    "Size": "SIZE",
    "CreatedSince": "CREATED",
    "LastUsedSince": "LAST USED",
    "UsageCount": "USAGE",
    "Shared": "SHARED",
}
_BILLION = 1_000_000_000
_SHORT = 12


def text(places: "Places", form: str, warn: "Warn") -> str:
    """Return the four tables, or what a template makes of them: .Images, .Containers, .Volumes, .BuildCache."""
    records = Records(places)
    store = Store(records.database, places)
    found = {
        "Images": _of_images(store),
        "Containers": _of_containers(records, warn),
        "Volumes": _of_volumes(records),
        "BuildCache": _of_cache(store),
    }
    if form:
        return render(form, [found], {}, "", "*formatter.diskUsageContext")
    used = sizes.tell(sum(row["bytes"] for row in found["BuildCache"]))
    return (
        f"Images space usage:\n\n{_table(found['Images'], _IMAGES)}\n"
        f"Containers space usage:\n\n{_table(found['Containers'], _CONTAINERS)}\n"
        f"Local Volumes space usage:\n\n{_table(found['Volumes'], _VOLUMES)}\n"
        f"Build cache usage: {used}\n\n{_table(found['BuildCache'], _CACHE)}"
    )


def _table(rows: "Rows", headers: dict[str, str]) -> str:
    default = "\\t".join(f"{{{{.{name}}}}}" for name in headers)
    return render("", rows, headers, default, "*formatter.diskUsageContext")


def _of_images(store: Store) -> "Rows":
    """Return the images; what a layer takes that other images have, too, is shared."""
    database = store.database
    users = {str(diff_id): int(str(count)) for diff_id, count in database.rows(
        "SELECT diff_id, count(DISTINCT image) FROM image_layer GROUP BY diff_id"
    )}  # fmt: skip
    found = []
    for row in images.rows(store):
        layers = database.rows("SELECT diff_id, bytes FROM image_layer WHERE image = ?", row.id)
        shared = sum(int(str(size)) for diff_id, size in layers if users[str(diff_id)] > 1)
        count = database.row("SELECT count(*) FROM snapshot WHERE image = ?", row.id)
        found.append(
            {
                **image_list.describe(row, full=False),
                "SharedSize": sizes.tell(shared),
                "UniqueSize": sizes.tell(row.bytes - shared),
                "Containers": str(count[0] if count else 0),
            }
        )
    return found


def _of_containers(records: Records, warn: "Warn") -> "Rows":
    rows = []
    for one in listing.find(records, [], warn, every=True, last=-1):
        row = listing.row(one, truncated=True, size=True)
        rows.append({**row, "Size": str(row["Size"]).partition(" (")[0]})
    return rows


def _of_volumes(records: Records) -> "Rows":
    volumes = Volumes(records.places, records.database)
    return [
        {
            "Name": volume.name,
            "Links": str(len(volumes.users(volume.name))),
            "Size": sizes.tell(measure(f"{records.places.root}/volumes/{volume.name}/_data")),
        }
        for volume in volumes.all()
    ]


def _of_cache(store: Store) -> "Rows":
    """Return the steps that the cache knows, and the directories of RUN --mount=type=cache."""
    rows: Rows = []
    for key, created, used, size, shared in store.database.rows(
        "SELECT key, created, used, bytes, diff_id IN (SELECT diff_id FROM image_layer)"
        " FROM build_step ORDER BY used"
    ):
        rows.append(_cached(str(key)[:_SHORT], "regular", int(str(size))))
        own = 0 if shared else int(str(size))
        rows[-1] |= {
            "CreatedSince": f"{durations.tell(time.time() - images.seconds_of(str(created)))} ago",
            "LastUsedSince": f"{durations.tell((time.time_ns() - int(str(used))) / _BILLION)} ago",
            "Shared": str(bool(shared)).lower(),
            "bytes": own,
        }
    rows += [
        _cached(path.rpartition("/")[2][:_SHORT], "exec.cachemount", measure(path))
        for path in cache.directories(store.places)
    ]
    return rows


def _cached(identity: str, kind: str, size: int) -> "dict[str, Any]":
    return {
        "ID": identity,
        "CacheType": kind,
        "Size": sizes.tell(size),
        "CreatedSince": "",
        "LastUsedSince": "",
        "UsageCount": "",
        "Shared": "false",
        "bytes": size,
    }
