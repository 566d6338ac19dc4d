# SPDX-License-Identifier: Apache-2.0
"""`images`: list images by name, the newest first."""

import time

from pyoci.engine import durations, sizes
from pyoci.engine.images.listing import NONE, parse_filters, rows, seconds_of
from pyoci.engine.tables import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.images.listing import Row
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "Digest": "DIGEST",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "VirtualSize": "SIZE",
    "Containers": "CONTAINERS",
}
RAW = (
    "repository: {{{{.Repository}}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\ncreated_at: {{{{.CreatedAt}}}}\n"
    "virtual_size: {{{{.Size}}}}\n"
)
FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Show all images"),
    ("digests", "", "", "Show digests"),
    ("filter", "f", "filter", "Filter output based on conditions provided"),
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("no-trunc", "", "", "Don't truncate output"),
    ("quiet", "q", "", "Only show image IDs"),
)


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the images, of one repository or all; those without a tag of another image only when they are asked for."""
    from pyoci.engine.database import Database
    from pyoci.engine.images.store import Store

    filters = parse_filters(flags.every("filter"))
    if arguments:
        filters.append(("reference", arguments[0]))
    found = rows(Store(Database(places), places), filters)
    full = flags.is_on("no-trunc")
    form = flags.text("format")
    if flags.is_on("quiet") and not form:
        print("".join(f"{shorten(row.id, full=full)}\n" for row in found), end="")
        return 0
    digest = "\\t{{.Digest}}" if flags.is_on("digests") else ""
    default = f"{{{{.Repository}}}}\\t{{{{.Tag}}}}{digest}\\t{{{{.ID}}}}\\t{{{{.CreatedSince}}}}\\t{{{{.Size}}}}"
    shown = [describe(row, full=full) for row in found]
    raw = RAW.format(digest="digest: {{.Digest}}\n" if digest else "")
    print(render(form, shown, HEADERS, default, "*formatter.imageContext", raw), end="")
    return 0


def describe(row: "Row", *, full: bool) -> dict[str, object]:
    """Return what a table or a template can show of an image."""
    created = seconds_of(row.created)
    return {
        "Repository": row.repository,
        "Tag": row.tag,
        "Digest": row.digest,
        "ID": shorten(row.id, full=full),
        "CreatedSince": f"{durations.tell(time.time() - created)} ago" if created else "N/A",
        "CreatedAt": time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC", time.gmtime(created)),
        "Size": sizes.tell_short(row.bytes),
        "SharedSize": "N/A",
        "UniqueSize": "N/A",
        "VirtualSize": sizes.tell(row.bytes),
        "Containers": "N/A",
    }


def shorten(identity: str, *, full: bool) -> str:
    """Return twelve digits of an id, or all of it with its algorithm."""
    return identity if full or identity in (NONE, "<missing>") else identity[7:19]
