# SPDX-License-Identifier: Apache-2.0
"""What a container has used, in the shape of runc's `events --stats`, from cgroups of either version.

A controller that is not there counts zero: the shape is always whole.
"""

import errno
import posix

from pyoci.cgroup import statistics_text as text
from pyoci.cgroup.directory import GONE
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType
    from typing import Any, TypeVar

    from pyoci.cgroup import Cgroup
    from pyoci.cgroup.directory import Directory

    T = TypeVar("T")
    Fields = dict[str, Any]

HUGEPAGES = "/sys/kernel/mm/hugepages"
UNITS = ("KB", "MB", "GB")
ABSENT = (*GONE, errno.EOPNOTSUPP)  # EOPNOTSUPP: pressure where psi=0 was booted


class Files:
    """The files of a container's cgroup in one hierarchy; none when it has no such hierarchy."""

    __slots__ = ("directory",)

    def __init__(self, directory: "Directory | None") -> None:
        self.directory = directory

    def parsed(self, file: str, parser: "Callable[[str], T]") -> "T | None":
        """Return what a file says; None without such a file."""
        if self.directory is None:
            return None
        try:
            content = self.directory.read(file).decode()
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise
        try:
            return parser(content)
        except (LookupError, ValueError) as error:
            where = f"{self.directory.full_path}/{file}"
            raise CgroupError(f"cannot read statistics: {where}: unknown form: {error}") from error

    def number(self, file: str) -> int:
        """Return the number in a file, 0 without it."""
        return self.parsed(file, text.number) or 0

    def keyed(self, file: str) -> dict[str, int]:
        """Return the names and numbers in a file, none without it."""
        return self.parsed(file, text.keyed) or {}


def collect(cgroup: "Cgroup") -> "Fields":
    """Return all statistics of the cgroup, the keys in runc's order (cli.md 2, events)."""
    if not cgroup.parts:
        raise CgroupError("cannot read statistics: the container has no cgroup")
    version = version_of(cgroup)
    files = {name: Files(cgroup.controller(name)) for name in version.CONTROLLERS}
    unified = Files(cgroup.part(""))
    return {
        "cpu": version.cpu(files) | pressure(unified, "cpu"),
        "cpuset": cpuset(files["cpuset"], version.CPUSET),
        "memory": version.memory(files["memory"]) | pressure(unified, "memory"),
        "pids": pids(files["pids"], cgroup),
        "blkio": version.blkio(files["blkio"]) | pressure(unified, "io"),
        "hugetlb": hugetlb(cgroup),
    }


def version_of(cgroup: "Cgroup") -> "ModuleType":
    """Return the module of the version that has the controllers."""
    if cgroup.version == 2:
        from pyoci.cgroup import statistics_v2

        return statistics_v2
    from pyoci.cgroup import statistics_v1

    return statistics_v1


def pressure(unified: Files, resource: str) -> "Fields":
    """Return the stall information, which every version 2 cgroup has, also on a hybrid layout."""
    return text.sparse(psi=unified.parsed(f"{resource}.pressure", text.pressure))


def cpuset(files: Files, names: tuple[str, str]) -> "Fields":
    """Return the processors and memory nodes; the flags are version 1's."""
    cpus, mems = (files.parsed(f"cpuset.{name}", text.ranges) for name in names)

    def flag(name: str) -> int:
        return files.number(f"cpuset.{name}")

    return {
        **text.sparse(cpus=cpus),
        "cpu_exclusive": flag("cpu_exclusive"),
        **text.sparse(mems=mems),
        "mem_hardwall": flag("mem_hardwall"),
        "mem_exclusive": flag("mem_exclusive"),
        "memory_migrate": flag("memory_migrate"),
        "memory_spread_page": flag("memory_spread_page"),
        "memory_spread_slab": flag("memory_spread_slab"),
        "memory_pressure": flag("memory_pressure"),
        "sched_load_balance": flag("sched_load_balance"),
        "sched_relax_domain_level": flag("sched_relax_domain_level"),
    }


def pids(files: Files, cgroup: "Cgroup") -> "Fields":
    """Return tasks and their limit, 0 for none; without the controller the processes are counted."""
    current = files.parsed("pids.current", text.number)
    limit = files.number("pids.max")
    return text.sparse(
        current=len(cgroup.pids()) if current is None else current,
        limit=0 if limit == text.UNLIMITED else limit,
    )


def hugetlb(cgroup: "Cgroup") -> "Fields":
    """Return the use of each size of huge pages, from the version that has the controller."""
    first, second = Files(cgroup.part("hugetlb")), Files(cgroup.part(""))
    found: Fields = {}
    for size in page_sizes():
        usage: int | None
        if first.directory is not None:
            usage, peak, failures = (
                first.number(f"hugetlb.{size}.{name}")
                for name in ("usage_in_bytes", "max_usage_in_bytes", "failcnt")
            )
        else:
            usage, peak = second.parsed(f"hugetlb.{size}.current", text.number), 0
            failures = second.keyed(f"hugetlb.{size}.events").get("max", 0)
        if usage is not None:
            found[size] = {**text.sparse(usage=usage, max=peak), "failcnt": failures}
    return found


def page_sizes() -> list[str]:
    """Return the sizes of huge pages as the files of the controller spell them: 64KB, 2MB, 1GB."""
    try:
        names = posix.listdir(HUGEPAGES)
    except FileNotFoundError:
        return []
    return sorted(page_size(int(name.partition("-")[2].removesuffix("kB"))) for name in names)


def page_size(kilobytes: int) -> str:
    """Return a size in its greatest unit."""
    size, unit = kilobytes, 0
    while size >= 1024 and unit < len(UNITS) - 1:
        size, unit = size // 1024, unit + 1
    return f"{size}{UNITS[unit]}"
