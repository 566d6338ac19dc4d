# SPDX-License-Identifier: Apache-2.0
"""The functions of a template: Go's own, and those of Docker's client (its package templates)."""

from pyoci.engine.templates import formatting
from pyoci.engine.templates.errors import CallError
from pyoci.engine.templates.values import (
    MISSING,
    Context,
    Map,
    Missing,
    Nil,
    go_type,
    is_true,
    plain,
    show,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

_HTML = str.maketrans(
    {"<": "&lt;", ">": "&gt;", "&": "&amp;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}
)
_JS = str.maketrans({
    "\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D",
})  # fmt: skip
_UNESCAPED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_CONTROLS = 0x20


def _json(value: "Any") -> str:
    from pyoci.jsontext import dumps

    text = dumps(plain(value))
    if isinstance(value, Context):
        return text
    for code, letter in (("\\u003c", "<"), ("\\u003e", ">"), ("\\u0026", "&")):
        text = text.replace(code, letter)
    return text


def _index(value: "Any", *keys: "Any") -> "Any":
    for key in keys:
        if isinstance(value, Map):
            value = value.get(key, value.default)
        elif isinstance(value, dict):
            value = value.get(key, MISSING)
        elif isinstance(value, list | tuple | str):
            if not isinstance(key, int) or isinstance(key, bool):
                raise CallError(f"cannot index slice/array with type {go_type(key)}")
            if not -1 < key < len(value):
                raise CallError(f"index out of range: {key}")
            value = ord(value[key]) if isinstance(value, str) else value[key]
        elif value is None or isinstance(value, Missing | Nil):
            raise CallError("index of untyped nil")
        else:
            raise CallError(f"can't index item of type {go_type(value)}")
    return value


def _slice(value: "Any", start: int = 0, end: int | None = None) -> "Any":
    if not isinstance(value, str | list):
        raise CallError(f"can't slice item of type {go_type(value)}")
    for bound in (start, end):
        if bound is not None and not 0 <= bound <= len(value):
            raise CallError(f"index out of range: {bound}")
    return value[start:end]


def _len(value: "Any") -> int:
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogateescape"))
    if isinstance(value, dict | list | tuple):
        return len(value)
    if value is None or (isinstance(value, Nil) and value.shown != "<nil>"):
        return 0
    raise CallError(f"len of type {go_type(value)}")


def _kind(value: "Any") -> str:
    if isinstance(value, int | float | str):
        return go_type(value) if not isinstance(value, int) or isinstance(value, bool) else "int"
    return ""


def _eq(first: "Any", *others: "Any") -> bool:
    if not others:
        raise CallError("missing argument for comparison")
    for other in others:
        kinds = _kind(first), _kind(other)
        if all(kinds) and kinds[0] != kinds[1]:
            raise CallError("incompatible types for comparison")
        if first == other:
            return True
    return False


def _lt(first: "Any", other: "Any") -> bool:
    kinds = _kind(first), _kind(other)
    if not all(kinds) or "bool" in kinds:
        raise CallError("invalid type for comparison")
    if kinds[0] != kinds[1]:
        raise CallError("incompatible types for comparison")
    less: bool = first < other
    return less


def _join(parts: "Any", separator: str) -> str:
    if isinstance(parts, str):
        raise CallError("wrong type for value; expected []string; got string")
    return separator.join(show(part) for part in parts or ())


def _text(change: "Callable[[str], str]") -> "Callable[[Any], str]":
    return lambda value: change(show(value))


def _title(text: str) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


def _pad(text: str, before: int, after: int) -> str:
    return f"{' ' * before}{text}{' ' * after}" if text else text


def _js(text: str) -> str:
    return "".join(
        f"\\u{ord(letter):04X}" if ord(letter) < _CONTROLS else letter
        for letter in text.translate(_JS)
    )


def _urlquery(text: str) -> str:
    return "".join(
        chr(byte) if chr(byte) in _UNESCAPED else "+" if byte == ord(" ") else f"%{byte:02X}"
        for byte in text.encode("utf-8", "surrogateescape")
    )


def _call(function: "Any", *arguments: "Any") -> "Any":
    if not callable(function):
        raise CallError(f"non-function of type {go_type(function)}")
    return function(*arguments)


TABLE: "dict[str, Callable[..., Any]]" = {
    "json": _json,
    "index": _index,
    "slice": _slice,
    "len": _len,
    "not": lambda value: not is_true(value),
    "eq": _eq,
    "ne": lambda first, other: not _eq(first, other),
    "lt": _lt,
    "le": lambda first, other: _lt(first, other) or _eq(first, other),
    "gt": lambda first, other: not (_lt(first, other) or _eq(first, other)),
    "ge": lambda first, other: not _lt(first, other),
    "print": formatting.sprint,
    "println": lambda *values: " ".join(map(show, values)) + "\n",
    "printf": formatting.sprintf,
    "html": _text(lambda text: text.translate(_HTML)),
    "js": _text(_js),
    "urlquery": _text(_urlquery),
    "call": _call,
    "join": _join,
    "split": lambda text, separator: text.split(separator),
    "lower": _text(str.lower),
    "upper": _text(str.upper),
    "title": _text(_title),
    "truncate": lambda text, length: text[:length],
    "pad": _pad,
}
# In the heading of a table what changes a value leaves the column's name as it is.
HEADING = TABLE | {
    name: lambda value, *_: value
    for name in ("json", "split", "join", "title", "lower", "upper", "truncate", "pad")
}
