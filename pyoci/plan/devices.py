# SPDX-License-Identifier: Apache-2.0
"""The /dev of a container: default devices, linux.devices, links (config-linux.md#devices)."""

import errno
import posix

from pyoci.errors import SpecError
from pyoci.linux.mount import MS_PRIVATE, S_IFBLK, S_IFCHR, S_IFIFO
from pyoci.linux.path import clean
from pyoci.plan import mounts, ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.plan.mounts import Entry
    from pyoci.plan.program import Program
    from pyoci.spec.types import Device, Spec

DEFAULTS = (
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
)

LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
)

TYPES = {"c": S_IFCHR, "u": S_IFCHR, "b": S_IFBLK, "p": S_IFIFO}
MODE = 0o666
_PERMISSIONS = 0o7777
_PTMX = "/dev/ptmx"  # always a link to the container's own devpts


class Node:
    """A device that the container gets; `place` is that of linux.devices, "" for a default."""

    __slots__ = ("device", "gid", "mode", "path", "place", "type", "uid")

    def __init__(self, path: str, type_: int, device: int, place: str) -> None:
        self.path = path
        self.type = type_
        self.device = device
        self.place = place
        self.mode = MODE
        self.uid = self.gid = 0

    @property
    def slot(self) -> str:
        """The name of the slot that holds a clone of the host's device."""
        return f"device {self.path}"


def are_wanted(entries: "list[Entry]") -> bool:
    """Tell whether /dev is the container's: a bind mount there brings its own devices and links."""
    return not any(entry.kind == "bind" and entry.destination == "/dev" for entry in entries)


def nodes(spec: "Spec") -> list[Node]:
    """Return all devices; one of linux.devices takes the place of a default of the same path."""
    found = {
        path: Node(path, S_IFCHR, posix.makedev(major, minor), "")
        for path, major, minor in DEFAULTS
    }
    for index, device in enumerate(spec["linux"]["devices"]):
        node = _node(device, f"/linux/devices/{index}")
        if node.path != _PTMX:
            found[node.path] = node
    return list(found.values())


def _node(device: "Device", place: str) -> Node:
    path = clean(device["path"])
    if path == "/":
        raise SpecError(f"{place}/path", "a device cannot take the place of the root")
    number = 0
    if device["type"] != "p":
        number = posix.makedev(device["major"] or 0, device["minor"] or 0)
    node = Node(path, TYPES[device["type"]], number, place)
    if device["fileMode"] is not None:
        node.mode = device["fileMode"] & _PERMISSIONS
    node.uid = device["uid"] or 0
    node.gid = device["gid"] or 0
    return node


def open_sources(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Clone the host's devices, verified, for a user namespace: it may make none (mknod(2))."""
    if not mounts.in_user_namespace(spec, facts):
        return
    for node in nodes(spec):
        if node.type == S_IFIFO:
            continue
        program.at(node.place)
        slot = program.slot(node.slot)
        program.add("open_tree", slot, ops.CWD_SLOT, node.path, mounts.CLONE)
        program.add("verify_type", slot, node.type, node.device)
        program.add("mount_setattr", slot, 0, 0, 0, MS_PRIVATE, ops.NO_SLOT)


def make(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Make the devices inside the root: nodes, or the host's bound onto empty files."""
    root, target = program.slot("root"), program.slot("target")
    bound = mounts.in_user_namespace(spec, facts)
    for node in nodes(spec):
        program.at(node.place)
        if node.type == S_IFIFO or not bound:
            mode = node.type | node.mode
            program.add("mknod", root, node.path, mode, node.device, node.uid, node.gid)
            continue
        slot = program.slot(node.slot)
        program.add("create", target, root, node.path, mounts.FILE, MODE)
        program.add("move_mount", slot, target)
        program.add("close", slot)


def link(program: "Program") -> None:
    """Make the links of /dev (runtime-linux.md). A ptmx of the image stays: it is not used."""
    root, target = program.slot("root"), program.slot("target")
    program.at("")
    for path, value in LINKS:
        program.add("symlink", root, path, value)
    program.add("symlink", root, _PTMX, "pts/ptmx", ignore=(errno.EEXIST,))
    # Only where the host has it; the old root is still there.
    missing = (errno.ENOENT, errno.EACCES)
    flags = posix.O_PATH | posix.O_NOFOLLOW
    program.add("open", target, ops.CWD_SLOT, "/proc/kcore", flags, 0, 0, ignore=missing, skip=1)
    program.add("symlink", root, "/dev/core", "/proc/kcore")
