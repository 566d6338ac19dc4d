# SPDX-License-Identifier: Apache-2.0
"""JSON as Go's encoding/json writes it (cli.md section 2, state and list)."""

import json
import random

import pytest

from pyoci.jsontext import dumps

VALUE = {
    "text": "x",
    "number": 1,
    "yes": True,
    "no": False,
    "none": None,
    "empty": [],
    "nothing": {},
    "list": [1, "a", {"b": [2]}],
    "float": 0.5,
}


def test_compact() -> None:
    assert dumps(VALUE) == json.dumps(VALUE, separators=(",", ":"))


@pytest.mark.parametrize("indent", ["  ", "    ", "\t"])
def test_indented(indent: str) -> None:
    assert dumps(VALUE, indent) == json.dumps(VALUE, indent=indent)


def test_no_container_is_null() -> None:
    assert dumps(None) == "null"


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('a"b\\c', r'"a\"b\\c"'),
        ("\n\r\t\b\f", r'"\n\r\t\b\f"'),
        ("\x00\x1f\x7f", '"\\u0000\\u001f\x7f"'),
        ("<a href='&'>", r'''"\u003ca href='\u0026'\u003e"'''),
        ("ü€😀", '"ü€😀"'),
        ("\u2028\u2029", r'"\u2028\u2029"'),
        ("a\udcffb", r'"a\udcffb"'),
    ],
)
def test_strings(text: str, written: str) -> None:
    assert dumps(text) == written
    assert json.loads(dumps(text)) == text
    dumps(text).encode()


def test_a_key_is_a_string_like_any_other() -> None:
    assert dumps({"a<b": 1}) == r'{"a\u003cb":1}'


def test_what_has_no_form_is_our_mistake() -> None:
    with pytest.raises(TypeError, match="bytes has no form in JSON"):
        dumps(b"x")


def some(dice: random.Random, depth: int = 0) -> object:
    """Return any value that JSON has a form for; its strings are of all that is written in a way of its own."""
    kind = dice.randrange(7 if depth < 4 else 5)
    if kind < 3:
        return dice.choice([None, True, False, dice.randrange(-(10**20), 10**20), dice.random()])
    if kind < 5:
        return "".join(
            dice.choices('ab "\\/\n\t\b\x00\x1f\x7f<>&é\u2028\U0001f600', k=dice.randrange(6))
        )
    values = [some(dice, depth + 1) for _ in range(dice.randrange(4))]
    return {f"{n}\n<"[: n + 1]: value for n, value in enumerate(values)} if kind == 5 else values


def as_go(value: object) -> str:
    """Write a value with the interpreter's own module, and then what Go escapes beyond that."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    for letter in "<>&\u2028":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def test_a_text_is_the_same_whoever_writes_it() -> None:
    """What has nothing special in it is written by the interpreter's encoder, all else by hand."""
    dice = random.Random(7)
    for _ in range(2000):
        value = some(dice)
        assert dumps(value) == as_go(value)


def test_what_json_has_no_form_for_is_refused() -> None:
    for value in (b"bytes", {"inside": [b"bytes"]}):
        with pytest.raises(TypeError, match="bytes has no form in JSON"):
            dumps(value)
