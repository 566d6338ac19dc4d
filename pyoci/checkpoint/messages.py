# SPDX-License-Identifier: Apache-2.0
"""The messages of criu's protocol, as bytes: the few that are used here (protobuf.dev/programming-guides/encoding).

A message is a dictionary, a table gives each field its number and its kind: int, bool and str, or the table of a
message inside. A list is a repeated field; None is left out.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    Kind = Any  # int, bool, str, or a table
    Value = Any  # what is of that kind
    Table = Mapping[str, tuple[int, Kind]]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SKIPPED = {_FIXED64: 8, _FIXED32: 4}

PAIR = {"key": (1, str), "val": (2, str)}
INHERITED = {"key": (1, str), "fd": (2, int)}
CGROUP_ROOT = {"ctrl": (1, str), "path": (2, str)}
PAGE_SERVER = {"address": (1, str), "port": (2, int)}
OPTIONS: "Table" = {
    "images_dir_fd": (1, int),
    "pid": (2, int),
    "leave_running": (3, bool),
    "ext_unix_sk": (4, bool),
    "tcp_established": (5, bool),
    "evasive_devices": (6, bool),
    "shell_job": (7, bool),
    "file_locks": (8, bool),
    "log_level": (9, int),
    "log_file": (10, str),
    "ps": (11, PAGE_SERVER),
    "notify_scripts": (12, bool),
    "root": (13, str),
    "parent_img": (14, str),
    "track_mem": (15, bool),
    "auto_dedup": (16, bool),
    "work_dir_fd": (17, int),
    "link_remap": (18, bool),
    "ext_mnt": (23, PAIR),
    "manage_cgroups": (24, bool),
    "cg_root": (25, CGROUP_ROOT),
    "rst_sibling": (26, bool),
    "inherit_fd": (27, INHERITED),
    "manage_cgroups_mode": (34, int),
    "external": (37, str),
    "empty_ns": (38, int),
    "freeze_cgroup": (44, str),
    "tcp_skip_in_flight": (46, bool),
    "lazy_pages": (48, bool),
    "status_fd": (49, int),
    "orphan_pts_master": (50, bool),
    "config_file": (51, str),
    "tcp_close": (52, bool),
    "lsm_profile": (53, str),
    "lsm_mount_context": (63, str),
    "network_lock": (64, int),
}
REQUEST: "Table" = {"type": (1, int), "opts": (2, OPTIONS), "notify_success": (3, bool)}
RESPONSE: "Table" = {
    "type": (1, int),
    "success": (2, bool),
    "restore": (4, {"pid": (1, int)}),
    "notify": (5, {"script": (1, str), "pid": (2, int)}),
    "cr_errno": (7, int),
}


def encode(message: "Mapping[str, Any]", table: "Table") -> bytes:
    """Return a message as bytes."""
    data = bytearray()
    for name, value in message.items():
        number, kind = table[name]
        for one in value if isinstance(value, list) else [value]:
            if one is not None:
                data += _field(number, kind, one)
    return bytes(data)


def _field(number: int, kind: "Kind", value: "Value") -> bytes:
    if kind in (int, bool):
        return _varint(number << 3 | _VARINT) + _varint(int(value) & (1 << 64) - 1)
    content = value.encode("utf-8", "surrogateescape") if kind is str else encode(value, kind)
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def decode(data: bytes, table: "Table") -> "dict[str, Any]":
    """Return the fields of a message that the table knows; of an optional one that comes twice, the last."""
    names = {number: (name, kind) for name, (number, kind) in table.items()}
    message = {}
    for number, value in _fields(data):
        name, kind = names.get(number, ("", None))
        if isinstance(value, int) and kind in (int, bool):
            message[name] = kind(value)
        elif isinstance(value, bytes) and kind is str:
            message[name] = value.decode("utf-8", "replace")
        elif isinstance(value, bytes) and kind is not None:
            message[name] = decode(value, kind)
    return message


def _fields(data: bytes) -> "Iterator[tuple[int, int | bytes]]":
    at = 0
    while at < len(data):
        tag, at = _read(data, at)
        number, form = tag >> 3, tag & 7
        if form == _VARINT:
            value, at = _read(data, at)
            yield number, value
        elif form == _BYTES:
            length, at = _read(data, at)
            yield number, data[at : at + length]
            at += length
        else:
            at += _SKIPPED[form]


def _read(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at
