# SPDX-License-Identifier: Apache-2.0
"""`ps`: list containers."""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("all", "a", "", "Show all containers (default shows just running)"),
    ("filter", "f", "filter", "Filter output based on conditions provided"),
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("last", "n", "int", "Show n last created containers (includes all states) (default -1)"),
    ("latest", "l", "", "Show the latest created container (includes all states)"),
    ("no-trunc", "", "", "Don't truncate output"),
    ("quiet", "q", "", "Only display container IDs"),
    ("size", "s", "", "Display total file sizes"),
)

_IGNORED = "WARNING: Ignoring custom format, because both --format and --quiet are set."


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print the containers that are asked for."""
    del arguments
    from pyoci.engine.commands.several import warn
    from pyoci.engine.containers import listing
    from pyoci.engine.containers.record import Records

    last = flags.number("last") if flags.is_given("last") else -1
    if flags.is_on("latest") and last < 0:
        last = 1
    found = listing.find(
        Records(places), flags.every("filter"), warn, every=flags.is_on("all"), last=last or -1
    )
    truncated = not flags.is_on("no-trunc")
    form, size = flags.text("format"), flags.is_on("size")
    if flags.is_on("quiet"):
        if form:
            print(_IGNORED, file=sys.stderr)
        ids = [each.container.short_id if truncated else each.container.id for each in found]
        print("".join(f"{identity}\n" for identity in ids), end="")
        return 0
    from pyoci.engine.tables import CONTAINERS, render

    rows = [listing.row(each, truncated=truncated, size=size or ".Size" in form) for each in found]
    default = listing.DEFAULT + ("\\t{{.Size}}" if size else "")
    raw = listing.RAW + ("size: {{.Size}}\n" if size else "")
    print(render(form, rows, listing.HEADERS, default, CONTAINERS, raw), end="")
    return 0
