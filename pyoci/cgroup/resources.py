# SPDX-License-Identifier: Apache-2.0
"""Turn linux.resources into values for files (config-linux.md#control-groups).

Pure: nothing here touches a file. Both versions give a list of (file, value) in the order in which
the kernel takes them; a file's controller is the part of its name before the dot.
"""

from pyoci.errors import CgroupError, SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    Resources = Mapping[str, Any]
    Writes = list[tuple[str, str]]

PLACE = "/linux/resources"
NO_LIMITS = ("", "0", "max", "-1")

# config.json is untrusted text: these limit nothing, but move, hold or end processes.
NOT_A_LIMIT = ("cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze")

MIN_SHARES = 2
MAX_SHARES = 262144
DEFAULT_PERIOD = 100_000

# Where swap is not accounted these do not exist, which is fine where nothing is to be limited.
SWAP = ("memory.swap.max", "memory.memsw.limit_in_bytes")


def check(resources: "Resources | None", version: int) -> list[str]:
    """Refuse what cannot be done, by name; return a warning for each thing that will be ignored."""
    if resources is None:
        return []
    if version == 2 and not is_empty(resources["network"]):
        raise CgroupError(
            "linux.resources.network cannot be set: cgroup v2 has no net_cls and no net_prio controller; "
            "match the container's cgroup by its path instead (nft: socket cgroupv2), or boot with cgroup v1"
        )
    for key in resources["unified"] or ():
        check_unified_key(key)
    if resources["unified"] and version == 1:
        raise CgroupError(
            "invalid configuration: cannot use linux.resources.unified on a host with cgroup v1"
        )
    return [
        f"linux.resources.{name} is ignored: this kernel does not have it any more"
        if name == "memory.kernel"
        else f"linux.resources.{name} is ignored: cgroup v2 does not have it"
        for name in ignored(resources, version)
    ]


def is_empty(value: object) -> bool:
    """Tell whether a part of the resources asks for nothing: engines write null, 0, {} and []."""
    if isinstance(value, dict):
        return all(is_empty(part) for part in value.values())
    return not value


def check_unified_key(key: str) -> None:
    """Refuse a key of `unified` that is not the name of a limit; spec.load has seen to slashes."""
    assert "/" not in key, key
    if key in NOT_A_LIMIT:
        raise SpecError(f"{PLACE}/unified/{key}", "is not a limit")


def ignored(resources: "Resources", version: int) -> list[str]:
    """Return the names of what is asked for and is not done, as runc does."""
    memory, cpu, block = resources["memory"], resources["cpu"], resources["blockIO"]
    found = []
    if memory is not None:
        names = ["kernel"]
        if version == 2:
            names += ["kernelTCP", "swappiness", "disableOOMKiller"]
        found += [f"memory.{name}" for name in names if memory[name] not in (None, False, 0, -1)]
    if cpu is not None and version == 2:
        found += [f"cpu.{name}" for name in ("realtimeRuntime", "realtimePeriod") if cpu[name]]
    if block is not None and version == 2:
        rows = (block, *block["weightDevice"])
        found += ["blockIO.leafWeight"] if any(row["leafWeight"] for row in rows) else []
    return found


def controllers(resources: "Resources | None", version: int) -> set[str]:
    """Return the controllers that the limits need, none when nothing is limited."""
    writes = v2_writes(resources) if version == 2 else v1_writes(resources)
    return {controller_of(file) for file, _ in writes}


def controller_of(file: str) -> str:
    """Return the controller that a file belongs to."""
    return file.partition(".")[0]


def limit_name(file: str) -> str:
    """Return the name of a limit for people: memory.memsw.limit_in_bytes is the swap limit."""
    if file in SWAP:
        return "swap"
    if file == "pids.max" or file in ("memory.max", "memory.limit_in_bytes"):
        return controller_of(file)
    return file


# Version 2


def v2_writes(resources: "Resources | None") -> "Writes":
    """Return the writes for version 2, in runc's order; `unified` last: it may overrule all."""
    if resources is None:
        return []
    writes = pids_writes(resources["pids"])
    if resources["memory"] is not None:
        writes += v2_memory(resources["memory"])
    if resources["blockIO"] is not None:
        from pyoci.cgroup import blockio

        writes += blockio.v2_writes(resources["blockIO"])
    if resources["cpu"] is not None:
        writes += v2_cpu(resources["cpu"]) + cpuset_writes(resources["cpu"])
    writes += rare_writes(resources, 2)
    for file, value in (resources["unified"] or {}).items():
        writes += [(file, line) for line in value.split("\n") if line]
    return writes


def rare_writes(resources: "Resources", version: int) -> "Writes":
    """Return the writes for what few containers have: huge pages and RDMA devices."""
    writes: Writes = []
    if resources["hugepageLimits"]:
        from pyoci.cgroup import hugetlb

        writes += hugetlb.writes(resources["hugepageLimits"], version)
    if resources["rdma"]:
        from pyoci.cgroup import rdma

        writes += rdma.writes(resources["rdma"])
    return writes


def pids_writes(pids: "Mapping[str, Any] | None") -> "Writes":
    """Return the limit of processes: negative none, 0 the least with which init starts, as runc."""
    if pids is None or pids["limit"] is None:
        return []
    limit = pids["limit"]
    return [("pids.max", "max" if limit < 0 else str(limit or 1))]


def v2_memory(memory: "Mapping[str, Any]") -> "Writes":
    """Return the memory limits: swap first, so that no moment allows more than asked for."""
    limit, reservation = memory["limit"] or 0, memory["reservation"] or 0
    check_swap(limit, memory["swap"] or 0)
    swap = v2_swap(limit, memory["swap"] or 0)
    writes = [("memory.swap.max", swap)] if swap else []
    if limit:
        writes.append(("memory.max", unlimited(limit, "max")))
    if reservation:
        writes.append(("memory.low", unlimited(reservation, "max")))
    return writes


def v2_swap(limit: int, swap: int) -> str:
    """Return the limit of swap alone for one of memory+swap; "" when none is asked for."""
    if swap < 0 or (swap == 0 and limit < 0):
        return "max"
    if swap == 0:
        return ""
    if limit <= 0:
        raise CgroupError("unable to set swap limit without memory limit")
    return str(swap - limit)


def check_swap(limit: int, swap: int) -> None:
    """Refuse a limit of memory+swap that is below that of memory: it holds for both together."""
    if 0 < swap < limit:
        raise CgroupError("memory+swap limit should be >= memory limit")


def unlimited(value: int, word: str) -> str:
    """Return a limit as the file takes it; a negative one is none."""
    return word if value < 0 else str(value)


def v2_cpu(cpu: "Mapping[str, Any]") -> "Writes":
    """Return the processor limits: idle, weight, burst, quota."""
    writes = []
    if cpu["idle"] is not None:
        writes.append(("cpu.idle", str(cpu["idle"])))
    # An idle cgroup has a weight of 0 and takes no other.
    if cpu["shares"] and not cpu["idle"]:
        writes.append(("cpu.weight", str(weight(cpu["shares"]))))
    if cpu["burst"] is not None:
        writes.append(("cpu.max.burst", str(cpu["burst"])))
    quota, period = cpu["quota"] or 0, cpu["period"] or 0
    if quota or period:
        writes.append(("cpu.max", f"{quota if quota > 0 else 'max'} {period or DEFAULT_PERIOD}"))
    return writes


def weight(shares: int) -> int:
    """Convert cpu.shares (2 to 262144, 1024 normal) to cpu.weight (1 to 10000, 100 normal).

    The curve through (2, 1), (1024, 100) and (262144, 10000) that all runtimes use since 2025; the
    straight line before it made 39 of 1024.
    """
    if shares <= MIN_SHARES:
        return 1
    if shares >= MAX_SHARES:
        return 10000
    from math import ceil, log2

    power = log2(shares)
    return ceil(10 ** ((power * power + 125 * power) / 612 - 7 / 34))


def cpuset_writes(cpu: "Mapping[str, Any]") -> "Writes":
    """Return the cpus and memory nodes; empty leaves them alone."""
    names = (("cpuset.cpus", cpu["cpus"]), ("cpuset.mems", cpu["mems"]))
    return [(file, value) for file, value in names if value]


# Version 1


def v1_writes(resources: "Resources | None") -> "Writes":
    """Return the writes for version 1."""
    if resources is None:
        return []
    writes = pids_writes(resources["pids"])
    if resources["memory"] is not None:
        writes += v1_memory(resources["memory"])
    if resources["blockIO"] is not None:
        from pyoci.cgroup import blockio

        writes += blockio.v1_writes(resources["blockIO"])
    if resources["cpu"] is not None:
        writes += v1_cpu(resources["cpu"]) + cpuset_writes(resources["cpu"])
    if resources["network"] is not None:
        from pyoci.cgroup import network

        writes += network.writes(resources["network"])
    return writes + rare_writes(resources, 1)


def v1_memory(memory: "Mapping[str, Any]") -> "Writes":
    """Return the memory limits: memory before memory+swap, as is right for lowering.

    For raising it is the other way round: then the kernel refuses the first, which is tried again.
    """
    limit, swap = memory["limit"] or 0, memory["swap"] or 0
    check_swap(limit, swap)
    if limit < 0 and not swap:
        swap = -1  # no memory+swap limit may stay behind that is lower
    writes = [("memory.use_hierarchy", "1")] if memory["useHierarchy"] else []
    if limit:
        writes.append(("memory.limit_in_bytes", unlimited(limit, "-1")))
    if swap:
        writes.append(("memory.memsw.limit_in_bytes", unlimited(swap, "-1")))
    if memory["reservation"]:
        writes.append(("memory.soft_limit_in_bytes", unlimited(memory["reservation"], "-1")))
    if memory["kernelTCP"]:
        value = unlimited(memory["kernelTCP"], "-1")
        writes.append(("memory.kmem.tcp.limit_in_bytes", value))
    if memory["disableOOMKiller"]:
        writes.append(("memory.oom_control", "1"))
    # Go's engines write -1 as an unsigned number of 64 bits.
    if memory["swappiness"] is not None and 0 <= memory["swappiness"] < 1 << 63:
        writes.append(("memory.swappiness", str(memory["swappiness"])))
    return writes


def v1_cpu(cpu: "Mapping[str, Any]") -> "Writes":
    """Return the processor limits; shares that the kernel would silently clamp are an error."""
    shares = cpu["shares"]
    if shares and shares < MIN_SHARES:
        raise CgroupError(f"the minimum allowed cpu-shares is {MIN_SHARES}")
    if shares and shares > MAX_SHARES:
        raise CgroupError(f"the maximum allowed cpu-shares is {MAX_SHARES}")
    writes = [("cpu.idle", str(cpu["idle"]))] if cpu["idle"] is not None else []
    if shares and not cpu["idle"]:
        writes.append(("cpu.shares", str(shares)))
    rows = (
        ("cpu.rt_period_us", cpu["realtimePeriod"]),
        ("cpu.rt_runtime_us", cpu["realtimeRuntime"]),
        ("cpu.cfs_period_us", cpu["period"]),
        ("cpu.cfs_quota_us", cpu["quota"]),
    )
    # Burst first, as on version 2: a quota below the present burst is refused.
    if cpu["burst"] is not None:
        writes.append(("cpu.cfs_burst_us", str(cpu["burst"])))
    return writes + [(file, str(value)) for file, value in rows if value]
