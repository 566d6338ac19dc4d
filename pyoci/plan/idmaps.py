# SPDX-License-Identifier: Apache-2.0
"""The user namespace of an id-mapped mount: which ids of the file system are which of the host (mount_setattr(2))."""

import posix

from pyoci.errors import SpecError
from pyoci.plan import namespaces, ops
from pyoci.plan.mounts import ID_MAP

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.mounts import Entry
    from pyoci.plan.options import Range
    from pyoci.plan.program import Program
    from pyoci.spec.types import IDMapping, Spec


def user_namespace(program: "Program", entry: "Entry", spec: "Spec") -> int:
    """Return the slot of the user namespace of an id-mapped mount, one for equal maps."""
    users, groups = _maps_of(entry, spec)
    name = f"{ID_MAP}{' '.join(users.split())}/{' '.join(groups.split())}"
    is_there = name in program.slots
    slot = program.slot(name)
    if groups and not is_there:
        program.add("user_namespace", slot, users, groups)
    elif not is_there:
        program.add("open", slot, ops.CWD_SLOT, users, posix.O_RDONLY, 0, 0)
    return slot


def _maps_of(entry: "Entry", spec: "Spec") -> tuple[str, str]:
    """Return the lines of both maps; or the path of the namespace that has them, and nothing."""
    mount, linux = spec["mounts"][entry.index], spec["linux"]
    owner = namespaces.find(spec, "user")
    if mount["uidMappings"]:
        return _lines(mount["uidMappings"]), _lines(mount["gidMappings"])
    if entry.options.id_maps:
        place = f"{entry.place}/options"
        uids, gids = entry.options.id_maps.get("uids"), entry.options.id_maps.get("gids")
        return (
            _asked(uids, linux["uidMappings"], place, "uids"),
            _asked(gids, linux["gidMappings"], place, "gids"),
        )
    if owner and owner["path"]:
        return owner["path"], ""
    return _lines(linux["uidMappings"]), _lines(linux["gidMappings"])


def _lines(mappings: "list[IDMapping]") -> str:
    """Return mappings as the lines of uid_map (user_namespaces(7))."""
    return "".join(f"{row['containerID']} {row['hostID']} {row['size']}\n" for row in mappings)


def _asked(ranges: "list[Range] | None", mappings: "list[IDMapping]", place: str, kind: str) -> str:
    """Return what an option asks for as lines; what it leaves out is as in the container."""
    if ranges is None:
        if not mappings:
            raise SpecError(place, f"idmap without {kind} takes the container's, which has none")
        return _lines(mappings)
    rows: list[tuple[int, int, int]] = []
    for first, outside, length, is_relative in ranges:
        if is_relative:
            rows += _absolute(first, outside, length, mappings, place)
        else:
            rows.append((first, outside, length))
    return "".join(f"{first} {outside} {length}\n" for first, outside, length in rows)


def _absolute(
    first: int, inside: int, length: int, mappings: "list[IDMapping]", place: str
) -> list[tuple[int, int, int]]:
    """Return the parts of a range whose second number is the container's with the host's in its place."""
    parts, end = [], inside + length
    for row in mappings:
        low = max(inside, row["containerID"])
        high = min(end, row["containerID"] + row["size"])
        if low < high:
            parts.append(
                (first + low - inside, row["hostID"] + low - row["containerID"], high - low)
            )
    if sum(size for _, _, size in parts) != length:
        problem = f"the container does not map each id from {inside} to {end - 1}"
        raise SpecError(place, problem)
    return parts
