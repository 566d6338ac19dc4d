# SPDX-License-Identifier: Apache-2.0
"""linux.resources.hugepageLimits as writes (config-linux.md#huge-page-limits)."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyoci.cgroup.resources import Writes

FILES = {1: ("limit_in_bytes", "rsvd.limit_in_bytes"), 2: ("max", "rsvd.max")}
# Since Linux 5.7; without the limit of what is reserved a fault beyond the other is a SIGBUS.
RESERVED = ".rsvd."


def writes(limits: "Sequence[Mapping[str, Any]]", version: int) -> "Writes":
    """Return the limits in bytes: of pages in use, then of pages that are reserved."""
    return [
        (f"hugetlb.{row['pageSize']}.{file}", str(row["limit"]))
        for row in limits
        for file in FILES[version]
    ]
