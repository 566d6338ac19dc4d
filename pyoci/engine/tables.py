# SPDX-License-Identifier: Apache-2.0
"""Lists of objects as Docker prints them: a table, a table or lines by a Go template, one JSON object a line, names alone."""

from pyoci.engine.templates import Template, expand_escapes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Row = dict[str, Any]

_GAP = 3  # columns between columns


def render(
    form: str, rows: "Sequence[Row]", headers: dict[str, str], default: str, kind: str
) -> str:
    """Return rows in a form, which is --format's word; `headers` has every field's heading, `default` the fields of the table."""
    if form in ("", "table"):
        form = f"table {default}"
    if form == "json":
        from pyoci.jsontext import dumps

        return "".join(f"{dumps({key: row[key] for key in sorted(row)})}\n" for row in rows)
    is_table = form.startswith("table")
    text = expand_escapes(form.removeprefix("table").strip() if is_table else form)
    template = Template(text, kind)
    lines = [template.render(row) for row in rows]
    if not is_table:
        return "".join(f"{line}\n" for line in lines)
    return align([Template(text, kind).render(headers), *lines])


def align(lines: "Sequence[str]", least: int = 0) -> str:
    """Return lines with tabs as columns of some least width (Go's tabwriter)."""
    cells = [line.split("\t") for line in lines]
    width = max(map(len, cells), default=0)
    widths = [
        max(
            max((len(row[column]) for row in cells if column < len(row) - 1), default=0) + _GAP,
            least,
        )
        for column in range(width)
    ]
    text = ""
    for row in cells:
        *front, last = row
        text += (
            "".join(cell.ljust(widths[column]) for column, cell in enumerate(front)) + last + "\n"
        )
    return text
