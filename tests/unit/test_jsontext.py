# SPDX-License-Identifier: Apache-2.0
"""JSON as Go's encoding/json writes it (cli.md section 2, state and list)."""

import json

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
