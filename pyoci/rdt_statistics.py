# SPDX-License-Identifier: Apache-2.0
"""What resctrl tells of a container's groups, in the shape of runc's `events` (filesystems/resctrl.rst)."""

import posix

from pyoci import rdt
from pyoci.errors import PyociError
from pyoci.identity import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Fields = dict[str, object]

CACHE = ("cbm_mask", "min_cbm_bits", "num_closids")
BANDWIDTH = ("bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids")
TRAFFIC = ("mbm_total_bytes", "mbm_local_bytes")
OCCUPANCY = ("llc_occupancy",)
WORDS = ("cbm_mask",)  # what is no number


def collect(groups: "rdt.Groups | None") -> "Fields":
    """Return what the processor can do, what the groups may use and what they used; nothing without groups."""
    root = rdt.find() if groups is not None else ""
    if groups is None or not root:
        return {}
    found: Fields = {
        "l3_cache_info": information(f"{root}/info/L3", CACHE),
        "l3_cache_schema_root": schema(root, "L3"),
        "l3_cache_schema": schema(groups["directory"], "L3"),
        "mem_bw_info": information(f"{root}/info/MB", BANDWIDTH),
        "mem_bw_schema_root": schema(root, "MB"),
        "mem_bw_schema": schema(groups["directory"], "MB"),
        "mbm_stats": list(monitored(groups, TRAFFIC)),
        "cmt_stats": list(monitored(groups, OCCUPANCY)),
    }
    return {name: value for name, value in found.items() if value}


def information(directory: str, names: tuple[str, ...]) -> "Fields":
    """Return the facts about one resource; those that are zero, and all of a resource that is not there, are left out."""
    found: Fields = {}
    for name in names:
        text = content(f"{directory}/{name}")
        if text not in ("", "0"):
            found[name] = text if name in WORDS else int(text)
    return found


def schema(directory: str, resource: str) -> str:
    """Return the line of a group's schemata that is about a resource, "" where there is none."""
    lines = (line.strip() for line in content(f"{directory}/schemata").split("\n"))
    return next((line for line in lines if line.startswith(resource)), "")


def monitored(groups: "rdt.Groups", names: tuple[str, ...]) -> "Iterator[Fields]":
    """Yield the counters of each cache domain; none of a processor that does not count them."""
    data = f"{groups['monitoring'] or groups['directory']}/mon_data"
    try:
        domains = sorted(posix.listdir(data))
    except FileNotFoundError:
        return
    for domain in domains:
        counters = {name: content(f"{data}/{domain}/{name}") for name in names}
        if any(counters.values()):
            yield {
                name: int(text) for name, text in counters.items() if text.isdigit() and int(text)
            }


def content(path: str) -> str:
    """Return what a file says, "" without it."""
    try:
        return read(path).decode().strip()
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise PyociError(
            f"cannot read statistics: {path}: {(error.strerror or '').lower()}"
        ) from error
