# SPDX-License-Identifier: Apache-2.0
"""The statistics that version 1 keeps in its own way: processor time, memory, block devices."""

from pyoci.cgroup import statistics_text as text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup.statistics import Fields, Files

CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio")
CPUSET = ("cpus", "mems")
TICK_NS = 10_000_000  # USER_HZ is 100 in every ABI of Linux but alpha's
MEMORY = (
    ("usage", "memory"),
    ("swap", "memory.memsw"),
    ("kernel", "memory.kmem"),
    ("kernelTCP", "memory.kmem.tcp"),
)
# The key, and which files of blkio say it: of the scheduler, or of the throttling layer.
BLKIO = (
    ("ioServiceBytesRecursive", "io_service_bytes"),
    ("ioServicedRecursive", "io_serviced"),
    ("ioQueueRecursive", "io_queued"),
    ("ioServiceTimeRecursive", "io_service_time"),
    ("ioWaitTimeRecursive", "io_wait_time"),
    ("ioMergedRecursive", "io_merged"),
    ("ioTimeRecursive", "time"),
    ("sectorsRecursive", "sectors"),
)
SCHEDULERS = ("blkio.bfq.{}_recursive", "blkio.{}_recursive")
THROTTLING = ("blkio.throttle.{}_recursive", "blkio.throttle.{}")
THROTTLED = ("io_service_bytes", "io_serviced")


def cpu(files: "dict[str, Files]") -> "Fields":
    """Return processor time in nanoseconds, by mode in ticks' precision, and the throttling."""
    account = files["cpuacct"]
    user, kernel = account.parsed("cpuacct.usage_all", text.usage_by_mode) or ([], [])
    ticks = account.keyed("cpuacct.stat")
    throttled = files["cpu"].keyed("cpu.stat")
    return {
        "usage": {
            **text.sparse(
                total=account.number("cpuacct.usage"),
                percpu=account.parsed("cpuacct.usage_percpu", text.numbers),
                percpu_kernel=kernel,
                percpu_user=user,
            ),
            "kernel": ticks.get("system", 0) * TICK_NS,
            "user": ticks.get("user", 0) * TICK_NS,
        },
        "throttling": text.sparse(
            periods=throttled.get("nr_periods"),
            throttledPeriods=throttled.get("nr_throttled"),
            throttledTime=throttled.get("throttled_time"),
        ),
    }


def memory(files: "Files") -> "Fields":
    """Return use, limit, peak and failures of memory, memory and swap, and the kernel's part."""
    raw = files.keyed("memory.stat")
    kinds = {key: memory_entry(files, prefix) for key, prefix in MEMORY}
    return {**text.sparse(cache=raw.get("cache")), **kinds, **text.sparse(raw=raw)}


def memory_entry(files: "Files", prefix: str) -> "Fields":
    """Return the four numbers of one kind of memory."""
    return {
        "limit": files.number(f"{prefix}.limit_in_bytes"),
        **text.sparse(
            usage=files.number(f"{prefix}.usage_in_bytes"),
            max=files.number(f"{prefix}.max_usage_in_bytes"),
        ),
        "failcnt": files.number(f"{prefix}.failcnt"),
    }


def blkio(files: "Files") -> "Fields":
    """Return each table from the first file that has entries: schedulers count what throttling may not see."""
    return text.sparse(**{key: device_table(files, name) for key, name in BLKIO})


def device_table(files: "Files", name: str) -> "list[dict[str, object]]":
    """Return the entries of one table."""
    patterns = SCHEDULERS + (THROTTLING if name in THROTTLED else ())
    for pattern in patterns:
        found = files.parsed(pattern.format(name), text.device_table)
        if found:
            return found
    return []
