# SPDX-License-Identifier: Apache-2.0
"""Change the limits of a cgroup in use: all of them, or none."""

import errno
import posix

from pyoci.cgroup import blockio
from pyoci.cgroup.directory import Directory, refuse
from pyoci.cgroup.limits import (
    directory_of,
    refuse_below_usage,
    write_all,
    write_plainly,
    writes_of,
)
from pyoci.cgroup.resources import check, controller_of
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pyoci.cgroup import Cgroup, Resources
    from pyoci.cgroup.resources import Writes

    Devices = Sequence[Mapping[str, Any]]

# Files with a row for each device: what a write says of a device that has no row.
ROWS = {
    "io.max": "rbps=max wbps=max riops=max wiops=max",
    "io.latency": "target=0",
    "io.weight": "default",
    "io.bfq.weight": "default",
    "blkio.bfq.weight_device": "default",
    "blkio.weight_device": "0",
    "blkio.leaf_weight_device": "0",
    "blkio.throttle.read_bps_device": "0",
    "blkio.throttle.write_bps_device": "0",
    "blkio.throttle.read_iops_device": "0",
    "blkio.throttle.write_iops_device": "0",
    "net_prio.ifpriomap": "0",
    "rdma.max": "hca_handle=max hca_object=max",
    "misc.max": "max",
}
# What else a write changes: an idle cgroup forgets its weight (sched_group_set_idle).
FOLLOWERS = {"cpu.idle": ("cpu.weight", "cpu.shares")}


class Change:
    """A change of limits that can be taken back for as long as it is not `settled`."""

    __slots__ = ("before", "cgroup", "devices")

    def __init__(self, cgroup: "Cgroup") -> None:
        self.cgroup = cgroup
        self.before: Writes = []  # what the files said, in the order of the writes
        self.devices: tuple[Devices, Devices] | None = None

    def limit(self, resources: "Resources") -> list[str]:
        """Write every limit that is given; return warnings for what is not done."""
        warnings = check(resources, self.cgroup.version)
        refuse_below_usage(self.cgroup, resources)
        writes = writes_of(self.cgroup, resources)
        for file, value in writes:
            self.before += before(directory_of(self.cgroup, file), file, value)
        return warnings + write_all(self.cgroup, writes, lenient=False)

    def allow(self, old: "Devices", new: "Devices") -> None:
        """Replace the device rules; no device that both allow is denied for a moment."""
        replace_rules(self.cgroup, old, new)
        self.devices = (old, new)

    def take_back(self) -> list[str]:
        """Put everything back as it was; return the files where even that was refused."""
        lost = []
        if self.devices is not None:
            old, new = self.devices
            try:
                replace_rules(self.cgroup, new, old)
            except CgroupError as error:
                lost.append(str(error))
        left = self.before[::-1]
        while left:
            again = [row for row in left if write_plainly(directory_of(self.cgroup, row[0]), *row)]
            if len(again) == len(left):
                return lost + [file for file, _ in left]
            left = again
        return lost


def before(part: Directory, file: str, value: str) -> "Writes":
    """Return the writes that would undo one; none for a file that is not there."""
    files = [file]
    if controller_of(file) in ("io", "blkio") and file in blockio.WEIGHTS:
        files = [name for name, _ in blockio.spellings(file, value)]
    found = []
    for name in (*files, *FOLLOWERS.get(file, ())):
        try:
            text = part.read(name).decode().strip()
        except OSError:
            continue
        found.append((name, undoing(name, value, text)))
    return found


def undoing(file: str, value: str, text: str) -> str:
    """Return what to write into a file with this content, to undo the write of `value`."""
    key, space, _ = value.partition(" ")
    if file not in ROWS:
        # cpuset.cpus.partition says why it is invalid; an empty file is emptied by a line break.
        return text.partition(" (")[0].removesuffix(" invalid") or "\n"
    if not space:  # io.weight for all devices
        key = "default"
    rows = [line for line in text.split("\n") if line.startswith(f"{key} ")]
    if rows:
        return rows[0]
    return f"{key} {ROWS[file]}" if space else text


def replace_rules(cgroup: "Cgroup", old: "Devices", new: "Devices") -> None:
    """Replace the device rules: on version 2 in one step, on version 1 only where they differ."""
    from pyoci.cgroup import devices

    directory = cgroup.controller("devices")
    if directory is None:
        raise CgroupError("cannot set device rules: container could not join or create cgroup")
    if cgroup.version == 1:
        devices.write_v1(directory, devices.v1_changes(old, new))
        return
    from pyoci.linux import bpf

    # A readable one: bpf(2) takes no O_PATH.
    fd = posix.open(".", posix.O_RDONLY | posix.O_DIRECTORY, dir_fd=directory.open())
    try:
        bpf.replace(fd, devices.program(old), devices.program(new))
    except OSError as error:
        needs = ", which needs CAP_BPF and CAP_NET_ADMIN" if error.errno == errno.EPERM else ""
        what = f"cannot set device rules: bpf(BPF_PROG_ATTACH) on {directory.full_path}{needs}"
        raise refuse(what, error) from error
    finally:
        posix.close(fd)
