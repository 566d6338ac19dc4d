# SPDX-License-Identifier: Apache-2.0
"""Everything that is wrong with a config.json at once, for people: schema, meaning, unknown names.

The loader stops at the first problem and says it in a line; only here is jsonschema imported.
"""

import os

from pyoci.errors import SpecError
from pyoci.spec import document, meaning
from pyoci.spec.reader import pointer, read_object
from pyoci.spec.tables import IGNORED, OBJECTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from jsonschema import ValidationError

    from pyoci.spec.types import Spec


# A document that has one of these and no `linux` is for another system: its form can be checked, not its meaning.
OTHER_PLATFORMS = ("freebsd", "solaris", "windows", "zos")


def explain(path: str) -> list[str]:
    """Return a line for every problem of a config.json; none means that it is valid."""
    return examine(path)[1]


def examine(path: str) -> "tuple[Spec | None, list[str]]":
    """Return the complete spec, None when it has none that Linux could run, and a line for each problem."""
    try:
        raw = document.read(path, regular=True)
    except SpecError as error:
        return None, [str(error)]
    places: dict[str, str] = {}
    for place, text in schema_problems(raw, "config"):
        places.setdefault(place, text)
    lines = [_line(place, text) for place, text in places.items()]
    if "linux" not in raw and any(name in raw for name in OTHER_PLATFORMS):
        return None, lines
    try:
        spec: Spec = document.complete("Spec", raw, "", _ignore)  # type: ignore[assignment]  # complete makes what the tables of types say
    except SpecError as error:
        return None, lines if error.place in places else [*lines, str(error)]
    lines += (
        str(problem)
        for problem in meaning.problems(spec, _ignore)
        if problem.place not in places and not _is_only_unset(spec, problem)
    )
    return spec, lines


def _is_only_unset(spec: "Spec", problem: Exception) -> bool:
    """Tell whether this is the lack of a process: valid, though nothing can be made of it (runtime.md#start)."""
    return isinstance(problem, SpecError) and problem.place == "/process" and not spec["process"]


def warnings(path: str) -> list[str]:
    """Return a line for everything in a valid config.json that will not be done."""
    raw = document.read(path, regular=True)
    notes = [_line(place, text) for place, text in strangers(raw)]
    spec: Spec = document.complete("Spec", raw, "", _ignore)  # type: ignore[assignment]  # complete makes what the tables of types say
    for problem in meaning.problems(spec, lambda place, text: notes.append(_line(place, text))):
        assert _is_only_unset(spec, problem), problem
        notes.append(
            _line("/process", "not set: valid, but neither create nor start can do with it")
        )
    return notes


def _ignore(place: str, text: str) -> None:
    """Pass over a warning: `warnings` collects them."""


def _line(place: str, text: str) -> str:
    return str(SpecError(place, text))


def has_jsonschema() -> bool:
    """Tell whether the JSON Schema can be used: the package is pyoci's one heavy dependency."""
    from importlib.util import find_spec

    return find_spec("jsonschema") is not None


def schema_problems(raw: dict[str, object], name: str) -> "Iterator[tuple[str, str]]":
    """Yield place and problem of all that our JSON Schema refuses; nothing without jsonschema."""
    if not has_jsonschema():
        return
    from jsonschema import Draft202012Validator

    errors = Draft202012Validator(schema(name)).iter_errors(without_nulls(raw))
    seen = set()
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        place = ""
        for part in error.absolute_path:
            place = pointer(place, str(part))
        found = [(place, _words(error))]
        if error.validator == "required" and isinstance(error.instance, dict):
            # One error for each missing key, and none of them says which but in prose.
            missing = (key for key in error.validator_value if key not in error.instance)
            found = [(pointer(place, key), "is required") for key in missing]
        yield from (problem for problem in found if problem not in seen)
        seen.update(found)


def schema(name: str) -> "dict[str, Any]":
    """Return our JSON Schema of config, state or features."""
    here = os.path.dirname(os.path.abspath(__file__))
    file = f"{name}-schema.json"
    installed, checkout = f"{here}/schemas/{file}", f"{here}/../../spec/{file}"
    return read_object(installed if os.path.exists(installed) else checkout, regular=True)


def without_nulls(value: object) -> object:
    """Return a copy in which what is null is absent, as the loader takes it."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def _words(error: "ValidationError") -> str:
    """Say in our words what a keyword of the schema refused."""
    value, limit = document.short(error.instance), error.validator_value
    words = {
        "type": f"must be of type {limit}, not {value}",
        "enum": f"must be one of {limit}, not {value}",
        "minimum": f"must be at least {limit}, not {value}",
        "maximum": f"must be at most {limit}, not {value}",
        "pattern": f"must match {limit}, not {value}",
        "minLength": "must not be empty",
        "minItems": "must not be empty",
        "maxItems": f"must not have more than {limit} items",
        "maxLength": f"must not be longer than {limit}",
    }
    return words[str(error.validator)] if error.validator in words else error.message[:200]


def strangers(raw: dict[str, object]) -> "Iterator[tuple[str, str]]":
    """Yield each property that the specification does not know, and the one it may have meant."""
    left: list[tuple[str, object, str]] = [("Spec", raw, "")]
    while left:
        kind, value, place = left.pop(0)
        if kind[0] == "[" and isinstance(value, list):
            left += [(kind[1:-1], item, f"{place}/{index}") for index, item in enumerate(value)]
        elif kind[0] == "{" and isinstance(value, dict):
            left += [(kind[1:-1], item, pointer(place, key)) for key, item in value.items()]
        elif kind in OBJECTS and isinstance(value, dict):
            table = OBJECTS[kind]
            known = [key for key in value if key in table]
            left += [(table[key][0], value[key], pointer(place, key)) for key in known]
            unknown = (key for key in value if key not in table and (kind, key) not in IGNORED)
            yield from (
                (pointer(place, key), f"unknown property, ignored{_meant(key, kind)}")
                for key in unknown
            )


def _meant(key: str, kind: str) -> str:
    """Guess which property of an object was meant."""
    from difflib import get_close_matches

    names = {name.lower(): name for name in OBJECTS[kind]}
    close = get_close_matches(key.lower(), names, 1)
    return f': did you mean "{names[close[0]]}"?' if close else ""
