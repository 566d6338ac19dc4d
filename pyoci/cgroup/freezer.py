# SPDX-License-Identifier: Apache-2.0
"""Freeze and thaw a container: the freezer controller of version 1, cgroup.freeze of version 2."""

from pyoci.cgroup import v1, v2
from pyoci.cgroup.directory import GONE, Directory, refuse
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup
    from pyoci.cgroup.wait import Deadline

SECONDS = 10.0
THAW_SECONDS = 2.0  # only a cgroup above that is frozen makes it take any time


def freeze(cgroup: "Cgroup") -> None:
    """Freeze every process; what cannot be frozen in time is let go again, and an error."""
    from pyoci.cgroup.wait import Deadline

    part = freezable(cgroup)
    if part is None:
        raise CgroupError("cannot freeze: the container has no cgroup with a freezer")
    try:
        done = freeze_part(part, Deadline(SECONDS))
        if not done:
            thaw_part(part)
    except OSError as error:
        raise refuse(f"cannot freeze cgroup {part.full_path}", error) from error
    if not done:
        raise CgroupError(f"cannot freeze cgroup {part.full_path}: not done after {SECONDS:.0f} s")


def thaw(cgroup: "Cgroup") -> None:
    """Thaw whichever hierarchy is frozen: on hybrid somebody else may have used the other."""
    for part in cgroup.parts:
        try:
            if is_frozen(part):
                thaw_part(part)
        except OSError as error:
            if error.errno not in GONE:
                raise refuse(f"cannot thaw cgroup {part.full_path}", error) from error


def resume(cgroup: "Cgroup") -> None:
    """Thaw, and wait until the kernel says so; what a cgroup above keeps frozen is an error."""
    from pyoci.cgroup.wait import Deadline

    thaw(cgroup)
    deadline = Deadline(THAW_SECONDS)
    for part in cgroup.parts:
        if not is_thawed(part, deadline):
            raise CgroupError(f"cannot thaw cgroup {part.full_path}: one above it is frozen")


def freezable(cgroup: "Cgroup") -> Directory | None:
    """Return the directory that is frozen for the container."""
    return cgroup.part("freezer") or cgroup.part("")


def freeze_part(part: Directory, deadline: "Deadline") -> bool:
    """Freeze one directory; return whether that was done within the deadline."""
    return v1.freeze(part, deadline) if part.name else v2.freeze(part, deadline)


def thaw_part(part: Directory) -> None:
    """Thaw one directory."""
    if part.name:
        v1.thaw(part)
    else:
        v2.thaw(part)


def is_thawed(part: Directory, deadline: "Deadline") -> bool:
    """Tell whether one directory is thawed; version 2 says so when its processes are on their way."""
    if part.name == "":
        return v2.wait_event(part, b"frozen", 0, deadline)
    return not is_frozen(part)


def is_frozen(part: Directory) -> bool:
    """Tell whether one directory is frozen; only two kinds of hierarchy can be."""
    if part.name == "":
        return v2.is_frozen(part)
    return "freezer" in part.name.split(",") and v1.is_frozen(part)
