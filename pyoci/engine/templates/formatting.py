# SPDX-License-Identifier: Apache-2.0
"""Go's fmt.Sprint and fmt.Sprintf for the values of a template."""

from pyoci.engine.templates.values import Nil, go_type, show

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_FLAGS = "+-# 0"
_OF_NUMBERS = {"d": "d", "x": "x", "X": "X", "o": "o", "b": "b"}
_OF_FRACTIONS = "fFeEgG"


def sprint(*values: "Any") -> str:
    """Write values behind each other, with a blank between two of which none is a string."""
    text = ""
    for index, value in enumerate(values):
        if index and not isinstance(value, str) and not isinstance(values[index - 1], str):
            text += " "
        text += show(value)
    return text


def sprintf(form: str, *values: "Any") -> str:
    """Write values as a form says, and what does not fit it as Go complains of it."""
    found, rest = "", list(values)
    while form:
        plain, percent, form = form.partition("%")
        found += plain
        if not percent:
            break
        end = 0
        while end < len(form) and (form[end] in _FLAGS or form[end].isdigit() or form[end] == "."):
            end += 1
        options, verb, form = form[:end], form[end : end + 1], form[end + 1 :]
        if verb == "%":
            found += "%"
        elif not verb:
            found += "%!(NOVERB)"
        else:
            found += _verb(options, verb, rest.pop(0)) if rest else f"%!{verb}(MISSING)"
    if rest:
        found += f"%!(EXTRA {', '.join(_with_type(value) for value in rest)})"
    return found


def _with_type(value: "Any") -> str:
    return "<nil>" if value is None or isinstance(value, Nil) else f"{go_type(value)}={show(value)}"


def _verb(options: str, verb: str, value: "Any") -> str:
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    text = None
    if verb in ("v", "s"):
        is_text = verb == "v" or not isinstance(value, int | float)
        text = show(value) if is_text else None
    elif verb == "q" and isinstance(value, str):
        text = _quoted(value)
    elif verb == "T":
        text = go_type(value)
    elif verb == "t" and isinstance(value, bool):
        text = show(value)
    elif verb in _OF_NUMBERS and is_integer:
        return f"%{options}{verb}" % value if verb != "b" else f"%{options}s" % f"{value:b}"
    elif verb in "xX" and isinstance(value, str):
        text = value.encode("utf-8", "surrogateescape").hex()
    elif verb == "c" and is_integer:
        text = chr(value)
    elif verb in _OF_FRACTIONS and isinstance(value, float):
        return f"%{options}{verb}" % value
    if text is None:
        return f"%!{verb}({_with_type(value)})"
    return f"%{options.replace('+', '').replace('#', '')}s" % text


def _quoted(text: str) -> str:
    """Return a string as Go's source has it: JSON's quotes, but for the letters that only JSON for HTML escapes."""
    from pyoci.jsontext import quote

    return (
        '"' + "".join(letter if letter in "<>&" else quote(letter)[1:-1] for letter in text) + '"'
    )
