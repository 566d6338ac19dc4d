# SPDX-License-Identifier: Apache-2.0
"""The unit that linux.cgroupsPath names, and where its cgroup lies (systemd.unit(5), systemd.slice(5)).

Pure: nothing here asks systemd.
"""

from pyoci.cgroup.layout import PLACE
from pyoci.errors import SpecError

PREFIX = "pyoci"
SLICE, SCOPE = ".slice", ".scope"
SYSTEM_SLICE, USER_SLICE, ROOT_SLICE = "system.slice", "user.slice", "-.slice"
LONGEST = 255
LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789:-_.\\@")

# A cgroup's directory has files of these names, so that systemd puts "_" before such a unit's name.
FILES = ("notify_on_release", "release_agent", "tasks")
CONTROLLERS = ("cgroup", "cpu", "cpuacct", "cpuset", "io", "blkio", "memory", "devices", "pids")


def parse(cgroups_path: str | None, container_id: str, *, rootless: bool) -> tuple[str, str]:
    """Return (slice, unit) of a path SLICE:PREFIX:NAME; without one a scope named after the id.

    A slice that is left empty is system.slice, or user.slice of a user's own systemd, as in runc.
    """
    default = USER_SLICE if rootless else SYSTEM_SLICE
    if not cgroups_path:
        return default, checked(f"{PREFIX}-{container_id}{SCOPE}")
    parts = cgroups_path.split(":")
    if len(parts) != 3:
        raise SpecError(
            PLACE,
            'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, '
            f'got "{cgroups_path}" instead',
        )
    above, prefix, name = parts
    if not name:
        raise SpecError(PLACE, f'"{cgroups_path}" has no name behind the last colon')
    slice_path(above or default)
    if name.endswith(SLICE):
        slice_path(name)
        return above or default, checked(name)
    return above or default, checked(f"{prefix}-{name}{SCOPE}" if prefix else f"{name}{SCOPE}")


def checked(unit: str) -> str:
    """Return a unit's name; one that systemd would not take is an error."""
    wrong = sorted(set(unit) - LETTERS)
    if wrong:
        raise SpecError(PLACE, f'"{unit}" cannot be the name of a unit: it has "{wrong[0]}" in it')
    if len(unit) > LONGEST:
        raise SpecError(PLACE, f'"{unit}" cannot be the name of a unit: longer than {LONGEST}')
    return unit


def slice_path(name: str) -> str:
    """Return the path of a slice's cgroup below that of its systemd: a-b.slice lies in a.slice."""
    stem = name.removesuffix(SLICE)
    if name == ROOT_SLICE:
        return ""
    if stem == name or "/" in name or not all(stem.split("-")):
        raise SpecError(PLACE, f"invalid slice name: {name}")
    checked(name)
    parts = stem.split("-")
    above = ("-".join(parts[: count + 1]) for count in range(len(parts)))
    return "".join(f"/{escape(part + SLICE)}" for part in above)


def path(above: str, unit: str) -> str:
    """Return the path of a unit's cgroup; a slice lies where its own name says."""
    return slice_path(unit) if unit.endswith(SLICE) else f"{slice_path(above)}/{escape(unit)}"


def escape(unit: str) -> str:
    """Return the name of a unit's directory, which must not be that of a file of the kernel's."""
    taken = unit in FILES or unit[:1] in "_." or unit.partition(".")[0] in CONTROLLERS
    return f"_{unit}" if taken else unit
