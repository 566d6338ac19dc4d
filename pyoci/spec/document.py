# SPDX-License-Identifier: Apache-2.0
"""From a file to a complete spec: types checked, missing keys filled in, unknown ones dropped.

`update` completes only linux.resources: what the rest means is imported where it is asked.
"""

from pyoci.errors import SpecError, readable
from pyoci.spec.reader import parse_untrusted, pointer, read_config
from pyoci.spec.tables import (
    INTEGERS,
    NO_ENTRIES,
    NO_ITEMS,
    OBJECTS,
    REQUIRED,
    WHOLE,
    WORDS,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from pyoci.spec.types import Process, Resources, Spec

    Warn = Callable[[str], None]
    Note = Callable[[str, str], None]


def parse(config: bytes, warn: "Warn") -> "Spec":
    """Do the work of `pyoci.spec.parse`."""
    from pyoci.spec import meaning

    note = _notes("config.json", warn)
    spec: Spec = complete("Spec", parse_untrusted(config), "", note)  # type: ignore[assignment]  # complete makes what the tables of types say
    meaning.check(spec, note)
    return spec


def load_process(path: str, warn: "Warn") -> "Process":
    """Do the work of `pyoci.spec.load_process`."""
    try:
        document = read(path, regular=False)
        body: Process = complete("Process", document, "", _notes(path, warn))  # type: ignore[assignment]  # complete makes what the tables of types say
    except SpecError as error:
        raise SpecError(error.place, error.problem, path) from None
    check_process(body, path, warn)
    return body


def parse_resources(data: bytes, file: str, warn: "Warn") -> "Resources":
    """Do the work of `pyoci.spec.parse_resources`."""
    from pyoci.spec import resources

    try:
        body: Resources = complete("Resources", parse_untrusted(data), "", _notes(file, warn))  # type: ignore[assignment]  # complete makes what the tables of types say
        resources.check(body, "")
    except SpecError as error:
        raise SpecError(error.place, error.problem, file) from None
    return body


def check_process(body: "Process", file: str, warn: "Warn") -> None:
    """Check the meaning of a complete process that came from this file, not from config.json."""
    from pyoci.spec import process

    for problem in process.problems(body, "", _notes(file, warn)):
        raise SpecError(problem.place, problem.problem, file)


def _notes(file: str, warn: "Warn") -> "Note":
    return lambda place, text: warn(f"{file}: {readable(place)}: {text}")


def read(path: str, *, regular: bool) -> dict[str, object]:
    """Return the JSON object in a file; a file that cannot be read is a SpecError too."""
    return parse_untrusted(read_config(path, regular=regular))


def complete(name: str, value: object, place: str, note: "Note") -> "dict[str, Any]":
    """Return a new object of this name with all its keys; null is absence, an empty string too."""
    table = OBJECTS[name]
    if type(value) is not dict:
        raise _wrong(place, "an object", value)
    whole: dict[str, Any] = {}
    for key, (kind, default) in table.items():
        found = value.get(key)
        if found is None:
            whole[key] = _absent(kind, default, f"{place}/{key}", note)
        elif kind == "string":
            if type(found) is not str:
                raise _wrong(f"{place}/{key}", "a string", found)
            whole[key] = found or (default if default != REQUIRED else "")
        elif kind in ("[string]", "{string}"):
            _check_strings(kind, found, f"{place}/{key}")
            whole[key] = found
        else:
            whole[key] = _check(kind, found, f"{place}/{key}", note)
    if not value.keys() <= table.keys():
        _note_variants(value, table, place, note)
    return whole


def _absent(kind: str, default: object, place: str, note: "Note") -> object:
    if default == REQUIRED:
        raise SpecError(place, "is required")
    if default == NO_ITEMS:
        return []
    if default == NO_ENTRIES:
        return {}
    if default == WHOLE:
        return complete(kind, {}, place, note)
    return default


def _check(kind: str, value: object, place: str, note: "Note") -> object:
    """Return a value of this kind, its objects completed."""
    first = kind[0]
    if first == "[":
        return _check_array(kind[1:-1], value, place, note)
    if first == "{":
        if type(value) is not dict:
            raise _wrong(place, "an object", value)
        return {
            key: _check(kind[1:-1], item, pointer(place, key), note) for key, item in value.items()
        }
    if kind in OBJECTS:
        return complete(kind, value, place, note)
    if kind in INTEGERS:
        return _check_integer(kind, value, place)
    if kind in WORDS:
        return _check_word(kind, value, place)
    expected = bool if kind == "boolean" else str
    if type(value) is not expected:
        raise _wrong(place, f"a {kind}", value)
    return value


def _check_array(kind: str, value: object, place: str, note: "Note") -> list[object]:
    if type(value) is not list:
        raise _wrong(place, "an array", value)
    return [_check(kind, item, f"{place}/{index}", note) for index, item in enumerate(value)]


def _check_strings(kind: str, value: object, place: str) -> None:
    """Check the commonest kinds, an array or an object of strings, without a step for each."""
    items: Iterable[tuple[object, object]]
    if kind == "[string]":
        if type(value) is not list:
            raise _wrong(place, "an array of strings", value)
        items = enumerate(value)
    else:
        if type(value) is not dict:
            raise _wrong(place, "an object of strings", value)
        items = value.items()
    for key, item in items:
        if type(item) is not str:
            raise _wrong(pointer(place, str(key)), "a string", item)


def _check_integer(kind: str, value: object, place: str) -> int:
    low, high = INTEGERS[kind]
    if type(value) is not int:  # not isinstance: true is an int to Python
        raise _wrong(place, "an integer", value)
    if not low <= value <= high:
        raise SpecError(place, f"must be an integer from {low} to {high}, not {short(value)}")
    return value


def _check_word(kind: str, value: object, place: str) -> str:
    if type(value) is not str:
        raise _wrong(place, "a string", value)
    if value not in WORDS[kind]:
        raise SpecError(place, f'unknown {kind} "{value}"; known are {", ".join(WORDS[kind])}')
    return value


def _wrong(place: str, expected: str, value: object) -> SpecError:
    return SpecError(place, f"must be {expected}, not {short(value)}")


def short(value: object) -> str:
    """Show a value as JSON has it, and only so much of it as a line holds."""
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is dict:
        return "an object"
    if type(value) is list:
        return "an array"
    if type(value) is int and value.bit_length() > 256:
        return "a number of more than 77 digits"
    text = f'"{value}"' if type(value) is str else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _note_variants(
    value: dict[str, object],
    table: "dict[str, tuple[str, str | int | bool | None]]",
    place: str,
    note: "Note",
) -> None:
    """Warn of unknown keys that mean a known one: to ignore them in silence would fail open."""
    known = {key.lower(): key for key in table}
    for key in value:
        meant = known.get(key.lower())
        if meant is not None and meant != key:
            note(pointer(place, key), f'unknown property, ignored; the right key is "{meant}"')
