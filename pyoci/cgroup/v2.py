# SPDX-License-Identifier: Apache-2.0
"""What only a version 2 hierarchy has: delegated controllers, events, cgroup.freeze, cgroup.kill.

Documentation/admin-guide/cgroup-v2.rst is the source for all of it.
"""

import errno
import posix

from pyoci.cgroup.directory import GONE, Directory, processes, read, reason, refuse, write
from pyoci.errors import CgroupError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Resources
    from pyoci.cgroup.wait import Deadline

DOMAIN_CONTROLLERS = frozenset(("memory", "io", "hugetlb", "rdma", "misc"))  # of no threaded cgroup


def inherit(directory: Directory, available: bytes | None) -> bytes:
    """Give a cgroup every controller that there is, where the kernel lets us; return those it has.

    `available` are those of the whole hierarchy, None where nobody knows: where the cgroup above hands
    all of them on, and that is the rule, nothing else is read. What is refused (no permission; EBUSY,
    "no internal processes") matters only if a limit needs it: `why_missing` explains it then.
    """
    above = directory.full_path.rpartition("/")[0]
    try:
        handed = read(f"{above}/cgroup.subtree_control")
        return handed if handed == available else hand_down(directory)
    except OSError as error:
        what = f"cannot read the controllers of cgroup {directory.full_path}"
        raise refuse(what, error) from error


def hand_down(directory: Directory) -> bytes:
    """Enable, from the top on down, what one cgroup has and the next lacks; return what the last has."""
    below = directory.mount
    own = read(f"{below}/cgroup.controllers")
    for part in directory.path.split("/")[1:]:
        here, below = below, f"{below}/{part}"
        has, own = own, read(f"{below}/cgroup.controllers")
        if own != has:
            enable_all(here, [name for name in has.split() if name not in own.split()])
            own = read(f"{below}/cgroup.controllers")
    return own


def enable_all(path: str, controllers: list[bytes]) -> None:
    """Enable what can be for the cgroups below one: one that is refused does not keep others out."""
    # With processes there (EBUSY) the threaded controllers alone would be taken, but make a
    # threaded domain of it, whose new children nothing can enter: better none.
    if enable(path, controllers) not in (0, errno.EBUSY):
        for controller in controllers:
            enable(path, [controller])


def enable(path: str, controllers: list[bytes]) -> int:
    """Enable controllers with one write; return the errno of a refusal, or 0."""
    try:
        write(f"{path}/cgroup.subtree_control", b" ".join(b"+" + name for name in controllers))
    except OSError as error:
        return error.errno or 0
    return 0


def may_be_threaded(controllers: bytes) -> bool:
    """Tell whether a cgroup with these controllers may be below a threaded one."""
    return DOMAIN_CONTROLLERS.isdisjoint(controllers.decode().split())


def check_type(directory: Directory, resources: "Resources | None") -> None:
    """Make a cgroup below a threaded one usable: threaded, too, if no limit needs a domain."""
    try:
        kind = directory.read("cgroup.type").strip()
    except FileNotFoundError:
        return  # the root of the hierarchy in this cgroup namespace's view
    if kind != b"domain invalid":
        return
    from pyoci.cgroup.resources import controllers

    if controllers(resources, 2).intersection(DOMAIN_CONTROLLERS):
        raise CgroupError(
            f"cannot enter cgroup {directory.full_path}: it is below a threaded one "
            '(cgroup.type is "domain invalid"), which has no memory, io, hugetlb or rdma controller'
        )
    try:
        directory.write("cgroup.type", "threaded")
    except OSError as error:
        raise refuse(f"cannot make cgroup {directory.full_path} threaded", error) from error


def delegate(directory: Directory, uid: int) -> str | None:
    """Let a user make cgroups below this one and move its processes there; return why not.

    The limits of the cgroup itself are files that stay ours (cgroup-v2.rst, "Delegation").
    """
    try:
        posix.chown(".", uid, -1, dir_fd=directory.open(), follow_symlinks=False)
        for name in delegated_files():
            if directory.has(name):
                posix.chown(name, uid, -1, dir_fd=directory.open(), follow_symlinks=False)
    except OSError as error:
        return f"chown {directory.full_path}: {reason(error)}"
    return None


def delegated_files() -> list[str]:
    """Return the files that go with a cgroup: what the kernel says, or what all kernels have."""
    try:
        fd = posix.open("/sys/kernel/cgroup/delegate", posix.O_RDONLY)
    except OSError:
        return ["cgroup.procs", "cgroup.subtree_control", "cgroup.threads"]
    try:
        return posix.read(fd, 4096).decode().split()
    finally:
        posix.close(fd)


def kill(directory: Directory) -> bool:
    """Kill every process in the cgroup and below with one write; False where the kernel cannot."""
    try:
        directory.write("cgroup.kill", "1")
    except OSError as error:
        # ENOENT: Linux before 5.14, or no such cgroup; EOPNOTSUPP: a threaded cgroup.
        if error.errno in (*GONE, errno.EOPNOTSUPP, errno.EACCES, errno.EPERM):
            return False
        raise
    return True


def freeze(directory: Directory, deadline: "Deadline") -> bool:
    """Freeze the cgroup and wait until it is; return whether it is within the deadline."""
    directory.write("cgroup.freeze", "1")
    return wait_event(directory, b"frozen", 1, deadline)


def thaw(directory: Directory) -> None:
    """Thaw the cgroup; what was frozen further below stays so."""
    directory.write("cgroup.freeze", "0")


def is_frozen(directory: Directory) -> bool:
    """Tell whether the cgroup is frozen or about to be, by itself or by one above it."""
    return (
        directory.number("cgroup.freeze") == 1 or directory.value("cgroup.events", b"frozen") == 1
    )


def wait_empty(directory: Directory, deadline: "Deadline") -> bool:
    """Wait until no live process is in the cgroup or below; return whether that is so."""
    return wait_event(directory, b"populated", 0, deadline)


def wait_event(directory: Directory, key: bytes, wanted: int, deadline: "Deadline") -> bool:
    """Wait until cgroup.events says so (a change is POLLPRI); one that is gone says so, too."""
    import select

    from pyoci.cgroup.wait import until

    try:
        events = directory.open_file("cgroup.events", posix.O_RDONLY)
    except OSError as error:
        if error.errno in GONE:
            return True
        raise

    def says_so() -> bool:
        try:
            text = posix.pread(events, 4096, 0)
        except OSError as error:
            if error.errno in GONE:
                return True
            raise
        return f"{key.decode()} {wanted}\n".encode() in text

    try:
        return until(says_so, [events], select.POLLPRI, deadline)
    finally:
        posix.close(events)


def why_missing(directory: Directory, controller: str) -> str:
    """Say why a cgroup lacks a controller: in which ancestor it is not enabled, and the remedy."""
    at = Directory("", directory.mount, "")
    try:
        if controller.encode() not in at.read("cgroup.controllers").split():
            return (
                f'controller "{controller}" is not available: it is missing in '
                f"{at.full_path}/cgroup.controllers (bound to cgroup v1, off by "
                "cgroup_disable=, or not delegated to this container or user)"
            )
        for part in directory.path.split("/")[1:]:
            if controller.encode() not in at.read("cgroup.subtree_control").split():
                return not_delegated(at, controller)
            at.close()
            at = Directory("", directory.mount, f"{at.path}/{part}")
    except OSError as error:
        return f'controller "{controller}" is not available: {at.full_path}: {reason(error)}'
    finally:
        at.close()
    return f'controller "{controller}" has no such file on this kernel'


def not_delegated(at: Directory, controller: str) -> str:
    """Say that a cgroup does not hand a controller on, and what can be done."""
    text = f'controller "{controller}" is not enabled in {at.full_path}/cgroup.subtree_control'
    # Not found out by trying: that can make a threaded domain of it (see enable_all).
    if at.path and processes(at.open(), "cgroup.procs"):
        return f"{text}, which has processes of its own: move them into a cgroup below it"
    if posix.access("cgroup.subtree_control", posix.W_OK, dir_fd=at.open(), effective_ids=True):
        return f'{text}: write "+{controller}" there'
    return f'{text}: write "+{controller}" there as root, or set Delegate=yes in its unit'
