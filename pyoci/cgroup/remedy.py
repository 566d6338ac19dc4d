# SPDX-License-Identifier: Apache-2.0
"""Why the kernel refused a limit, and what can be done about it, in words."""

import errno
import posix

from pyoci.cgroup.directory import Directory, reason
from pyoci.cgroup.resources import SWAP, controller_of, limit_name
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup

MISSING = (errno.ENOENT, errno.EPERM, errno.EACCES)
NO_SCHEDULER = "neither BFQ nor io.cost is there to weigh by"
PAGES = "/sys/kernel/mm/hugepages"

# What a kernel must have for a file that it lacks though the controller is there.
NEEDS = (
    ("blkio.leaf_weight", "only the CFQ scheduler had it, which Linux 5.0 removed"),
    ("blkio.weight", "this kernel weighs by BFQ: modprobe bfq"),
    ("io.bfq.weight", f"{NO_SCHEDULER}: modprobe bfq, or a kernel with CONFIG_BLK_CGROUP_IOCOST"),
    ("io.max", "a kernel with CONFIG_BLK_DEV_THROTTLING has it"),
    ("blkio.throttle", "a kernel with CONFIG_BLK_DEV_THROTTLING has it"),
    ("cpu.rt_", "a kernel with CONFIG_RT_GROUP_SCHED has it"),
    ("cpu.max.burst", "Linux 5.14 and later have it"),
    ("cpu.cfs_burst", "Linux 5.14 and later have it"),
    ("cpu.idle", "Linux 5.15 and later have it"),
    ("cpu.cfs_", "a kernel with CONFIG_CFS_BANDWIDTH has it"),
    ("memory.kmem.tcp", "a kernel with CONFIG_MEMCG_V1 has it"),
)


def cannot_set(
    cgroup: "Cgroup", part: Directory, file: str, value: str, error: OSError
) -> CgroupError:
    """Return the error of a limit that the kernel refused, with the reason and the remedy."""
    if file == "memory.limit_in_bytes" and error.errno == errno.EBUSY:
        usage, peak = part.number("memory.usage_in_bytes"), cgroup.memory_peak()
        return CgroupError(
            f"unable to set memory limit to {value} (current usage: {usage}, peak usage: {peak})"
        )
    why = f'write "{value}" to {part.full_path}/{file}: {reason(error)}'
    remedy = remedy_of(cgroup, part, file, value, error)
    return CgroupError(f"cannot set {limit_name(file)} limit: {why}{remedy and ': '}{remedy}")


def remedy_of(cgroup: "Cgroup", part: Directory, file: str, value: str, error: OSError) -> str:
    """Say what can be done; "" where the errno says it all."""
    if error.errno in MISSING:
        return why_missing(cgroup, part, file, error)
    return why_refused(part, file, value, error)


def is_undelegated(cgroup: "Cgroup", part: Directory, file: str, error: OSError) -> bool:
    """Tell whether a file is missing because nobody handed its controller on to us."""
    if cgroup.version == 1 or error.errno != errno.ENOENT:
        return False
    return controller_of(file).encode() not in part.read("cgroup.controllers").split()


def why_missing(cgroup: "Cgroup", part: Directory, file: str, error: OSError) -> str:
    """Say why a file is not there or not ours."""
    controller = controller_of(file)
    if part.has(file):
        return why_not_ours(part, file, error)
    if file in SWAP and part.has("memory.max" if part.name == "" else "memory.limit_in_bytes"):
        return "this kernel accounts no swap: boot it with swapaccount=1"
    if cgroup.version == 2 and is_undelegated(cgroup, part, file, error):
        from pyoci.cgroup.v2 import why_missing as why

        return why(part, controller)
    if controller == "hugetlb":
        return f"this host has pages of {page_sizes()}"
    needs = [words for name, words in NEEDS if file.startswith(name)]
    return needs[0] if needs else f'controller "{controller}" has no such file on this kernel'


def why_not_ours(part: Directory, file: str, error: OSError) -> str:
    """Say why a file that is there refuses us."""
    if file.startswith("cpuset.") and error.errno == errno.EACCES and part.name:
        above = Directory(part.name, part.mount, part.path.rpartition("/")[0])
        try:
            return f"{above.full_path}/{file} has {above.read(file).decode().strip()}, and no more can be given"
        finally:
            above.close()
    return "it belongs to another user"


def why_refused(part: Directory, file: str, value: str, error: OSError) -> str:
    """Say what the kernel means by an errno that is not plain; "" for one that is."""
    if file.startswith("cpu.rt_") and error.errno == errno.EINVAL:
        above = part.full_path.rpartition("/")[0]
        return f"each cgroup above it needs as much: write it into {above}/cpu.rt_runtime_us first"
    if file in ("cpu.weight", "cpu.shares") and part.number("cpu.idle") == 1:
        return "the cgroup is idle and has no weight: cpu.idle must be 0 first"
    device = value.partition(" ")[0]
    return why_not_on_disk(device, error) if ":" in device else ""


def why_not_on_disk(device: str, error: OSError) -> str:
    """Say why a disk, named by its numbers, takes no limit."""
    disk = f"/sys/dev/block/{device}"
    if error.errno == errno.ENODEV and posix.access(f"{disk}/partition", posix.F_OK):
        return f"{device} is a partition, and only whole disks have limits"
    if error.errno == errno.ENODEV:
        return f"there is no disk {device} on this host"
    if error.errno == errno.EOPNOTSUPP:
        return f"{NO_SCHEDULER}: echo bfq > {disk}/queue/scheduler"
    return ""


def page_sizes() -> str:
    """Return the sizes of huge pages that this kernel has, as the files are called."""
    try:
        names = posix.listdir(PAGES)
    except OSError:
        return "no size but the normal one (CONFIG_HUGETLBFS)"
    sizes = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return ", ".join(page_size(kilobytes) for kilobytes in sizes)


def page_size(kilobytes: int) -> str:
    """Return a size as the specification has it, such as 2MB."""
    for shift, unit in ((20, "GB"), (10, "MB")):
        if kilobytes >> shift:
            return f"{kilobytes >> shift}{unit}"
    return f"{kilobytes}KB"
