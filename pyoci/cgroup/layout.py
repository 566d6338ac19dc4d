# SPDX-License-Identifier: Apache-2.0
"""Find out how this host mounts its cgroups, and where in them we are.

v1       one hierarchy per controller (or pair of them) below /sys/fs/cgroup
hybrid   the same, and version 2 without the usual controllers, mostly at /sys/fs/cgroup/unified
v2       one hierarchy with all controllers at /sys/fs/cgroup
none     no cgroup file system is mounted
"""

import posix

from pyoci.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Literal

    Layout = Literal["v1", "hybrid", "v2", "none"]
    # The name as in /proc/self/cgroup ("" for version 2), the mount point, our own cgroup below it.
    Hierarchy = tuple[str, str, str]
    # The file system, its options, the mount point, what of the file system is mounted there.
    Mount = tuple[str, list[str], str, str]

ROOT = "/sys/fs/cgroup"
CHUNK = 1 << 13  # more than the kernel hands out at once
PLACE = "/linux/cgroupsPath"


def find(*, own: bool = True) -> "tuple[Layout, list[Hierarchy], bytes | None]":
    """Return the layout of this host, its hierarchies, version 2 first, and what controllers version 2 has.

    The controllers are None where they would have to be looked for. With `own` False our own cgroup may
    be "", for those who place nothing in relation to it.
    """
    # mountinfo is long on a host with many containers, so a pure version 2 host is known by this
    # file: only the root of a version 2 hierarchy has it there.
    try:
        available = read(f"{ROOT}/cgroup.controllers")
    except OSError:
        available = None
    else:
        if not own:
            return "v2", [("", ROOT, "")], available
        path = memberships(read("/proc/self/cgroup")).get("", "/")
        # Where the mount shows only a part of the hierarchy, our path does not lie below it.
        if ".." not in path and posix.access(f"{ROOT}{path}", posix.F_OK):
            return "v2", [("", ROOT, path)], available
    return *parse(read("/proc/self/mountinfo"), read("/proc/self/cgroup")), available


def read(path: str) -> bytes:
    """Return all of a file of procfs, which hands out what fits its own buffer."""
    fd = posix.open(path, posix.O_RDONLY)
    try:
        chunks = []
        while chunk := posix.read(fd, CHUNK):
            chunks.append(chunk)
    finally:
        posix.close(fd)
    return b"".join(chunks)


def parse(mountinfo: bytes, membership: bytes) -> "tuple[Layout, list[Hierarchy]]":
    """Return what proc_pid_mountinfo(5) and /proc/PID/cgroup say: layout and hierarchies."""
    own = memberships(membership)
    mounts = list(cgroup_mounts(mountinfo))
    legacy = by_option([mount for mount in mounts if mount[0] == "cgroup"])
    unified = [mount for mount in mounts if mount[0] == "cgroup2"]
    at_root = [mount for mount in unified if mount[2] == ROOT]
    if at_root and covers_root(mountinfo):
        return "v2", [hierarchy("", at_root[-1], own)]
    beside = [mount for mount in unified if mount[2] != ROOT]
    hierarchies = [
        hierarchy(name, legacy[first], own)
        for name in own
        if name and (first := name.partition(",")[0]) in legacy
    ]
    if beside:
        hierarchies.insert(0, hierarchy("", preferred(beside), own))
        return ("hybrid" if legacy else "v2"), hierarchies
    return ("v1" if hierarchies else "none"), hierarchies


def memberships(text: bytes) -> dict[str, str]:
    """Return the path of each hierarchy in /proc/PID/cgroup, by its controllers or its name."""
    found = {}
    for line in text.decode("utf-8", "surrogateescape").split("\n"):
        _, colon, rest = line.partition(":")
        if colon:
            name, _, path = rest.partition(":")
            found[name] = path
    return found


def cgroup_mounts(mountinfo: bytes) -> "Iterator[Mount]":
    """Yield the cgroup mounts of proc_pid_mountinfo(5), searched for: it may be a megabyte."""
    end = 0
    while (middle := mountinfo.find(b" - cgroup", end)) >= 0:
        start = mountinfo.rfind(b"\n", 0, middle) + 1
        end = mountinfo.find(b"\n", middle)
        if end < 0:
            end = len(mountinfo)
        _, _, _, root, point, _ = mountinfo[start:middle].split(b" ", 5)
        kind, _, options = mountinfo[middle + 3 : end].split(b" ")
        yield decoded(kind), decoded(options).split(","), unescape(point), unescape(root)


def unescape(field: bytes) -> str:
    r"""Turn the octal escapes of mountinfo (\040 is a space) into what they stand for."""
    if b"\\" not in field:
        return decoded(field)
    first, *rest = field.split(b"\\")
    return decoded(first + b"".join(bytes([int(part[:3], 8)]) + part[3:] for part in rest))


def decoded(name: bytes) -> str:
    """Return a name of the file system as text, byte for byte."""
    return name.decode("utf-8", "surrogateescape")


def covers_root(mountinfo: bytes) -> bool:
    """Tell whether the last mount at /sys/fs/cgroup, which hides the others, is version 2."""
    at = mountinfo.rfind(b" " + ROOT.encode() + b" ")
    return mountinfo[mountinfo.find(b" - ", at) + 3 :].startswith(b"cgroup2 ")


def by_option(mounts: "list[Mount]") -> "dict[str, Mount]":
    """Return the best mount with each option: controllers and names of hierarchies are options."""
    found: dict[str, Mount] = {}
    for mount in mounts:
        for option in mount[1][1:]:  # the first is rw or ro, of every mount
            found[option] = preferred([found[option], mount]) if option in found else mount
    return found


def preferred(mounts: "list[Mount]") -> "Mount":
    """Return the mount in the usual place that shows the whole hierarchy, else the next best."""
    return min(mounts, key=lambda mount: (not mount[2].startswith(ROOT), mount[3] != "/"))


def hierarchy(name: str, mount: "Mount", own: dict[str, str]) -> "Hierarchy":
    """Return a hierarchy with our own cgroup as seen below its mount point."""
    _, _, point, root = mount
    path = own.get(name, "/")
    if root != "/":  # a container without a cgroup namespace sees only its part
        path = path[len(root) :] if path == root or path.startswith(f"{root}/") else "/"
    # Outside the root of our cgroup namespace the kernel says /../..: nothing that we can reach.
    return name, point, "/" if ".." in path.split("/") else path or "/"


def place(cgroups_path: str | None, container_id: str, own: str, *, version: int) -> str:
    """Return the container's path below a mount point (config-linux.md#cgroups-path).

    A relative path and, without any, the container's id lie where runc puts them: below our own
    cgroup on version 1, next to it on version 2, where a cgroup with processes in it cannot have
    limited children.
    """
    if cgroups_path and cgroups_path.startswith("/"):
        return join(cgroups_path)
    base = own if version == 1 else own.rpartition("/")[0]
    return join(f"{base}/{cgroups_path or container_id}")


def join(path: str) -> str:
    """Return a path with single slashes; one that could leave its hierarchy is an error."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise SpecError(PLACE, 'must not contain ".."')
    if not parts:
        raise SpecError(PLACE, "must not be the root of the hierarchy")
    if "\n" in path:
        raise SpecError(PLACE, "must not contain a line break")
    return "/" + "/".join(parts)
