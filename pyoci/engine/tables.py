# SPDX-License-Identifier: Apache-2.0
"""Lists of objects as Docker prints them: a table, a table or lines by a Go template, one JSON object a line, names alone."""

import sys

from pyoci.engine.errors import PlainError
from pyoci.engine.templates import ExecutionError, SyntaxProblem, Template, expand_escapes
from pyoci.engine.templates.values import Context

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    Row = dict[str, Any]

CONTAINERS = "*formatter.ContainerContext"
_LEAST, _GAP = (
    10,
    3,
)  # width of a column, blanks between columns: what Docker's client gives tabwriter


def render(
    form: str,
    rows: "Sequence[Row]",
    headers: dict[str, str],
    default: str,
    kind: str,
    raw: str = "",
) -> str:
    """Return rows in a form, which is --format's word; `headers` has every field's heading, `default` the fields of the table.

    `raw` is what Docker's older form of this name is short for.
    """
    if form in ("", "table"):
        form = f"table {default}"
    elif form == "raw" and raw:
        form = raw
    rows = [Context({key: row[key] for key in sorted(row)}) for row in rows]
    if form == "json":
        from pyoci.engine.templates.values import plain
        from pyoci.jsontext import dumps

        return "".join(f"{dumps(plain(row))}\n" for row in rows)
    is_table = form.startswith("table")
    text = expand_escapes(form.removeprefix("table").strip() if is_table else form)
    try:
        template = Template(text, kind)
        heading = Template(text, kind, heading=True)
    except SyntaxProblem as error:
        raise PlainError(f"{_words('parse', kind)}: {error}") from None
    try:
        lines = [template.render(row) for row in rows]
        if is_table:
            return align([heading.render({**headers, "Label": _label_heading}), *lines])
    except ExecutionError as error:
        raise PlainError(f"{_words('execute', kind)}: {error}") from None
    return "".join(f"{line}\n" for line in lines)


def _words(what: str, kind: str) -> str:
    """Return what Docker's client says of a template, of which `ps` has its own words."""
    return f"failed to {what} template" if kind == CONTAINERS else "template parsing error"


def print_fields(document: "Row", form: str, kind: str, name: str = "") -> int:
    """Print a document as JSON or by a template; Docker ends a line even where the template asks for what is not there."""
    from pyoci.engine.templates.values import typed
    from pyoci.jsontext import dumps

    if form == "json":
        sys.stdout.write(f"{dumps(document)}\n")
        return 0
    template = Template(form, kind, name)
    try:
        text = template.render(typed(document))
    except ExecutionError:
        sys.stdout.write("\n")
        raise
    sys.stdout.write(f"{text}\n")
    return 0


def _label_heading(name: str) -> str:
    """Return the heading of a column of one label: the last part of its name."""
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def align(lines: "Sequence[str]", least: int = _LEAST) -> str:
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
