# SPDX-License-Identifier: Apache-2.0
"""`list`: all containers below the root."""

import posix

from pyoci.commands import output
from pyoci.errors import StateError, UsageError
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyoci.commands.settings import Settings
    from pyoci.flags import Flag, Flags

FLAGS: "tuple[Flag, ...]" = (
    ("format", "f", "FORMAT", "table or json (default: table)"),
    ("quiet", "q", "", "print ids only"),
)
_COLUMNS = ("id", "pid", "status", "bundle", "created", "owner")
# Go's tabwriter, as runc sets it
_NARROWEST, _PADDING = 12, 3


def run(arguments: list[str], flags: "Flags", settings: "Settings") -> int:  # noqa: ARG001 - what every command gets
    """Print a table, ids or JSON; no container is an empty table, or null."""
    form = flags.text("format", "table")
    if form not in ("table", "json"):
        raise UsageError("invalid format option")
    found = containers(settings)
    if flags.is_on("quiet"):
        output.write("".join(f"{state['id']}\n" for state in found))
    elif form == "json":
        output.write(dumps(found or None) + "\n")
    else:
        rows = [[str(state[column]) for column in _COLUMNS] for state in found]
        output.write(table([[column.upper() for column in _COLUMNS], *rows]))
    return 0


def containers(settings: "Settings") -> list[dict[str, object]]:
    """Return all states; a root that was named must exist, the default one may be yet to come."""
    from pyoci import container

    root = settings.root()
    try:
        posix.stat(root)
    except FileNotFoundError:
        if settings.is_given("root"):
            raise StateError(f"open {root}: no such file or directory") from None
        return []
    return container.containers(root)


def table(rows: "Sequence[Sequence[str]]") -> str:
    """Align columns as Go's text/tabwriter: as wide as the widest cell, the last as it is."""
    shown = [[_on_one_line(cell) for cell in row] for row in rows]
    widths = [
        max(_NARROWEST, *(len(cell) + _PADDING for cell in column))
        for column in list(zip(*shown, strict=True))[:-1]
    ]
    return "".join(
        "".join(cell.ljust(width) for cell, width in zip(row[:-1], widths, strict=True))
        + f"{row[-1]}\n"
        for row in shown
    )


def _on_one_line(cell: str) -> str:
    """Show a control character as "?": it would break the table, or the terminal."""
    return cell if cell.isprintable() else "".join(c if c.isprintable() else "?" for c in cell)
