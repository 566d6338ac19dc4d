# SPDX-License-Identifier: Apache-2.0
"""Mounts of type cgroup: every v1 hierarchy below a tmpfs, or cgroup2 (cgroups(7))."""

import errno

from pyoci.linux.mount import MOUNT_ATTR_RDONLY
from pyoci.plan import mounts, namespaces, ops
from pyoci.plan.program import Late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.plan.mounts import Entry
    from pyoci.plan.program import Program
    from pyoci.spec.types import Spec

CGROUP_ROOT = "/sys/fs/cgroup"


def _hierarchies(facts: "Facts") -> list[tuple[str, Late, list[str]]]:
    """Return of each v1 hierarchy its name, the container's directory and further names."""
    found: dict[Late, list[str]] = {}
    for number, (name, _) in enumerate(facts.cgroups):
        directory = Late(facts, number)
        if (
            directory != facts.unified or facts.layout == "v2"
        ):  # of a hybrid layout only v1 is shown
            found.setdefault(directory, []).append(name.removeprefix("name="))
    rows = []
    for directory, names in found.items():
        inside = directory.startswith(CGROUP_ROOT + "/")
        main = directory.split("/")[4] if inside else names[0]
        links = {part for name in (main, *names) for part in name.split(",")} - {main}
        rows.append((main, directory, sorted(links)))
    return rows


def open_source(program: "Program", entry: "Entry", spec: "Spec", facts: "Facts") -> None:
    """Clone the container's own cgroups; on v2 without a cgroup namespace all of the host's."""
    program.at(entry.place)
    if facts.layout == "v2":
        own = [Late(facts, number) for number, row in enumerate(facts.cgroups) if not row[0]]
        joined = namespaces.find(spec, "cgroup") is not None
        for path in own if joined else [CGROUP_ROOT]:
            slot = program.slot(entry.slot)
            program.add("open_tree", slot, ops.CWD_SLOT, path, mounts.CLONE)
            mounts.isolate(program, slot, entry.options)
        return
    for main, directory, _ in _hierarchies(facts):
        slot = program.slot(f"{entry.slot} {main}")
        program.add("open_tree", slot, ops.CWD_SLOT, directory, mounts.CLONE)
        mounts.isolate(program, slot, entry.options)


def make(
    program: "Program", entry: "Entry", spec: "Spec", facts: "Facts", *, has_sources: bool
) -> None:
    """Make what shows the cgroups: cgroup2, or the tmpfs above the clones of version 1."""
    program.at(entry.place)
    if facts.layout != "v2":
        attributes = entry.options.attributes & ~MOUNT_ATTR_RDONLY
        mounts.make_tmpfs(program, entry.slot, (("mode", "755"),), attributes)
    if not has_sources:
        open_source(program, entry, spec, facts)
    if facts.layout == "v2":
        _make_v2(program, entry, spec)


def attach(program: "Program", entry: "Entry", facts: "Facts") -> None:
    """Attach the cgroups to the target that is open."""
    program.at(entry.place)
    if facts.layout == "v2":
        mounts.move(program, entry)
    else:
        _attach_v1(program, entry, facts)


def _make_v2(program: "Program", entry: "Entry", spec: "Spec") -> None:
    """Mount cgroup2 anew in a new cgroup namespace, else show the clone; without either, nothing.

    In the host's cgroup namespace a new mount would change the flags of the host's (cgroups(7),
    nsdelegate).
    """
    attributes = entry.options.attributes
    opened = entry.slot in program.slots
    if namespaces.is_new(spec, "cgroup"):
        refusals = (errno.EPERM, errno.EBUSY) if opened else ()
        mounts.make_filesystem(program, entry, None, attributes, refusals)
    elif not opened:
        mounts.make_tmpfs(program, entry.slot, (("mode", "555"),), attributes | MOUNT_ATTR_RDONLY)


def _attach_v1(program: "Program", entry: "Entry", facts: "Facts") -> None:
    """Show each v1 hierarchy below a tmpfs, with links for controllers that share one."""
    rows = _hierarchies(facts)
    # Without a cgroup of its own there is nothing to show, and nothing to write to.
    read_only = entry.options.attributes & MOUNT_ATTR_RDONLY if rows else MOUNT_ATTR_RDONLY
    slot, target = program.slot(entry.slot), program.slot("target")
    program.add("move_mount", slot, target)
    for main, _, links in rows:
        source = program.slot(f"{entry.slot} {main}")
        program.add("create", target, slot, main, mounts.DIRECTORY, 0o755)
        program.add("move_mount", source, target)
        program.add("close", source)
        for link in links:
            program.add("symlink", slot, link, main)
    # Only the tmpfs: each hierarchy has its own read-only attribute.
    if read_only:
        program.add("mount_setattr", slot, 0, MOUNT_ATTR_RDONLY, 0, 0, ops.NO_SLOT)
    mounts.propagate(program, slot, entry.options.propagation)
    program.add("close", slot)
