# SPDX-License-Identifier: Apache-2.0
"""`history`: the steps by which an image was made, the last first."""

import time

from pyoci.engine import durations, sizes
from pyoci.engine.commands.images import shorten
from pyoci.engine.images.listing import history, seconds_of
from pyoci.engine.tables import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.images.listing import Step
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
FLAGS: "tuple[Flag, ...]" = (
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("human", "H", "", "Print sizes and dates in human readable format (default true)"),
    ("no-trunc", "", "", "Don't truncate output"),
    ("platform", "", "string", "Show the history only if the image is for this platform"),
    ("quiet", "q", "", "Only show image IDs"),
)
_LONGEST = 45
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the steps."""
    from pyoci.engine.database import Database
    from pyoci.engine.images.store import Store

    store = Store(Database(places), places)
    if flags.text("platform"):
        from pyoci.engine.commands.push import check_platforms

        check_platforms(store, arguments, flags.text("platform"))
    steps = history(store, arguments[0])
    full = flags.is_on("no-trunc")
    human = flags.is_on("human") or not flags.is_given("human")
    form = flags.text("format")
    if flags.is_on("quiet") and not form:
        print("".join(f"{shorten(step.id, full=full)}\n" for step in steps), end="")
        return 0
    created = "CreatedSince" if human else "CreatedAt"
    default = (
        f"{{{{.ID}}}}\\t{{{{.{created}}}}}\\t{{{{.CreatedBy}}}}\\t{{{{.Size}}}}\\t{{{{.Comment}}}}"
    )
    shown = [describe(step, full=full, human=human) for step in steps]
    print(render(form, shown, HEADERS, default, "*image.historyContext"), end="")
    return 0


def describe(step: "Step", *, full: bool, human: bool) -> dict[str, object]:
    """Return what a table or a template can show of a step."""
    created = seconds_of(step.created)
    made_by = step.created_by.replace("\t", " ")
    if not full and len(made_by) > _LONGEST:
        made_by = made_by[: _LONGEST - 1] + _ELLIPSIS
    return {
        "ID": shorten(step.id, full=full),
        "CreatedSince": f"{durations.tell(time.time() - created)} ago" if created else "N/A",
        "CreatedAt": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(created)),
        "CreatedBy": made_by,
        "Size": sizes.tell_short(step.bytes) if human else str(step.bytes),
        "Comment": step.comment,
    }
