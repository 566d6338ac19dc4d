# SPDX-License-Identifier: Apache-2.0
"""`system df`: what is on the disk, and what of it could go."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.disk import Usage
    from pyoci.engine.flags import Flag
    from pyoci.engine.places import Places
    from pyoci.flags import Flags

FLAGS: "tuple[Flag, ...]" = (
    ("format", "", "string", "Format output: 'table', 'table TEMPLATE', 'json' or a Go template"),
    ("verbose", "v", "", "Show detailed information on space usage"),
)
HEADERS = {
    "Type": "TYPE",
    "TotalCount": "TOTAL",
    "Active": "ACTIVE",
    "Size": "SIZE",
    "Reclaimable": "RECLAIMABLE",
}
DEFAULT = "\\t".join(f"{{{{.{name}}}}}" for name in HEADERS)
RAW = (
    "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n"
    "reclaimable: {{.Reclaimable}}\n"
)
KIND = "*formatter.diskUsageImagesContext"


def run(arguments: list[str], flags: "Flags", places: "Places") -> int:
    """Print a row for each kind of object, or with --verbose one for each object."""
    del arguments
    from pyoci.engine.commands.several import warn
    from pyoci.engine.disk import measured
    from pyoci.engine.tables import render

    if flags.is_on("verbose"):
        from pyoci.engine.disk_details import text

        print(text(places, flags.text("format"), warn), end="")
        return 0
    rows = [describe(usage) for usage in measured(places, warn)]
    form = flags.text("format")
    print(render(form, rows, HEADERS, DEFAULT, KIND, RAW), end="")
    return 0


def describe(usage: "Usage") -> dict[str, object]:
    """Return what a table or a template can show; a share of nothing is not told."""
    from pyoci.engine import sizes

    share = f" ({100 * usage.reclaimable // usage.size}%)" if usage.size else ""
    return {
        "Type": usage.kind,
        "TotalCount": str(usage.total),
        "Active": str(usage.active),
        "Size": sizes.tell(usage.size),
        "Reclaimable": sizes.tell(usage.reclaimable) + share,
    }
