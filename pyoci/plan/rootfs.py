# SPDX-License-Identifier: Apache-2.0
"""The root file system of a container, from clones of the host's mounts to pivot_root(2).

open_root and make fill it, finish takes the rights to write away, enter makes it the root. All
of it happens by descriptor while the old root is there: no path of the image becomes the host's.
"""

import errno
import posix

from pyoci.errors import SpecError, Unsupported
from pyoci.linux.mount import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
    S_IFCHR,
    S_IFDIR,
)
from pyoci.linux.path import clean
from pyoci.plan import devices, hierarchies, mounts, namespaces, ops
from pyoci.plan.options import PROPAGATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.plan.program import Program
    from pyoci.spec.types import Spec

# A missing path needs no protection; neither does one below what is no directory.
_ABSENT = (errno.ENOENT, errno.ENOTDIR)

# What `clone`d mounts of the container's own need.
_CLONE_DESCRIPTOR = mounts.CLONE | AT_EMPTY_PATH


def path(spec: "Spec", facts: "Facts") -> str:
    """Return the absolute path of the root file system on the host."""
    root = spec["root"]
    if root is None:
        raise SpecError("/root", "is required")
    return clean(root["path"] if root["path"].startswith("/") else f"{facts.bundle}/{root['path']}")


def open_sources(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Clone the root, and every source on the host that init could not: it loses sight or right.

    In the set-up process where the runtime is privileged, else in init once it has its id maps.
    """
    entries = mounts.read(spec, facts)
    program.at("/root/path")
    if not namespaces.find(spec, "mount"):
        _check_detached(spec, facts)
    if not namespaces.is_joined(spec, "mount"):
        (_clone_root if _is_tree(spec) else _open_plain)(program, spec, facts)
    for entry in entries:
        mounts.open_map(program, entry, spec)
    if not _is_sourced_early(spec, facts):
        return
    for entry in entries:
        if entry.kind != "cgroup":
            mounts.open_source(program, entry, spec, facts)
    if devices.are_wanted(entries):
        devices.open_sources(program, spec, facts)


def open_cgroup_sources(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Clone the sources that exist only once the container's cgroups are made, for the same inits."""
    if not _is_sourced_early(spec, facts):
        return
    for entry in mounts.read(spec, facts):
        if entry.kind == "cgroup":
            hierarchies.open_source(program, entry, spec, facts)


def _is_sourced_early(spec: "Spec", facts: "Facts") -> bool:
    """Tell whether the set-up process clones the sources, and not init in its copy of the host's namespace.

    An init in a user namespace may clone only what is mounted as that allows (mount_namespaces(7)), and
    one in a mount namespace of others does not see the host.
    """
    return facts.privileged and (namespaces.has_user(spec) or namespaces.is_joined(spec, "mount"))


def _is_tree(spec: "Spec") -> bool:
    """Tell whether the root is a clone of its own: always in a new mount namespace.

    Without one it stays detached (open_tree(2)): what is mounted in it is nowhere on the host, and goes with
    the last process that has it for its root. That needs Linux 6.15, so it is done only where something is mounted.
    """
    if namespaces.is_new(spec, "mount"):
        return True
    body = spec["process"]
    read_only = spec["root"] is not None and spec["root"]["readonly"]
    return bool(spec["mounts"]) or read_only or (body is not None and body["terminal"])


def _check_detached(spec: "Spec", facts: "Facts") -> None:
    """Refuse what needs rights in the host's mount namespace, or a namespace to be seen in."""
    for present, what in (
        (namespaces.has_user(spec), "a user namespace"),
        (facts.no_pivot, "--no-pivot"),
        (_is_tree(spec) and not facts.privileged, "rootless mounts"),
    ):
        if present:
            raise Unsupported(f"{what} without a mount namespace is not supported")


def _clone_root(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Clone the root file system."""
    root = program.slot("root")
    # Pinned before it is cloned, and no link itself: what is swapped later is not what is mounted.
    pinned = program.slot("target")
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW
    program.add("open", pinned, ops.CWD_SLOT, path(spec, facts), flags, 0, 0)
    program.add("open_tree", root, pinned, "", _CLONE_DESCRIPTOR | AT_RECURSIVE)
    program.add("close", pinned)
    # Never shared: what is mounted below it must not show up on the host (mount_namespaces(7)).
    kind = MS_SLAVE if mounts.default_propagation(spec) == MS_SLAVE else MS_PRIVATE
    program.add("mount_setattr", root, AT_RECURSIVE, 0, 0, kind, ops.NO_SLOT)


def open_joined_root(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Open the root in a mount namespace that was joined: it is only entered, for others live there.

    pivot_root(2) would change the root of every process in it, and what hides the host's own paths
    would hide them from all.
    """
    if not namespaces.is_joined(spec, "mount"):
        return
    if facts.no_pivot or (spec["root"] and spec["root"]["readonly"]):
        what = "--no-pivot" if facts.no_pivot else "root.readonly"
        raise Unsupported(f"{what} in a mount namespace that is joined is not supported")
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW
    program.at("/root/path")
    program.add("open", program.slot("root"), ops.CWD_SLOT, path(spec, facts), flags, 0, 0)


def _open_plain(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Open the root as it is, where nothing is mounted in it."""
    flags = posix.O_PATH | posix.O_DIRECTORY | posix.O_NOFOLLOW
    program.add("open", program.slot("root"), ops.CWD_SLOT, path(spec, facts), flags, 0, 0)


def make(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Make every mount; attach the root at its path, then them in order, then devices and links."""
    entries = mounts.read(spec, facts)
    _check_propagation(spec, facts)
    _make_mounts(program, entries, spec, facts)
    if namespaces.is_new(spec, "mount"):
        # Sources were cloned already, so this is for the old root alone. No mount of ours may reach
        # the host, and pivot_root(2) refuses a parent that is shared.
        program.at("/linux/rootfsPropagation").add("slave_root", AT_RECURSIVE, MS_SLAVE)
        program.at("/root/path").add("attach_root", program.slot("root"), path(spec, facts))
    for entry in entries:
        if entry.kind == "remount":
            mounts.remount(program, entry, entries)
            continue
        if entry.kind == "link":
            root = program.slot("root")
            program.at(f"{entry.place}/destination")
            program.add("symlink", root, entry.destination, entry.source)
            continue
        mounts.open_target(program, entry, entries, facts)
        if entry.kind == "cgroup":
            hierarchies.attach(program, entry, facts)
        else:
            mounts.attach(program, entry)
    if devices.are_wanted(entries):
        devices.make(program, spec, facts)
        devices.link(program)


def _make_mounts(
    program: "Program", entries: "list[mounts.Entry]", spec: "Spec", facts: "Facts"
) -> None:
    """Make every mount, attached nowhere: in order, but for sources that were cloned early."""
    early = _is_sourced_early(spec, facts)
    for entry in entries:
        if entry.kind == "cgroup":
            hierarchies.make(program, entry, spec, facts, has_sources=early)
            continue
        if not early:
            mounts.open_source(program, entry, spec, facts)
        if entry.kind == "new":
            mounts.make_new(program, entry, spec, facts)
    if not early and devices.are_wanted(entries):
        devices.open_sources(program, spec, facts)
    mounts.close_maps(program)


def _check_propagation(spec: "Spec", facts: "Facts") -> None:
    value = spec["linux"]["rootfsPropagation"]
    if facts.no_pivot and value in {"private", "rprivate"}:
        problem = "rootfsPropagation of [r]private is not safe without pivot_root"
        raise SpecError("/linux/rootfsPropagation", problem)


def finish(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Take the rights to write away, once everything that init itself writes is there."""
    for entry in mounts.read(spec, facts):
        if entry.read_only_last:
            program.at(f"{entry.place}/options")
            slot = program.slot(entry.slot)
            program.add("mount_setattr", slot, 0, MOUNT_ATTR_RDONLY, 0, 0, ops.NO_SLOT)
            program.add("close", slot)
    for index, name in enumerate(spec["linux"]["readonlyPaths"]):
        program.at(f"/linux/readonlyPaths/{index}")
        _protect(program, _inside(name, program.place))
    own = namespaces.is_new(spec, "mount")
    if own and (spec["linux"]["maskedPaths"] or facts.no_pivot):
        _make_empty(program)
    _mask_all(program, spec)
    if spec["root"] and spec["root"]["readonly"]:
        program.at("/root/readonly")
        root = program.slot("root")
        program.add("mount_setattr", root, 0, MOUNT_ATTR_RDONLY, 0, 0, ops.NO_SLOT)


def _inside(name: str, place: str) -> str:
    """Return a path that is not the root itself."""
    if clean(name) == "/":
        raise SpecError(place, "is the root itself: use root.readonly")
    return name


def _protect(program: "Program", name: str) -> None:
    """Mount a path over itself, read-only before anybody sees it (GHSA-3q8j-pf29-vwv8)."""
    root, target, mount = program.slot("root"), program.slot("target"), program.slot("mount")
    flags, more = posix.O_PATH, MOUNT_ATTR_RDONLY
    program.add("open", target, root, name, flags, 0, mounts.IN_ROOT, ignore=_ABSENT, skip=3)
    program.add("open_tree", mount, target, "", _CLONE_DESCRIPTOR | AT_RECURSIVE)
    program.add("mount_setattr", mount, 0, more, 0, 0, ops.NO_SLOT)
    program.add("move_mount", mount, target)


def _make_empty(program: "Program") -> None:
    """Make the empty directory that hides others, and attach it where the host's /proc was.

    A detached mount cannot be cloned before Linux 6.15. Nobody looks at the host's /proc any more:
    hooks have run. Below the new root it must not lie: pivot_root(2) would leave the old one there.
    """
    target = program.slot("target")
    program.at("/linux/maskedPaths")
    mounts.make_tmpfs(program, "empty", _EMPTY_DATA, mounts.EMPTY_ATTRIBUTES)
    program.add("open", target, ops.CWD_SLOT, "/proc", _DIRECTORY, 0, 0)
    program.add("move_mount", program.slot("empty"), target)


_EMPTY_DATA = (("mode", "555"), ("nr_blocks", "1"), ("nr_inodes", "1"))
_DIRECTORY = posix.O_PATH | posix.O_DIRECTORY


def _mask_all(program: "Program", spec: "Spec") -> None:
    """Hide directories behind an empty one, files behind a verified /dev/null (CVE-2025-31133)."""
    names = spec["linux"]["maskedPaths"]
    if not names:
        return
    null = program.slot("null")
    program.at("/linux/maskedPaths")
    flags = posix.O_PATH | posix.O_NOFOLLOW
    program.add("open", null, ops.CWD_SLOT, "/dev/null", flags, 0, 0)
    program.add("verify_type", null, S_IFCHR, posix.makedev(1, 3))
    for index, name in enumerate(names):
        program.at(f"/linux/maskedPaths/{index}")
        _mask(program, _inside(name, program.place))


def _mask(program: "Program", name: str) -> None:
    root, target, mount = program.slot("root"), program.slot("target"), program.slot("mount")
    null = program.slot("null")
    program.add("open", target, root, name, posix.O_PATH, 0, mounts.IN_ROOT, ignore=_ABSENT)
    opened = len(program.operations)
    program.add("verify_type", target, S_IFDIR, 0, ignore=(errno.ENOTDIR,))
    if "empty" in program.slots:
        program.add("open_tree", mount, program.slot("empty"), "", _CLONE_DESCRIPTOR)
    else:
        mounts.make_tmpfs(program, "mount", _EMPTY_DATA, mounts.EMPTY_ATTRIBUTES)
    program.add("move_mount", mount, target)
    mounts.pass_over(program, 2)  # what is for files
    program.operations[opened].skip = len(program.operations) - opened - 1
    program.add("open_tree", mount, null, "", _CLONE_DESCRIPTOR)
    program.add("move_mount", mount, target)
    program.operations[opened - 1].skip = len(program.operations) - opened


def enter(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Make the root the root, and let go of every descriptor that was needed for it."""
    root = program.slot("root")
    program.at("/root/path")
    if not namespaces.is_new(spec, "mount"):
        program.add("chroot", root)
    elif facts.no_pivot:
        _hide_host(program)
        program.at("/root/path").add("move_root", root)
    else:
        program.add("pivot_root", root)
    # Only now: pivot_root(2) refuses a shared root.
    kind, recursive = PROPAGATION[spec["linux"]["rootfsPropagation"] or "rslave"]
    if kind in {MS_SHARED, MS_UNBINDABLE} and namespaces.is_new(spec, "mount"):
        flags = AT_RECURSIVE if recursive else 0
        program.at("/linux/rootfsPropagation")
        program.add("mount_setattr", root, flags, 0, 0, kind, ops.NO_SLOT)
    program.at("")
    for name in ("root", "target", "mount", "fs", "empty", "null"):
        if name in program.slots:
            program.add("close", program.slot(name), ignore=(errno.EBADF,))


def _hide_host(program: "Program") -> None:
    """Cover the host's /sys, as /proc is already: both stay below a root that is only moved.

    Whoever makes a user namespace in the container could mount both anew as long as one is fully
    visible (mount_namespaces(7)).
    """
    target, mount, empty = program.slot("target"), program.slot("mount"), program.slot("empty")
    program.at("")
    program.add("open", target, ops.CWD_SLOT, "/sys", _DIRECTORY, 0, 0, ignore=_ABSENT, skip=2)
    program.add("open_tree", mount, empty, "", _CLONE_DESCRIPTOR)
    program.add("move_mount", mount, target)
