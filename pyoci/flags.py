# SPDX-License-Identifier: Apache-2.0
"""The command line, read as runc's library (urfave/cli) reads it, from tables: a row a flag.

A row is (name, short form, kind, help). Kind "" is a switch, "N" a number, any other word what the
value is called in the help; "..." behind it: may be repeated. A value is never split on commas.
One dash is as good as two: -flag is --flag.
"""

from pyoci.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Flag = tuple[str, str, str, str]

HELP: "Flag" = ("help", "h", "", "show help")
# strconv.ParseBool
BOOLEANS = dict.fromkeys(("1", "t", "T", "TRUE", "true", "True"), True) | dict.fromkeys(
    ("0", "f", "F", "FALSE", "false", "False"), False
)


class Flags:
    """The values that were given; what was not given is "", False, 0 or []."""

    __slots__ = ("values",)

    def __init__(self, values: dict[str, list[str]]) -> None:
        self.values = values

    def is_given(self, name: str) -> bool:
        """Tell whether the flag stands on the command line, be it with an empty value."""
        return name in self.values

    def text(self, name: str, default: str = "") -> str:
        """Return a value; of several the last counts."""
        return self.values[name][-1] if name in self.values else default

    def every(self, name: str) -> list[str]:
        """Return all values of a flag that may be repeated, in order."""
        return self.values.get(name, [])

    def is_on(self, name: str) -> bool:
        """Tell whether a switch is on."""
        return name in self.values and BOOLEANS[self.values[name][-1]]

    def number(self, name: str) -> int:
        """Return the value of a number flag."""
        return int(self.values[name][-1]) if name in self.values else 0


def parse(
    words: "Sequence[str]", table: "Sequence[Flag]", *, ordered: bool
) -> tuple[Flags, list[str]]:
    """Split words into flags and arguments; raises UsageError with runc's words.

    `ordered` ends the flags at the first argument: the words behind it are another program's.
    """
    known = {name: row for row in (*table, HELP) for name in (row[0], row[1]) if name}
    values: dict[str, list[str]] = {}
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            arguments.extend(rest)
        elif not word.startswith("-") or word == "-":
            arguments.append(word)
            if ordered:
                arguments.extend(rest)
        else:
            name, value = _split(word)
            row = _find(known, name)
            if value is None:
                value = "true" if row[2] == "" else next(rest, None)
            if value is None:
                raise UsageError(f"flag needs an argument: {word}")
            _check(row, name, value)
            values.setdefault(row[0], []).append(value)
    return Flags(values), arguments


def _split(word: str) -> tuple[str, str | None]:
    """Split --name=value, -name=value, --name, -name."""
    body = word[2:] if word.startswith("--") else word[1:]
    name, equals, value = body.partition("=")
    if not name or name.startswith("-"):
        raise UsageError(f"bad flag syntax: {word}")
    return name, value if equals else None


def _find(known: "dict[str, Flag]", name: str) -> "Flag":
    if name not in known:
        raise UsageError(f"flag provided but not defined: -{name}")
    return known[name]


def _check(row: "Flag", name: str, value: str) -> None:
    """Refuse what a switch or a number can't be."""
    if row[2] == "" and value not in BOOLEANS:
        raise UsageError(f'invalid boolean value "{value}" for -{name}: parse error')
    if row[2] == "N" and not is_number(value):
        raise UsageError(f'invalid value "{value}" for flag -{name}: parse error')


def is_number(text: str) -> bool:
    """Tell whether text is a decimal number of 31 bits: no sign, no space, no underscore."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 31


def describe(table: "Sequence[Flag]") -> str:
    """Return the lines of a help text, the descriptions in one column."""
    rows = [(_spell(row), row[3]) for row in (*table, HELP)]
    width = max(len(spelt) for spelt, _ in rows)
    return "".join(f"   {spelt.ljust(width)}  {text}\n" for spelt, text in rows)


def _spell(row: "Flag") -> str:
    name, short, kind, _ = row
    value = f" {kind}" if kind else ""
    return f"--{name}{value}" + (f", -{short}{value}" if short else "")
