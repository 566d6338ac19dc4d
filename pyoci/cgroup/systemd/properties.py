# SPDX-License-Identifier: Apache-2.0
"""Limits as properties of a unit (systemd.resource-control(5), org.freedesktop.systemd1(5)).

Pure. They are made from the writes to the cgroup's files, so that nothing can be limited there that
systemd would set back. What has no property here systemd does not write either, or it is too old.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.cgroup.resources import Writes

    # A D-Bus variant as jeepney takes it: the signature and the value.
    Variant = tuple[str, object]
    Properties = dict[str, Variant]

INFINITY = (1 << 64) - 1  # no limit, as systemd has it
UNLIMITED = ("max", "-1")
SECOND = 1_000_000  # microseconds
PERCENT = SECOND // 100
DEFAULT_PERIOD = 100_000
LAST_BIT = 1 << 16
UNITS = {"K": 10, "M": 20, "G": 30, "T": 40, "P": 50, "E": 60}

# The first systemd that knows a property.
SINCE = {
    "AllowedCPUs": 244,
    "AllowedMemoryNodes": 244,
    "CPUQuotaPeriodUSec": 242,
    "CollectMode": 236,
    "OOMPolicy": 253,  # of a scope
}
IDLE_SINCE = 252


def of(writes: "Writes", systemd: int) -> "Properties":
    """Return the properties for a list of (file, value), as this version of systemd knows them.

    What is no number has none: the kernel refuses it, and says so.
    """
    found: Properties = {}
    quota = period = ""
    for file, value in writes:
        if file in CONVERSIONS:
            name, convert = CONVERSIONS[file]
            try:
                found[name] = convert(value)
            except ValueError:
                continue
        elif file == "cpu.max":
            quota, _, period = value.partition(" ")
        elif file == "cpu.cfs_quota_us":
            quota = value
        elif file == "cpu.cfs_period_us":
            period = value
        elif file == "cpu.idle" and value == "1" and systemd >= IDLE_SINCE:
            found["CPUWeight"] = ("t", 0)
    if quota or period:
        found |= cpu_quota(quota, period)
    return known(found, systemd)


def known(properties: "Properties", systemd: int) -> "Properties":
    """Leave out what this version of systemd does not know."""
    return {name: value for name, value in properties.items() if systemd >= SINCE.get(name, 0)}


def cpu_quota(quota: str, period: str) -> "Properties":
    """Return quota and period, the quota rounded up to a percent: systemd stores no more."""
    per_second = INFINITY
    try:
        every = number(period or DEFAULT_PERIOD)
        if quota not in ("", "0", *UNLIMITED):
            per_second = -(-number(quota) * SECOND // every)
            per_second = number(-(-per_second // PERCENT) * PERCENT)
    except (ValueError, ZeroDivisionError):
        return {}
    return {"CPUQuotaPerSecUSec": ("t", per_second), "CPUQuotaPeriodUSec": ("t", every)}


def number(value: str | int) -> int:
    """Return a number that fits a property."""
    found = int(value)
    if not 0 <= found < INFINITY:
        raise ValueError(value)
    return found


def amount(value: str) -> "Variant":
    """Return a number, with a unit of bytes as the kernel takes it (memparse), or no limit."""
    if value in UNLIMITED:
        return "t", INFINITY
    unit = value[-1:].upper()
    if unit in UNITS:
        return "t", number(int(value[:-1]) << UNITS[unit])
    return "t", number(value)


def io_weight(value: str) -> "Variant":
    """Return the default weight of io.weight; those of single devices have no file of systemd's."""
    return "t", number(value.removeprefix("default "))


def bfq_weight(value: str) -> "Variant":
    """Return the IOWeight of which systemd makes this io.bfq.weight: 1 to 100, then every 11th."""
    weight = number(value)
    return "t", weight if weight <= 100 else 100 + (weight - 100) * 11


def bits(value: str) -> "Variant":
    """Return a list such as 0-3,7 as bytes, that of the lowest numbers first."""
    mask = 0
    for part in value.split(","):
        first, _, last = part.strip().partition("-")
        if int(last or first) > LAST_BIT:
            raise ValueError(part)
        mask |= (1 << int(last or first) + 1) - (1 << int(first))
    return "ay", mask.to_bytes((mask.bit_length() + 7) // 8, "little")


def oom_policy(value: str) -> "Variant":
    """Return what happens to the others when one is killed for memory."""
    return "s", "kill" if value == "1" else "continue"


CONVERSIONS: "dict[str, tuple[str, Callable[[str], Variant]]]" = {
    "memory.max": ("MemoryMax", amount),
    "memory.high": ("MemoryHigh", amount),
    "memory.low": ("MemoryLow", amount),
    "memory.min": ("MemoryMin", amount),
    "memory.swap.max": ("MemorySwapMax", amount),
    "memory.oom.group": ("OOMPolicy", oom_policy),
    "memory.limit_in_bytes": ("MemoryLimit", amount),
    "cpu.weight": ("CPUWeight", amount),
    "cpu.shares": ("CPUShares", amount),
    "cpuset.cpus": ("AllowedCPUs", bits),
    "cpuset.mems": ("AllowedMemoryNodes", bits),
    "io.weight": ("IOWeight", io_weight),
    "io.bfq.weight": ("IOWeight", bfq_weight),
    "blkio.weight": ("BlockIOWeight", amount),
    "pids.max": ("TasksMax", amount),
}
