# SPDX-License-Identifier: Apache-2.0
"""Carry limits out, on a new cgroup or on one in use."""

import errno

from pyoci.cgroup.directory import Directory
from pyoci.cgroup.resources import (
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
    refuse_below_usage(cgroup, resources)
    return warnings + write_all(cgroup, writes_of(cgroup, resources), lenient=cgroup.rootless)


def writes_of(cgroup: "Cgroup", resources: "Resources") -> "Writes":
    """Return the writes that the limits need on this layout."""
    return v2_writes(resources) if cgroup.version == 2 else v1_writes(resources)


def write_all(cgroup: "Cgroup", writes: "Writes", *, lenient: bool) -> list[str]:
    """Write each value; return warnings for what is not done.

    Some files take a value only once another has its own (a quota below the present burst, memory
    above the present memory+swap): what is invalid is tried again for as long as others go in.
    Lenient is rootless: a controller that was not handed to the user makes a warning, no error.
    """
    warnings: list[str] = []
    left = writes
    while left:
        again = []
        for file, value in left:
            part = directory_of(cgroup, file)
            error = write(part, file, value)
            if error is None or is_needless(part, file, value, error):
                continue
            if error.errno == errno.EINVAL and len(left) > 1:
                again.append((file, value))
                continue
            from pyoci.cgroup.remedy import cannot_set, is_undelegated

            refusal = cannot_set(cgroup, part, file, value, error)
            if not (lenient and is_undelegated(cgroup, part, file, error)):
                raise refusal from error
            warnings.append(str(refusal))
        if len(again) == len(left):
            again = left[:1]  # no progress: the first says why
        left = again
    return warnings


def write(part: Directory, file: str, value: str) -> OSError | None:
    """Write one value; return the kernel's refusal."""
    if file.startswith(("io.", "blkio.")):
        from pyoci.cgroup import blockio

        if file in blockio.WEIGHTS:
            refusals = [write_plainly(part, *row) for row in blockio.spellings(file, value)]
            refused = [error for error in refusals if error is not None]
            # What a file that is there says is more than that another is missing.
            refused.sort(key=lambda error: error.errno == errno.ENOENT)
            return refused[0] if len(refused) == len(refusals) else None
    return write_plainly(part, file, value)


def write_plainly(part: Directory, file: str, value: str) -> OSError | None:
    """Write a value into the file of just this name; return the kernel's refusal."""
    try:
        part.write(file, value)
    except OSError as error:
        return error
    return None


def directory_of(cgroup: "Cgroup", file: str) -> Directory:
    """Return the directory that has the file of a limit, by its controller."""
    controller = controller_of(file)
    part = cgroup.controller(controller)
    if part is None:
        text = f"cannot set {limit_name(file)} limit: container could not join or create cgroup"
        if not cgroup.rootless:
            text += (
                f': controller "{controller}" is not mounted '
                f"(mount -t cgroup -o {controller} {controller} /sys/fs/cgroup/{controller})"
            )
        raise CgroupError(text)
    return part


def is_needless(part: Directory, file: str, value: str, error: OSError) -> bool:
    """Tell whether a refused write had nothing to change: swap or reservations without account."""
    if error.errno != errno.ENOENT:
        return False
    if file in SWAP:
        return value in NO_LIMITS
    # The limit itself was written just before it.
    return ".rsvd." in file and part.has(file.replace(".rsvd.", "."))


def refuse_below_usage(cgroup: "Cgroup", resources: "Resources") -> None:
    """Refuse limits below what is in use now (checkBeforeUpdate): version 2 would kill for them."""
    memory = resources["memory"]
    if memory is None or not memory["checkBeforeUpdate"]:
        return
    limit, swap = memory["limit"] or 0, memory["swap"] or 0
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
