# SPDX-License-Identifier: Apache-2.0
"""Carry limits out, and say what to do about those that the kernel refuses."""

import errno

from pyoci.cgroup.directory import Directory, reason
from pyoci.cgroup.resources import (
    LATER,
    NO_LIMITS,
    SWAP,
    check,
    controller_of,
    limit_name,
    v1_writes,
    v2_writes,
)
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup, Resources
    from pyoci.cgroup.resources import Writes


def apply(cgroup: "Cgroup", resources: "Resources | None") -> list[str]:
    """Write the limits and version 1's device rules; return warnings for what is not done."""
    devices = cgroup.part("devices")
    # An ordinary user may not write the rules and needs none: the kernel lets it make no device.
    if devices is not None and not cgroup.rootless:
        from pyoci.cgroup.devices import apply_v1

        apply_v1(devices, None if resources is None else resources["devices"])
    if resources is None:
        return []
    warnings = check(resources, cgroup.version)
    memory = resources["memory"]
    if memory is not None and memory["checkBeforeUpdate"]:
        refuse_below_usage(cgroup, memory["limit"] or 0, memory["swap"] or 0)
    write_all(cgroup, v2_writes(resources) if cgroup.version == 2 else v1_writes(resources))
    return warnings


def write_all(cgroup: "Cgroup", writes: "Writes") -> None:
    """Write each value; those that the kernel takes only after others once more at the end."""
    again = []
    for file, value in writes:
        part = directory_of(cgroup, file)
        try:
            part.write(file, value)
        except OSError as error:
            if error.errno == errno.EINVAL and file in LATER:
                again.append((file, value))
            elif not is_needless(file, value, error):
                raise cannot_set(cgroup, part, file, value, error) from error
    for file, value in again:
        part = directory_of(cgroup, file)
        try:
            part.write(file, value)
        except OSError as error:
            raise cannot_set(cgroup, part, file, value, error) from error


def directory_of(cgroup: "Cgroup", file: str) -> Directory:
    """Return the directory that has the file of a limit, by its controller."""
    part = cgroup.controller(controller_of(file))
    if part is None:
        text = f"cannot set {limit_name(file)} limit: container could not join or create cgroup"
        if not cgroup.rootless:
            text += f': controller "{controller_of(file)}" is not mounted'
        raise CgroupError(text)
    return part


def is_needless(file: str, value: str, error: OSError) -> bool:
    """Tell whether a refused write had nothing to change: swap that is not accounted."""
    return error.errno == errno.ENOENT and file in SWAP and value in NO_LIMITS


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
    if error.errno in (errno.ENOENT, errno.EPERM, errno.EACCES):
        why += f": {why_missing(cgroup, part, file)}"
    return CgroupError(f"cannot set {limit_name(file)} limit: {why}")


def why_missing(cgroup: "Cgroup", part: Directory, file: str) -> str:
    """Say why a file is not there or not ours."""
    controller = controller_of(file)
    if file in SWAP and part.has("memory.max" if part.name == "" else "memory.limit_in_bytes"):
        return "this kernel accounts no swap: boot it with swapaccount=1"
    if cgroup.version == 2:
        from pyoci.cgroup.v2 import why_missing as why

        return why(part, controller)
    return f'controller "{controller}" has no such file on this kernel, or it is not ours'


def refuse_below_usage(cgroup: "Cgroup", limit: int, swap: int) -> None:
    """Refuse limits below what is in use now (checkBeforeUpdate): version 2 would kill for them."""
    part = directory_of(cgroup, "memory.max")
    if cgroup.version == 2:
        used = part.number("memory.current") or 0
        both = used + (part.number("memory.swap.current") or 0)
    else:
        used = part.number("memory.usage_in_bytes") or 0
        both = part.number("memory.memsw.usage_in_bytes") or 0
    if 0 < limit < used:
        raise CgroupError(f"rejecting memory limit {limit}: {used} are in use")
    if 0 < swap < both:
        raise CgroupError(f"rejecting memory+swap limit {swap}: {both} are in use")
