# SPDX-License-Identifier: Apache-2.0
"""What config.json must mean, beyond its types: the rules that need no look at the host.

All of them run before the first side effect. The words are runc's where it has some. A rule takes
the complete spec and raises SpecError; `note(place, text)` takes what is only a warning. What only
a part's own compiler can judge is refused there: mount options, seccomp rules, limits.
"""

from pyoci.errors import SpecError
from pyoci.linux.scheduling import MEMORY_FLAGS
from pyoci.spec import idmaps, process, resources
from pyoci.spec.tables import PROPAGATIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyoci.spec.types import Mount, Spec

    Note = Callable[[str, str], None]

MAX_PATH = 4096
MAX_NAME = 255
MAX_MAJOR = 1 << 12  # linux/kdev_t.h
MAX_MINOR = 1 << 20
MAX_INTERFACE = 15  # IFNAMSIZ
MAX_HOST_NAME = 64  # __NEW_UTS_LEN
NANOSECONDS = 1_000_000_000


def check(spec: "Spec", note: "Note") -> None:
    """Raise SpecError for what nobody may do."""
    for problem in problems(spec, note):
        raise problem


def problems(spec: "Spec", note: "Note") -> "Iterator[SpecError]":
    """Yield the first problem that each rule finds."""
    for rule in RULES:
        try:
            rule(spec)
        except SpecError as error:
            yield error
    try:
        _check_mounts(spec, note)
    except SpecError as error:
        yield error
    if spec["process"] is None:
        yield SpecError("/process", "process property must not be empty")
    else:
        yield from process.problems(spec["process"], "/process", note)


def _check_version(spec: "Spec") -> None:
    text = spec["ociVersion"]
    core, plus, build = text.partition("+")
    core, dash, release = core.partition("-")
    numbers = core.split(".")
    semantic = (
        len(numbers) == 3
        and all(map(_is_number, numbers))
        and (not dash or all(map(_is_identifier, release.split("."))))
        and (not plus or all(map(_is_identifier, build.split("."))))
    )
    if not semantic:
        raise SpecError("/ociVersion", f'must be a SemVer v2.0.0 version, not "{text[:80]}"')
    if numbers[0] != "1":
        raise SpecError("/ociVersion", f'unsupported version "{text[:80]}": only 1.x is known')


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and (text == "0" or text[0] != "0")


def _is_identifier(text: str) -> bool:
    return bool(text) and text.isascii() and text.replace("-", "a").isalnum()


def _check_root(spec: "Spec") -> None:
    if spec["root"] is None:
        raise SpecError("/root", "root must be specified")
    if not spec["root"]["path"]:
        raise SpecError("/root/path", "must not be empty")


def _check_host_names(spec: "Spec") -> None:
    for key in ("hostname", "domainname"):
        name = spec[key]
        if name is None:
            continue
        if not idmaps.has(spec, "uts"):
            raise SpecError(f"/{key}", f"unable to set {key} without a private UTS namespace")
        if len(name.encode()) > MAX_HOST_NAME:
            raise SpecError(f"/{key}", f"must not be longer than {MAX_HOST_NAME} bytes")


def _check_hooks(spec: "Spec") -> None:
    for kind in (
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ):
        for index, hook in enumerate(spec["hooks"][kind]):
            place = f"/hooks/{kind}/{index}"
            if not hook["path"].startswith("/"):
                raise SpecError(f"{place}/path", "must be an absolute path")
            if hook["timeout"] is not None and hook["timeout"] <= 0:
                raise SpecError(f"{place}/timeout", "must be greater than zero")


def _check_annotations(spec: "Spec") -> None:
    if "" in spec["annotations"]:
        raise SpecError("/annotations", "a key must not be empty")


def _check_mounts(spec: "Spec", note: "Note") -> None:
    for index, mount in enumerate(spec["mounts"]):
        place = f"/mounts/{index}"
        _check_destination(mount, f"{place}/destination", note)
        if mount["uidMappings"] or mount["gidMappings"]:
            _check_mapped_mount(mount, place)


def _check_destination(mount: "Mount", place: str, note: "Note") -> None:
    path = mount["destination"]
    if not path:
        raise SpecError(place, "must not be empty")
    if not path.startswith("/"):
        note(place, f'"{path}" is not absolute (deprecated): taken as "/{path}"')
        mount["destination"] = path = "/" + path
    depth = 0
    for part in path.split("/"):
        if part == "..":
            depth = max(0, depth - 1)
        elif part not in ("", "."):
            depth += 1
    if depth == 0:
        raise SpecError(place, "must not be the root of the container")


def _check_mapped_mount(mount: "Mount", place: str) -> None:
    if not (mount["uidMappings"] and mount["gidMappings"]):
        raise SpecError(place, "id-mapped mounts must have both UID and GID mappings specified")
    if mount["type"] != "bind" and not {"bind", "rbind"}.intersection(mount["options"]):
        raise SpecError(place, "id-mapped mounts are only supported for bind-mounts")
    idmaps.check_lines(mount["uidMappings"], f"{place}/uidMappings")
    idmaps.check_lines(mount["gidMappings"], f"{place}/gidMappings")


def _check_time_offsets(spec: "Spec") -> None:
    offsets, place = spec["linux"]["timeOffsets"], "/linux/timeOffsets"
    if offsets is None or not asks(offsets):
        spec["linux"]["timeOffsets"] = None
        return
    if not idmaps.has(spec, "time"):
        problem = "time namespace offsets specified, but time namespace isn't enabled in the config"
        raise SpecError(place, problem)
    if idmaps.is_joined(spec, "time"):
        problem = "time namespace enabled, but both namespace path and time offsets specified"
        raise SpecError(place, f"{problem} -- you may only provide one")
    for clock in ("monotonic", "boottime"):
        offset = offsets[clock]
        if offset and offset["nanosecs"] >= NANOSECONDS:
            raise SpecError(f"{place}/{clock}/nanosecs", f"must be below {NANOSECONDS}")


def _check_restricted_paths(spec: "Spec") -> None:
    for key in ("maskedPaths", "readonlyPaths"):
        paths = spec["linux"][key]
        if paths and not idmaps.has(spec, "mount"):
            problem = "unable to restrict sys entries without a private MNT namespace"
            raise SpecError(f"/linux/{key}", problem)
        for index, path in enumerate(paths):
            if not path.startswith("/"):
                raise SpecError(f"/linux/{key}/{index}", "must be an absolute path")


def _check_propagation(spec: "Spec") -> None:
    value = spec["linux"]["rootfsPropagation"]
    if value is not None and value not in PROPAGATIONS:
        problem = f"rootfsPropagation={value[:80]} is not supported"
        raise SpecError("/linux/rootfsPropagation", problem)


def _check_devices(spec: "Spec") -> None:
    for index, device in enumerate(spec["linux"]["devices"]):
        place = f"/linux/devices/{index}"
        if not device["path"].startswith("/"):
            raise SpecError(f"{place}/path", "must be an absolute path")
        if device["type"] not in ("c", "b", "u", "p"):
            raise SpecError(f"{place}/type", f'invalid device type "{device["type"][:80]}"')
        if device["type"] != "p":
            _check_number(device["major"], MAX_MAJOR, f"{place}/major")
            _check_number(device["minor"], MAX_MINOR, f"{place}/minor")


def _check_number(number: int | None, limit: int, place: str) -> None:
    if number is None:
        raise SpecError(place, "is required for a device")
    if not 0 <= number < limit:
        raise SpecError(place, f"must be from 0 to {limit - 1}, not {number}")


def _check_sysctl(spec: "Spec") -> None:
    if not spec["linux"]["sysctl"]:
        return
    from pyoci.spec import sysctl  # few containers have any

    kinds = {namespace["type"] for namespace in spec["linux"]["namespaces"]}
    for key in spec["linux"]["sysctl"]:
        sysctl.check(key, kinds)


def _check_cgroups_path(spec: "Spec") -> None:
    path, place = spec["linux"]["cgroupsPath"], "/linux/cgroupsPath"
    if path is None:
        return
    parts = path.split("/")
    if ".." in parts:
        raise SpecError(place, "must not contain ..")
    if not path.isprintable():
        raise SpecError(place, "must not contain control characters")
    if len(path.encode()) >= MAX_PATH or max(len(part.encode()) for part in parts) > MAX_NAME:
        raise SpecError(place, "is too long")


def _check_resources(spec: "Spec") -> None:
    if spec["linux"]["resources"] is not None:
        resources.check(spec["linux"]["resources"], "/linux/resources")


def _check_net_devices(spec: "Spec") -> None:
    if spec["linux"]["netDevices"] and not idmaps.has(spec, "network"):
        problem = "unable to move network devices without a NET namespace"
        raise SpecError("/linux/netDevices", problem)
    for host, device in spec["linux"]["netDevices"].items():
        for name in (host, device["name"] or host):
            if not _is_interface(name):
                problem = f'invalid network device name "{name[:80]}"'
                raise SpecError("/linux/netDevices", problem)


def _is_interface(name: str) -> bool:
    return (
        0 < len(name.encode()) <= MAX_INTERFACE
        and name not in (".", "..")
        and name.isprintable()
        and not {"/", ":", " "}.intersection(name)
    )


def _check_rdt(spec: "Spec") -> None:
    rdt, place = spec["linux"]["intelRdt"], "/linux/intelRdt"
    if rdt is None:
        return
    name = rdt["closID"]
    if name and name != "/" and ("/" in name or name in (".", "..")):
        raise SpecError(f"{place}/closID", f'"{name[:80]}" is no name of a group')
    if rdt["memBwSchema"] and not rdt["memBwSchema"].startswith("MB:"):
        raise SpecError(f"{place}/memBwSchema", "must start with MB:")
    for key, line in (
        ("l3CacheSchema", rdt["l3CacheSchema"]),
        ("memBwSchema", rdt["memBwSchema"]),
        *((f"schemata/{index}", line) for index, line in enumerate(rdt["schemata"])),
    ):
        if line and "\n" in line:
            raise SpecError(f"{place}/{key}", "must not contain a newline")


def _check_personality(spec: "Spec") -> None:
    personality = spec["linux"]["personality"]
    if personality and personality["flags"]:
        raise SpecError(
            "/linux/personality/flags", "no flag is defined (config-linux.md#personality)"
        )


def _check_memory_policy(spec: "Spec") -> None:
    policy, place = spec["linux"]["memoryPolicy"], "/linux/memoryPolicy"
    if policy is None or not (policy["mode"] or policy["nodes"] or policy["flags"]):
        return  # an empty one asks for nothing
    mode, nodes = policy["mode"], policy["nodes"]
    if not mode:
        raise SpecError(f"{place}/mode", "is required")
    if nodes and mode in ("MPOL_DEFAULT", "MPOL_LOCAL"):
        raise SpecError(f"{place}/nodes", f"{mode} takes no nodes (set_mempolicy(2))")
    if not nodes and mode not in ("MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"):
        raise SpecError(f"{place}/nodes", f"{mode} needs nodes (set_mempolicy(2))")
    process.check_list(nodes, f"{place}/nodes")
    process.check_flags(policy["flags"], MEMORY_FLAGS, place)


# Types before meaning, meaning before what is not done: a broken config is called broken.
RULES: "tuple[Callable[[Spec], None], ...]" = (
    _check_version,  # first: another version may mean everything else differently
    _check_root,
    idmaps.check_namespaces,  # the next ask which namespaces there are
    idmaps.check_maps,
    _check_host_names,
    _check_hooks,
    _check_annotations,
    _check_time_offsets,
    _check_restricted_paths,
    _check_propagation,
    _check_devices,
    _check_sysctl,
    _check_cgroups_path,
    _check_resources,
    _check_net_devices,
    _check_rdt,
    _check_personality,
    _check_memory_policy,
)


def asks(value: object) -> bool:
    """Tell whether a value asks for anything: null, false, 0, "" and collections of them do not."""
    if isinstance(value, dict):
        return any(map(asks, value.values()))
    if isinstance(value, list):
        return any(map(asks, value))
    return bool(value)
