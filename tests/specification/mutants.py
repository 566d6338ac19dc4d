# SPDX-License-Identifier: Apache-2.0
"""Documents that differ from good ones in one place, made systematically: what two validators are compared by."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import official

Path = tuple[str | int, ...]

# Each takes the place of every value: other types, empty ones, and the edges of every kind of number.
VALUES: tuple[Any, ...] = (
    None, True, -(2**63) - 1, -1, 0, 1, 101, 2**31, 2**32, 2**63, 2**64, 1.5, "", "x", "/x", "1.0.0",
    [], ["x"], [1], [{}], {}, {"a": 1}, {"a": "x"},
)  # fmt: skip
# Where a sample must mean something to a schema that knows more than types.
NAMED: dict[str, Any] = {
    "ociVersion": "1.3.0", "ociVersionMin": "1.0.0", "ociVersionMax": "1.3.0", "env": ["A=b"], "name": "x",
    "devices": [{
        "path": "/x", "type": "c", "major": 1, "minor": 1, "fileMode": 1, "uid": 1, "gid": 1, "mode": 1,
        "allow": True, "access": "rwm", "id": "x", "idType": "class",
    }],
    "memBwSchema": "MB:0=100",
}  # fmt: skip
SAMPLES = {
    r"^CAP_[A-Z_]+$": "CAP_KILL",
    r"^RLIMIT_[A-Z]+$": "RLIMIT_CPU",
    r"^[0-9, -]*$": "0-3",
    r"^[1-9][0-9]*[KMG]B$": "2MB",
}


def slices(name: str) -> Iterator[dict[str, Any]]:
    """Yield documents that between them have every property of the official schema, and what its good examples have.

    Each has few of them: a second validation of all the rest would take most of the time.
    """
    schema = official.schema(official.SCHEMAS[name])
    yield from _parts(sample(schema, official.SCHEMAS[name]), schema["required"])
    for text in official.examples(name, "good").values():
        yield from _parts(json.loads(text), schema["required"])


def _parts(document: dict[str, Any], required: list[str]) -> Iterator[dict[str, Any]]:
    base = {key: document[key] for key in required}
    yield base
    for key in document.keys() - base.keys():
        value = document[key]
        inner = value if key == "linux" and isinstance(value, dict) else {}
        yield from ({**base, key: {name: part}} for name, part in inner.items())
        if not inner:
            yield {**base, key: value}


def sample(node: Any, file: str) -> Any:
    """Return a value that a part of an official schema accepts, with all of its properties."""
    node, file = official.resolve(node, file)
    if "enum" in node:
        return node["enum"][0]
    if "allOf" in node:
        parts = [sample(part, file) for part in node["allOf"]]
        return {key: value for part in parts for key, value in part.items()}
    for either in ("anyOf", "oneOf"):
        if either in node:
            return sample(node[either][0], file)
    if "object" in node.get("type", "") or "properties" in node or "patternProperties" in node:
        return _sample_object(node, file)
    if node["type"] == "array":
        items = node.get("items", {"type": "string"})
        return [sample(items[0] if isinstance(items, list) else items, file)]
    pattern = node.get("pattern", "")
    return {"integer": 1, "number": 1, "boolean": True}.get(
        node["type"], SAMPLES.get(pattern, "/x")
    )


def _sample_object(node: Any, file: str) -> dict[str, Any]:
    properties = node.get("properties", {}).items()
    made = {key: NAMED[key] if key in NAMED else sample(child, file) for key, child in properties}
    for child in node.get("patternProperties", {}).values():
        made["key"] = sample(child, file)
    if isinstance(node.get("additionalProperties"), dict):
        made["key"] = sample(node["additionalProperties"], file)
    return made


def mutants(document: Any) -> Iterator[tuple[Path, str, Any]]:
    """Yield place, what was done there, and the changed document."""
    for place, value in _nodes(document):
        if place:
            yield place, "removed", _changed(document, place, None, remove=True)
        for other in VALUES:
            if type(other) is not type(value) or other != value:
                yield place, repr(other), _changed(document, place, other)
        if isinstance(value, dict):
            more = {**value, "unknownKey": [1.5, None]}
            yield place, "an unknown key", _changed(document, place, more)
        if isinstance(value, list) and value:
            yield place, "an item twice", _changed(document, place, [*value, value[0]])


def _nodes(value: Any, place: Path = ()) -> Iterator[tuple[Path, Any]]:
    yield place, value
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _nodes(child, (*place, key))
    elif isinstance(value, list) and value:
        yield from _nodes(value[0], (*place, 0))


def _changed(document: Any, place: Path, value: Any, *, remove: bool = False) -> Any:
    if not place:
        return value
    made = copy.deepcopy(document)
    node = made
    for part in place[:-1]:
        node = node[part]
    if remove:
        del node[place[-1]]
    else:
        node[place[-1]] = value
    return made
