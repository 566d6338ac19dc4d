# SPDX-License-Identifier: Apache-2.0
"""Environment variables: from flags, from files, from the image, and what of them the program gets."""

from pyoci.engine.errors import EngineError
from pyoci.linux.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SPACE = " \t"


def given(entries: "Iterable[str]", files: "Iterable[str]") -> list[str]:
    """Return what --env-file and --env ask for, files first; a bare name is copied from our own environment, where it is set."""
    found = []
    for path in files:
        found += [entry for line in read_lines(path) for entry in _copied(line)]
    for entry in entries:
        found += _copied(entry)
    return found


def read_lines(path: str) -> list[str]:
    """Return the entries of a file of variables or labels: no comments, no blanks before them; quotes are letters."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError as error:
        raise EngineError(f"open {path}: {(error.strerror or '').lower()}", 125) from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        number = data.count(b"\n", 0, error.start) + 1
        shown = " ".join(str(byte) for byte in data.split(b"\n")[number - 1])
        raise EngineError(
            f"invalid env file ({path}): invalid utf8 bytes at line {number}: [{shown}]", 125
        ) from None
    entries = []
    for raw in text.split("\n"):
        line = raw.rstrip("\r").lstrip(_SPACE)
        if not line or line.startswith("#"):
            continue
        name = line.partition("=")[0]
        if not name:
            raise EngineError(f"invalid env file ({path}): no variable name on line '{line}'", 125)
        if any(letter in name for letter in _SPACE):
            raise EngineError(
                f"invalid env file ({path}): variable '{name}' contains whitespaces", 125
            )
        entries.append(line)
    return entries


def _copied(entry: str) -> list[str]:
    if "=" in entry:
        return [entry]
    value = variable(entry)
    return [f"{entry}={value}"] if value else []


def merged(base: "Iterable[str]", changes: "Iterable[str]") -> list[str]:
    """Return base with changes: the same name in its old place, a new one at the end, a bare name removes."""
    entries = {entry.partition("=")[0]: entry for entry in base}
    for entry in changes:
        name, equals, _ = entry.partition("=")
        if equals:
            entries[name] = entry
        else:
            entries.pop(name, None)
    return [*entries.values()]


def over_image(own: "Iterable[str]", image: "Iterable[str]") -> list[str]:
    """Return a container's own variables, then those of its image that it does not set (moby: merge)."""
    mine = merged((), own)
    names = {entry.partition("=")[0] for entry in mine}
    return [*mine, *(entry for entry in image if entry.partition("=")[0] not in names)]


def labels(entries: "Iterable[str]", files: "Iterable[str]") -> dict[str, str]:
    """Return what --label-file and --label ask for; later ones win. A bare name in a file is nothing, as with Docker."""
    lines = [line for path in files for line in read_lines(path) if "=" in line]
    return pairs([*lines, *entries])


def pairs(entries: "Iterable[str]") -> dict[str, str]:
    """Split name=value; a bare name has an empty value."""
    return {name: value for name, _, value in (entry.partition("=") for entry in entries)}
