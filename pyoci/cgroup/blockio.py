# SPDX-License-Identifier: Apache-2.0
"""linux.resources.blockIO as writes: weights of BFQ and io.cost, throttles (config-linux.md#block-io).

The scheduler of a disk decides which weight it reads: BFQ's file is there with its module, and
io.weight with io.cost (version 2). A weight is stated once, for BFQ on version 2, in the
specification's own scale; `spellings` gives every file that takes it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from pyoci.cgroup.resources import Writes

LEAST, MOST = 10, 1000  # of the specification's scale
WEIGHTS = ("io.bfq.weight", "blkio.weight", "blkio.weight_device")
THROTTLES = (
    ("throttleReadBpsDevice", "rbps", "blkio.throttle.read_bps_device"),
    ("throttleWriteBpsDevice", "wbps", "blkio.throttle.write_bps_device"),
    ("throttleReadIOPSDevice", "riops", "blkio.throttle.read_iops_device"),
    ("throttleWriteIOPSDevice", "wiops", "blkio.throttle.write_iops_device"),
)


def v2_writes(block: "Mapping[str, Any]") -> "Writes":
    """Return the writes for version 2; a rate of 0 is no limit, as on version 1."""
    writes = [("io.bfq.weight", str(block["weight"]))] if block["weight"] else []
    weighed = (row for row in block["weightDevice"] if row["weight"])
    writes += [("io.bfq.weight", f"{device(row)} {row['weight']}") for row in weighed]
    for name, word, _ in THROTTLES:
        rates = ((device(row), row["rate"] or "max") for row in block[name])
        writes += [("io.max", f"{which} {word}={rate}") for which, rate in rates]
    return writes


def v1_writes(block: "Mapping[str, Any]") -> "Writes":
    """Return the writes for version 1; a rate of 0 is no limit."""
    rows = (("blkio.weight", "weight"), ("blkio.leaf_weight", "leafWeight"))
    writes = [(file, str(block[name])) for file, name in rows if block[name]]
    for row in block["weightDevice"]:
        writes += [
            (f"{file}_device", f"{device(row)} {row[name]}") for file, name in rows if row[name]
        ]
    for name, _, file in THROTTLES:
        writes += [(file, f"{device(row)} {row['rate'] or 0}") for row in block[name]]
    return writes


def device(row: "Mapping[str, Any]") -> str:
    """Return a device as the files have it."""
    return f"{row['major']}:{row['minor']}"


def spellings(file: str, value: str) -> "Writes":
    """Return a weight for each scheduler that may be there; at least one must take it."""
    if file == "io.bfq.weight":
        which, space, weight = value.rpartition(" ")
        return [(file, value), ("io.weight", f"{which}{space}{io_weight(int(weight))}")]
    return [(file, value), (file.replace("blkio.", "blkio.bfq."), value)]


def io_weight(weight: int) -> int:
    """Convert a weight of 10 to 1000 to io.cost's scale of 1 to 10000."""
    weight = min(max(weight, LEAST), MOST)
    return 1 + (weight - LEAST) * 9999 // (MOST - LEAST)
