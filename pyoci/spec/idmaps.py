# SPDX-License-Identifier: Apache-2.0
"""Namespaces and the maps of ids: what the kernel would refuse with a bare EINVAL."""

from pyoci.errors import SpecError
from pyoci.linux.process import NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyoci.spec.types import IDMapping, Process, Spec

MAX_LINES = 340  # user_namespaces(7), Linux 4.15
MAX_PATH = 4096


def check_namespaces(spec: "Spec") -> None:
    """Raise SpecError for a namespace that is unknown, named twice or not absolute."""
    seen = set()
    for index, namespace in enumerate(spec["linux"]["namespaces"]):
        place, kind, path = f"/linux/namespaces/{index}", namespace["type"], namespace["path"]
        if kind not in NAMESPACES:
            raise SpecError(f"{place}/type", f'namespace "{kind[:80]}" does not exist')
        if kind in seen:
            raise SpecError(place, f'malformed spec file: duplicated ns "{kind}"')
        if path and not path.startswith("/"):
            raise SpecError(f"{place}/path", "must be an absolute path")
        if path and len(path.encode()) >= MAX_PATH:
            raise SpecError(f"{place}/path", f"is longer than {MAX_PATH - 1} bytes")
        seen.add(kind)


def has(spec: "Spec", kind: str) -> bool:
    """Tell whether the container has a namespace of this type that is not the runtime's."""
    return any(namespace["type"] == kind for namespace in spec["linux"]["namespaces"])


def is_joined(spec: "Spec", kind: str) -> bool:
    """Tell whether the container joins a namespace of this type by path."""
    return any(
        namespace["type"] == kind and namespace["path"] for namespace in spec["linux"]["namespaces"]
    )


def check_maps(spec: "Spec") -> None:
    """Raise SpecError unless a user namespace and its maps fit, and the process is in them."""
    linux = spec["linux"]
    check_lines(linux["uidMappings"], "/linux/uidMappings")
    check_lines(linux["gidMappings"], "/linux/gidMappings")
    if not has(spec, "user"):
        if linux["uidMappings"] or linux["gidMappings"]:
            place = "/linux/uidMappings" if linux["uidMappings"] else "/linux/gidMappings"
            raise SpecError(
                place,
                "user namespace mappings specified, but user namespace isn't enabled in the config",
            )
        return
    if is_joined(spec, "user"):
        return  # the maps are those of the namespace, which only the host can tell
    for key in ("uidMappings", "gidMappings"):
        if not linux[key]:
            raise SpecError(
                f"/linux/{key}",
                "user namespaces enabled, but no namespace path to join nor mapping array given",
            )
    if spec["process"]:
        check_process(spec["process"], spec, "/process")


def check_process(process: "Process", spec: "Spec", place: str) -> None:
    """Raise SpecError for a user or group that is not in the maps; also for `exec`."""
    linux, uid = spec["linux"], process["user"]["uid"]
    if not is_mapped(linux["uidMappings"], uid):
        raise SpecError(f"{place}/user/uid", f"uid {uid} is not mapped in the user namespace")
    for key, gid in _groups(process):
        if not is_mapped(linux["gidMappings"], gid):
            raise SpecError(f"{place}/user/{key}", f"gid {gid} is not mapped in the user namespace")


def _groups(process: "Process") -> "Iterator[tuple[str, int]]":
    yield "gid", process["user"]["gid"]
    for index, gid in enumerate(process["user"]["additionalGids"]):
        yield f"additionalGids/{index}", gid


def is_mapped(lines: "list[IDMapping]", number: int) -> bool:
    """Tell whether an id of the container has one on the host."""
    return any(line["containerID"] <= number < line["containerID"] + line["size"] for line in lines)


def check_lines(lines: "list[IDMapping]", place: str) -> None:
    """Raise SpecError for too many lines, and for empty, overflowing or overlapping ones."""
    if len(lines) > MAX_LINES:
        raise SpecError(place, f"has {len(lines)} lines, the kernel takes at most {MAX_LINES}")
    for index, line in enumerate(lines):
        if line["size"] == 0:
            raise SpecError(f"{place}/{index}/size", "must not be 0")
        if max(line["containerID"], line["hostID"]) + line["size"] >= 1 << 32:
            raise SpecError(f"{place}/{index}", "an id is above 4294967294")
    _check_overlap([(line["containerID"], line["size"]) for line in lines], place, "containerID")
    _check_overlap([(line["hostID"], line["size"]) for line in lines], place, "hostID")


def _check_overlap(ranges: list[tuple[int, int]], place: str, key: str) -> None:
    end = 0
    for first, size in sorted(ranges):
        if first < end:
            raise SpecError(place, f"two lines overlap at {key} {first}")
        end = first + size
