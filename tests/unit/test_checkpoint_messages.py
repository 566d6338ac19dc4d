# SPDX-License-Identifier: Apache-2.0
"""criu's messages: bytes that were worked out by hand from the encoding's description."""

import pytest

from pyoci.checkpoint import messages


def test_a_request_as_bytes() -> None:
    options = {"pid": 300, "shell_job": True, "root": "/r", "lazy_pages": None}
    data = messages.encode({"type": 1, "opts": options}, messages.REQUEST)
    inside = b"\x10\xac\x02\x38\x01\x6a\x02/r"
    assert data == b"\x08\x01\x12" + bytes([len(inside)]) + inside


def test_a_list_is_a_field_for_each() -> None:
    pairs = [{"key": "/a", "val": "/b"}, {"key": "k", "val": ""}]
    data = messages.encode({"ext_mnt": pairs}, messages.OPTIONS)
    assert data == (b"\xba\x01\x08\x0a\x02/a\x12\x02/b\xba\x01\x05\x0a\x01k\x12\x00")


def test_a_number_below_zero_has_ten_bytes() -> None:
    data = messages.encode({"images_dir_fd": -1}, messages.OPTIONS)
    assert data == b"\x08" + b"\xff" * 9 + b"\x01"


def test_what_is_not_known_is_passed_over() -> None:
    unknown = b"\x98\x06\x05\xa1\x06" + bytes(8) + b"\xad\x06" + bytes(4) + b"\xb2\x06\x02xx"
    data = b"\x08\x02\x10\x01" + unknown + b"\x22\x03\x08\xac\x02"
    assert messages.decode(data, messages.RESPONSE) == {
        "type": 2,
        "success": True,
        "restore": {"pid": 300},
    }


@pytest.mark.parametrize("table", [messages.OPTIONS, messages.REQUEST, messages.RESPONSE])
def test_no_number_is_used_twice(table: "messages.Table") -> None:
    numbers = [number for number, _ in table.values()]
    assert len(set(numbers)) == len(numbers)


def test_every_option_comes_back() -> None:
    """Numbers up to 64 need a tag of two bytes."""
    message: dict[str, object] = {}
    for name, (_, kind) in messages.OPTIONS.items():
        if kind in (int, bool, str):
            message[name] = kind(1)
    data = messages.encode(message, messages.OPTIONS)
    assert messages.decode(data, messages.OPTIONS) == message
