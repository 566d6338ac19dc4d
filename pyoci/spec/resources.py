# SPDX-License-Identifier: Apache-2.0
"""What linux.resources must mean: names that become part of a file's name, and rows of its files."""

from pyoci.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.spec.types import BlockIO, DeviceRule, Resources, WeightDevice

MAX_WORD = 80
WEIGHT = range(10, 1001)  # config-linux.md#block-io
UNITS = ("KB", "MB", "GB")


def check(resources: "Resources", place: str) -> None:
    """Raise SpecError for the first thing that no kernel could be told."""
    for index, rule in enumerate(resources["devices"]):
        _check_device_rule(rule, f"{place}/devices/{index}", index)
    if resources["blockIO"] is not None:
        _check_weights(resources["blockIO"], f"{place}/blockIO")
    for index, row in enumerate(resources["hugepageLimits"]):
        _check_page_size(row["pageSize"], f"{place}/hugepageLimits/{index}/pageSize")
    for device in resources["rdma"]:
        _check_word(device, f"{place}/rdma")
    if resources["network"] is not None:
        for index, priority in enumerate(resources["network"]["priorities"]):
            _check_word(priority["name"], f"{place}/network/priorities/{index}/name")
    for key in resources["unified"]:
        if "/" in key or key in ("", ".", "..") or not key.isprintable():
            problem = f'unified resource "{key[:MAX_WORD]}" must be a file name (no slashes)'
            raise SpecError(f"{place}/unified", problem)


def _check_device_rule(rule: "DeviceRule", place: str, index: int) -> None:
    kind, access = rule["type"], rule["access"]
    if kind not in (None, "a", "b", "c"):
        raise SpecError(f"{place}/type", f'invalid cgroup device type "{kind[:MAX_WORD]}"')
    if not access:
        raise SpecError(f"{place}/access", f"device access at {index} field cannot be empty")
    if not set(access) <= set("rwm"):
        problem = f'must be made of r, w and m, not "{access[:MAX_WORD]}"'
        raise SpecError(f"{place}/access", problem)
    for key in ("major", "minor"):
        number = rule[key]
        if number is not None and not -1 <= number < 1 << 32:
            raise SpecError(f"{place}/{key}", f"must be -1 (all) or a device number, not {number}")


def _check_weights(block: "BlockIO", place: str) -> None:
    """Check the weights; 0 is none, as engines write it."""
    rows: list[tuple[str, Any]] = [(place, block)]
    rows += _numbered(f"{place}/weightDevice", block["weightDevice"])
    for where, row in rows:
        for key in ("weight", "leafWeight"):
            if row[key] and row[key] not in WEIGHT:
                problem = f"must be from {WEIGHT[0]} to {WEIGHT[-1]}, not {row[key]}"
                raise SpecError(f"{where}/{key}", problem)


def _numbered(place: str, rows: "list[WeightDevice]") -> "list[tuple[str, Any]]":
    return [(f"{place}/{index}", row) for index, row in enumerate(rows)]


def _check_page_size(size: str, place: str) -> None:
    number, unit = size[:-2], size[-2:]
    if not (number.isascii() and number.isdigit() and number[0] != "0" and unit in UNITS):
        raise SpecError(place, f'must be a size such as 64KB, 2MB or 1GB, not "{size[:MAX_WORD]}"')


def _check_word(name: str, place: str) -> None:
    """Refuse what would not stay one word of one line."""
    if not name or not name.isprintable() or " " in name:
        raise SpecError(place, f'must be one word, not "{name[:MAX_WORD]}"')
