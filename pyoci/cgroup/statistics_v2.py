# SPDX-License-Identifier: Apache-2.0
"""The statistics of version 2, under the names and with the meaning that version 1 gave them."""

from pyoci.cgroup import statistics_text as text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.statistics import Fields, Files

CONTROLLERS = ("cpu", "cpuset", "memory", "pids", "blkio")
CPUSET = ("cpus.effective", "mems.effective")
MICROSECOND_NS = 1000


def cpu(files: "dict[str, Files]") -> "Fields":
    """Return processor time in nanoseconds and the throttling; version 2 does not count by processor."""
    found = files["cpu"].keyed("cpu.stat")

    def nanoseconds(key: str) -> int:
        return found.get(key, 0) * MICROSECOND_NS

    return {
        "usage": {
            **text.sparse(total=nanoseconds("usage_usec")),
            "kernel": nanoseconds("system_usec"),
            "user": nanoseconds("user_usec"),
        },
        "throttling": text.sparse(
            periods=found.get("nr_periods"),
            throttledPeriods=found.get("nr_throttled"),
            throttledTime=nanoseconds("throttled_usec"),
        ),
    }


def memory(files: "Files") -> "Fields":
    """Return use, limit and peak; swap is told with memory, as version 1 does, and so has no peak."""
    raw = files.keyed("memory.stat")
    used, limit = files.number("memory.current"), files.number("memory.max")
    swap_limit = files.number("memory.swap.max")
    if swap_limit != text.UNLIMITED:
        swap_limit = min(swap_limit + limit, text.UNLIMITED)
    both = files.number("memory.swap.current") + used
    return {
        **text.sparse(cache=raw.get("file")),
        "usage": memory_entry(limit, used, files.number("memory.peak")),
        "swap": memory_entry(swap_limit, both, 0),
        "kernel": memory_entry(0, 0, 0),
        "kernelTCP": memory_entry(0, 0, 0),
        **text.sparse(raw=raw),
    }


def memory_entry(limit: int, used: int, peak: int) -> "Fields":
    """Return one kind of memory; version 2 counts no failures of this kind."""
    return {"limit": limit, **text.sparse(usage=used, max=peak), "failcnt": 0}


def blkio(files: "Files") -> "Fields":
    """Return bytes and operations by device and direction."""
    moved, served = files.parsed("io.stat", text.io_tables) or ([], [])
    return text.sparse(ioServiceBytesRecursive=moved, ioServicedRecursive=served)
