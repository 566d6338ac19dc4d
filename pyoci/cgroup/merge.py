# SPDX-License-Identifier: Apache-2.0
"""What new resources make of those a container has: what to remember, what to write. Pure.

What is absent stays as it is. Rows of a list are told apart by their device, page size or
interface: a row that is there is changed, a new one is added.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Part = Mapping[str, Any]

# Numbers of which 0 means "not set", as in config.json.
UNSET = {
    "memory": ("limit", "swap", "reservation", "kernelTCP"),
    "cpu": ("shares", "quota", "period", "realtimeRuntime", "realtimePeriod"),
    "blockIO": ("weight", "leafWeight"),
}
# The parts that are objects of their own, and what tells the rows of each list apart.
PARTS = ("memory", "cpu", "pids", "blockIO", "network")
KEYS = {
    "weightDevice": ("major", "minor"),
    "throttleReadBpsDevice": ("major", "minor"),
    "throttleWriteBpsDevice": ("major", "minor"),
    "throttleReadIOPSDevice": ("major", "minor"),
    "throttleWriteIOPSDevice": ("major", "minor"),
    "hugepageLimits": ("pageSize",),
    "priorities": ("name",),
}


def merge(old: "Part", new: "Part") -> "tuple[dict[str, Any], dict[str, Any]]":
    """Return the whole of the resources from now on, and what of it has to be written."""
    new = {name: without_zeros(name, part) for name, part in new.items()}
    whole, changed = dict(old), dict(new)
    for name in PARTS:
        if new[name] is not None:
            whole[name] = merge_part(old[name], new[name])
    whole["hugepageLimits"] = merge_rows(
        KEYS["hugepageLimits"], old["hugepageLimits"], new["hugepageLimits"]
    )
    whole["rdma"] = old["rdma"] | new["rdma"]
    whole["unified"] = old["unified"] | new["unified"]
    whole["devices"] = new["devices"] or old["devices"]
    if new["memory"] is not None:
        changed["memory"] = memory_change(whole["memory"], new["memory"])
    if new["cpu"] is not None:
        changed["cpu"] = cpu_change(whole["cpu"], new["cpu"])
    return whole, changed


def without_zeros(name: str, part: "Any") -> "Any":  # noqa: ANN401 - a part of any kind
    """Return a part in which what is not set is None."""
    if part is None or name not in UNSET:
        return part
    return part | {key: part[key] or None for key in UNSET[name]}


def merge_part(old: "Part | None", new: "Part") -> "dict[str, Any]":
    """Merge two objects key by key."""
    if old is None:
        return dict(new)
    whole = dict(old)
    for key, value in new.items():
        if key in KEYS:
            whole[key] = merge_rows(KEYS[key], old[key], value)
        elif value is not None and value is not False:
            whole[key] = value
    return whole


def merge_rows(keys: tuple[str, ...], old: "list[Part]", new: "list[Part]") -> "list[Part]":
    """Merge two lists of rows."""
    rows = {tuple(row[key] for key in keys): row for row in old}
    for row in new:
        name = tuple(row[key] for key in keys)
        rows[name] = merge_part(rows[name], row) if name in rows else row
    return list(rows.values())


def memory_change(whole: "dict[str, Any]", new: "Part") -> "dict[str, Any]":
    """Return what to write of memory: a limit and that of memory+swap only make sense together."""
    if new["limit"] == -1 and new["swap"] is None:
        whole["swap"] = 0  # runc: without a limit of memory there is none of both
    change = dict(new)
    if new["limit"] is not None or new["swap"] is not None:
        change |= {"limit": whole["limit"], "swap": whole["swap"]}
    return change


def cpu_change(whole: "dict[str, Any]", new: "Part") -> "dict[str, Any]":
    """Return what to write of cpu: a quota and its period go together; idle is a weight of its own."""
    if new["idle"] is not None and new["shares"] is None:
        whole["shares"] = 0  # runc; the kernel forgets them, too
    change = dict(new)
    if new["quota"] is not None or new["period"] is not None:
        change |= {"quota": whole["quota"], "period": whole["period"]}
    return change
