# SPDX-License-Identifier: Apache-2.0
"""Make a container's cgroups, all or none, unless somebody has them; rootless may go without."""

import errno
import posix

from pyoci.cgroup.directory import Directory, reason
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup, Resources
    from pyoci.cgroup.directory import Level

NO_PERMISSION = (errno.EACCES, errno.EPERM, errno.EROFS)


def make(cgroup: "Cgroup", resources: "Resources | None") -> None:
    """Make every directory; after a failure none is left that was not there before."""
    made: list[Directory] = []
    try:
        if cgroup.version == 2:
            make_v2(cgroup, resources, made)
        else:
            for part in list(cgroup.parts):
                make_part(cgroup, part, resources, made, level_of(part))
    except BaseException:
        cgroup.close()
        cgroup.parts = made
        cgroup.remove()
        # What is left are strangers' directories: nothing may be killed or removed by this object.
        cgroup.parts = []
        raise


def make_v2(cgroup: "Cgroup", resources: "Resources | None", made: list[Directory]) -> None:
    """Make the one directory of version 2, and have it be one that a process may enter."""
    from pyoci.cgroup.v2 import check_type, inherit, may_be_threaded

    for part in list(cgroup.parts):
        make_part(cgroup, part, resources, made, None)
        if cgroup.parts and may_be_threaded(inherit(part, cgroup.available)):
            check_type(part, resources)


def make_part(
    cgroup: "Cgroup",
    part: Directory,
    resources: "Resources | None",
    made: list[Directory],
    level: "Level | None",
) -> None:
    """Make one directory, and name it if it is new; drop it where rootless may go without."""
    try:
        new = part.make(level)
    except OSError as error:
        refuse_unless_needless(cgroup, part, resources, error)
        cgroup.parts.remove(part)
        return
    if new:
        made.append(part)
    else:
        refuse_used(part)


def level_of(part: Directory) -> "Level | None":
    """Return what has to be done at each level of a version 1 hierarchy on the way down."""
    if "cpuset" in part.name.split(","):
        from pyoci.cgroup.v1 import fill_cpuset

        return fill_cpuset
    return None


def refuse_unless_needless(
    cgroup: "Cgroup", part: Directory, resources: "Resources | None", error: OSError
) -> None:
    """Accept that there is no permission where rootless asked for neither a path nor limits."""
    failed = f"mkdir {part.full_path}: {reason(error)}"
    if not cgroup.rootless or cgroup.asked_for or error.errno not in NO_PERMISSION:
        raise CgroupError(f"unable to apply cgroup configuration: {failed}") from error
    if cgroup.version == 1:
        return  # per hierarchy: a limit of one that is missing is refused when it is set
    from pyoci.cgroup.resources import controllers

    if controllers(resources, 2):
        raise CgroupError(
            "unable to apply cgroup configuration: rootless needs no limits + no cgrouppath when "
            f"no permission is granted for cgroups: {failed}"
        ) from error


def check_unused(cgroup: "Cgroup") -> None:
    """Refuse directories that exist and hold processes or are frozen."""
    for part in cgroup.parts:
        if posix.access(part.full_path, posix.F_OK):
            refuse_used(part)


def refuse_used(part: Directory) -> None:
    """Refuse a directory with processes in it, or frozen; engines and tests know the words."""
    from pyoci.cgroup.freezer import is_frozen

    pids = part.pids()
    if pids:
        raise CgroupError(f"container's cgroup is not empty: {len(pids)} process(es) found")
    if is_frozen(part):
        raise CgroupError("container's cgroup unexpectedly frozen")
