# SPDX-License-Identifier: Apache-2.0
"""linux.resources.rdma as writes (config-linux.md#rdma); both versions have the same file."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.cgroup.resources import Writes

NAMES = (("hcaHandles", "hca_handle"), ("hcaObjects", "hca_object"))


def writes(devices: "Mapping[str, Mapping[str, Any]]") -> "Writes":
    """Return one write for each device; what is not given has no limit."""
    return [
        ("rdma.max", " ".join((device, *(f"{word}={value(row[name])}" for name, word in NAMES))))
        for device, row in devices.items()
    ]


def value(limit: int | None) -> str:
    """Return a limit as the file takes it."""
    return "max" if limit is None else str(limit)
