# SPDX-License-Identifier: Apache-2.0
"""What this host lacks of what a valid config.json asks for: looked up, nothing made."""

import os

from pyoci.errors import CgroupError, PyociError, SpecError
from pyoci.linux.process import CAPABILITY_BITS, LIMITS, NAMESPACES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyoci.spec.types import Spec

    Lack = tuple[str, str]

OLDEST_KERNEL = (5, 6)  # openat2(2), without which no path in an image is safe
IDMAP_KERNEL = (5, 12)  # mount_setattr(2)
_HELPERS = ("/usr/bin", "/bin", "/usr/local/bin", "/usr/sbin", "/sbin")


def lacks(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    """Yield place and reason of all that this host, or the caller's privilege, cannot give."""
    for look in LOOKS:
        yield from look(spec, bundle)


def release() -> tuple[int, int]:
    """Return the kernel's version."""
    major, minor = os.uname().release.split(".")[:2]
    return int(major), int("".join(filter(str.isdigit, minor.split("-")[0])) or 0)


def _kernel(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    if release() < OLDEST_KERNEL:
        yield "", f"this kernel is {os.uname().release}, pyoci needs 5.6 (openat2)"
    for index, mount in enumerate(spec["mounts"]):
        place = f"/mounts/{index}"
        recursive = any(option in _RECURSIVE for option in mount["options"])
        if (mount["uidMappings"] or recursive) and release() < IDMAP_KERNEL:
            yield place, "id-mapped mounts and recursive options need Linux 5.12"


_RECURSIVE = frozenset(
    {"rro", "rrw", "rnosuid", "rnodev", "rnoexec", "rnoatime", "rnosymfollow", "idmap", "ridmap"}
)


def _files(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    root = spec["root"]
    path = os.path.join(bundle, root["path"]) if root else bundle
    if not os.path.isdir(path):
        yield "/root/path", f"{path} is not a directory"
    elif os.path.islink(path.rstrip("/")):
        yield "/root/path", "invalid rootfs: not an absolute path, or a symlink"
    for index, mount in enumerate(spec["mounts"]):
        yield from _mount(
            f"/mounts/{index}", mount["type"], mount["source"], mount["options"], bundle
        )
    for kind in ("prestart", "createRuntime", "createContainer", "poststart", "poststop"):
        for index, hook in enumerate(spec["hooks"][kind]):
            if not os.access(hook["path"], os.X_OK):
                yield f"/hooks/{kind}/{index}/path", f"{hook['path']} is no program"


def _mount(
    place: str, kind: str | None, source: str | None, options: list[str], bundle: str
) -> "Iterator[Lack]":
    if kind == "bind" or {"bind", "rbind"}.intersection(options):
        path = os.path.join(bundle, source or "")
        if not os.path.exists(path):
            yield f"{place}/source", f"{path} does not exist"
    elif kind and kind not in ("cgroup", "none") and kind not in _file_systems():
        yield f"{place}/type", f"this kernel has no file system {kind} (a module may be missing)"


def _file_systems() -> set[str]:
    return {line.split("\t")[-1] for line in _read("/proc/filesystems").splitlines()}


def _namespaces(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    for index, namespace in enumerate(spec["linux"]["namespaces"]):
        place, kind, path = f"/linux/namespaces/{index}", namespace["type"], namespace["path"]
        if not os.path.exists(f"/proc/self/ns/{NAMESPACES[kind][1]}"):
            yield f"{place}/type", f"{kind} namespaces aren't enabled in the kernel"
        if path and not os.path.exists(path):
            yield f"{place}/path", f"{path} does not exist"
        limit = f"/proc/sys/user/max_{NAMESPACES[kind][1]}_namespaces"
        if not path and _read(limit).strip() == "0":
            yield f"{place}/type", f"this host allows no new {kind} namespace"


def _users(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    linux, euid = spec["linux"], os.geteuid()
    if euid == 0:
        return
    kinds = {namespace["type"] for namespace in linux["namespaces"]}
    if "user" not in kinds:
        yield "/linux/namespaces", "rootless container requires user namespaces"
    for key, helper, own in (
        ("uidMappings", "newuidmap", euid),
        ("gidMappings", "newgidmap", os.getegid()),
    ):
        lines = linux["uidMappings"] if key == "uidMappings" else linux["gidMappings"]
        single = len(lines) == 1 and lines[0]["size"] == 1 and lines[0]["hostID"] == own
        if lines and not single and not any(os.access(f"{d}/{helper}", os.X_OK) for d in _HELPERS):
            yield f"/linux/{key}", f"{helper} is not installed (Debian: uidmap)"


def _privileges(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    """Name limits above our own, and capabilities that we do not have to give."""
    del bundle
    process, ours = spec["process"], _capabilities()
    if process is None:
        return
    if not ours & CAPABILITY_BITS["CAP_SYS_RESOURCE"]:
        import resource

        for index, limit in enumerate(process["rlimits"]):
            hard = resource.getrlimit(LIMITS[limit["type"]])[1] % (1 << 64)
            if limit["hard"] > hard:
                place = f"/process/rlimits/{index}/hard"
                yield place, f"to raise it above {hard} needs CAP_SYS_RESOURCE"
    last = int(_read("/proc/sys/kernel/cap_last_cap") or 63)
    for kind in ("bounding", "effective", "permitted", "inheritable", "ambient"):
        names = process["capabilities"][kind] if process["capabilities"] else []
        for name in names:
            if CAPABILITY_BITS[name] >> (last + 1):
                yield f"/process/capabilities/{kind}", f"this kernel has no {name}"


def _capabilities() -> int:
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0


def _labels(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    process = spec["process"]
    if process is None:
        return
    profile, label = process["apparmorProfile"], process["selinuxLabel"]
    enabled = _read("/sys/module/apparmor/parameters/enabled").startswith("Y")
    loaded = _read("/sys/kernel/security/apparmor/profiles")
    if profile and profile != "unconfined":
        if not enabled:
            yield "/process/apparmorProfile", "this kernel has no AppArmor, or it is off"
        elif loaded and f"{profile} (" not in loaded:
            yield "/process/apparmorProfile", f'no AppArmor profile "{profile}" is loaded'
    if label and not os.path.exists("/sys/fs/selinux/enforce"):
        problem = "selinux label is specified in config, but selinux is disabled or not supported"
        yield "/process/selinuxLabel", problem


def _seccomp(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    """Compile the profile, without keeping the filter: it needs libseccomp and this kernel."""
    del bundle
    profile = spec["linux"]["seccomp"]
    if profile is None:
        return
    if not os.path.exists("/proc/sys/kernel/seccomp/actions_avail"):
        yield "/linux/seccomp", "this kernel has no seccomp filters"
        return
    from pyoci.seccomp import compile_filter

    try:
        compile_filter(profile)
    except SpecError as error:
        yield error.place, error.problem
    except PyociError as error:
        yield "/linux/seccomp", str(error)


def _cgroups(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    from pyoci.cgroup.layout import find
    from pyoci.cgroup.resources import check, controllers

    layout, hierarchies, _ = find()
    resources, place = spec["linux"]["resources"], "/linux/resources"
    version = 2 if layout == "v2" else 1
    try:
        check(resources, version)
        needed = controllers(resources, version)
    except SpecError as error:
        yield error.place, error.problem
        return
    except CgroupError as error:
        yield place, str(error)
        return
    present = {part for name, _, _ in hierarchies for part in name.split(",")}
    if version == 2:
        present = set(_read(f"{hierarchies[0][1]}/cgroup.controllers").split())
    for controller in sorted(needed - present - {"cgroup"}):
        yield place, f"this host has no {controller} controller for its limits"


def _sysctls(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    from pyoci.plan.namespaces import sysctl_path
    from pyoci.spec.reader import pointer

    for key in spec["linux"]["sysctl"]:
        path = f"/proc/sys/{sysctl_path(key)}"
        # What only a new network namespace has (an interface) cannot be looked up in ours.
        if not os.path.exists(path) and not path.startswith("/proc/sys/net/"):
            yield pointer("/linux/sysctl", key), "this kernel has no such parameter"


def _read(path: str) -> str:
    """Return a file of /proc or /sys, "" when this host has none that we may read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _rdt(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    mounted = any(" - resctrl " in line for line in _read("/proc/self/mountinfo").splitlines())
    if spec["linux"]["intelRdt"] and not mounted:
        yield "/linux/intelRdt", "no resctrl file system is mounted"


def _net_devices(spec: "Spec", bundle: str) -> "Iterator[Lack]":
    del bundle
    for name in spec["linux"]["netDevices"]:
        if not os.path.exists(f"/sys/class/net/{name}"):
            yield f"/linux/netDevices/{name}", "there is no such network device"


LOOKS: "tuple[Callable[[Spec, str], Iterator[Lack]], ...]" = (
    _kernel,
    _files,
    _namespaces,
    _users,
    _privileges,
    _labels,
    _seccomp,
    _cgroups,
    _sysctls,
    _rdt,
    _net_devices,
)
