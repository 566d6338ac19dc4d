# SPDX-License-Identifier: Apache-2.0
"""From a container's document to config.json: what the runtime is asked for."""

import posix
import sys

from pyoci import SPEC_VERSION
from pyoci.engine.containers import (
    defaults,
    environment,
    limits,
    mounts,
    security,
    sharedmemory,
    users,
)
from pyoci.engine.places import is_rootless
from pyoci.identity import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.order import Surroundings
    from pyoci.engine.containers.record import Container

    Document = dict[str, Any]

_LIMITED = {"Soft": "soft", "Hard": "hard"}
_TTY, _LAST_GROUP = 5, 2147483647  # of devpts, of ping_group_range
_INIT = "/sbin/docker-init"
_INITS = (
    "/usr/libexec/docker/docker-init",
    "/usr/bin/docker-init",
    "/usr/bin/tini-static",
    "/usr/bin/catatonit",
    "/usr/libexec/podman/catatonit",
    "/usr/bin/tini",
)
_ELF_HEAD, _PT_INTERP = 4096, 3
_OWN_FILES = ("hosts", "hostname", "resolv.conf")


def compile_config(container: "Container", around: "Surroundings") -> "Document":
    """Return config.json; raises EngineError for a user that the image does not have."""
    host = container.host_config
    return {
        "ociVersion": SPEC_VERSION,
        "process": process(container, around),
        "root": {"path": around.root, "readonly": host["ReadonlyRootfs"]},
        **_names(container, around),
        "mounts": _mounts(container, around),
        "annotations": host["Annotations"] or {},
        "linux": _linux(container, around),
    }


def _names(container: "Container", around: "Surroundings") -> "Document":
    """Return host and domain name, which only a container with its own uts namespace can have."""
    if "uts" in around.namespaces:
        return {}
    own = container.config
    found = {"hostname": own["Hostname"]}
    if own["Domainname"]:
        found["domainname"] = own["Domainname"]
    return found


def process(container: "Container", around: "Surroundings") -> "Document":
    """Return the process of config.json."""
    own, host = container.config, container.host_config
    user, home = users.resolve(around.root, own["User"], host["GroupAdd"] or [])
    arguments = [*(own["Entrypoint"] or ()), *(own["Cmd"] or ())]
    if host["Init"]:
        arguments = [_INIT, "--", *arguments]
    found: Document = {
        "terminal": own["Tty"],
        "user": user,
        "args": arguments,
        "env": variables(container, around.link_variables, home),
        "cwd": own["WorkingDir"] or "/",
        "capabilities": _capabilities(security.capabilities(host), user["uid"]),
        "noNewPrivileges": security.option(host, "no-new-privileges") == "true",
        "oomScoreAdj": host["OomScoreAdj"],
        "rlimits": [_limit(row) for row in host["Ulimits"]],
    }
    profile = security.option(host, "apparmor")
    if profile and profile != "unconfined":
        found["apparmorProfile"] = profile
    return found


def _limit(row: "Document") -> "Document":
    numbers = {
        key: row[name] if row[name] >= 0 else (1 << 64) - 1 for name, key in _LIMITED.items()
    }
    return {"type": f"RLIMIT_{row['Name'].upper()}", **numbers}


def _capabilities(names: list[str], uid: int) -> "Document":
    """Return the sets: an ordinary user has them bounding only, until a program with file capabilities or a set-uid bit runs."""
    held = [] if uid else names
    return {
        "bounding": names,
        "effective": held,
        "permitted": held,
        "inheritable": [],
        "ambient": [],
    }


def variables(container: "Container", link_variables: list[str], home: str) -> list[str]:
    """Return the environment: what every container has, what its links say, what was asked for."""
    own = container.config
    base = [f"PATH={defaults.PATH}", f"HOSTNAME={own['Hostname']}"]
    if own["Tty"]:
        base.append("TERM=xterm")
    found = environment.merged([*base, *link_variables], own["Env"])
    if not any(entry.startswith("HOME=") for entry in found):
        found.append(f"HOME={home or '/'}")
    return found


def _mounts(container: "Container", around: "Surroundings") -> "list[Document]":
    host = container.host_config
    points = container.document["Mounts"]
    taken = {made["Destination"] for made in points}
    found = [
        entry
        for entry in defaults.mounts(host["ShmSize"])
        if entry["destination"] not in taken and _is_wanted(entry, host, around)
    ]
    if not _is_mapped(_TTY):
        for entry in found:
            options = entry["options"]
            assert isinstance(options, list)
            entry["options"] = [word for word in options if word != f"gid={_TTY}"]
    if host["Privileged"]:
        for entry in found:
            options = entry["options"]
            assert isinstance(options, list)
            entry["options"] = [word for word in options if word != "ro"]
    found += [entry for entry in _shared(around) if entry["destination"] not in taken]
    found += [_file(container, name) for name in _OWN_FILES if f"/etc/{name}" not in taken]
    if host["Init"]:
        found.append(_bind(_find_init(), _INIT, read_only=True))
    found += [mounts.entry(made) for made in points]
    # What lies deeper comes later, or it would be covered: /etc is a volume, /etc/hosts still ours.
    return sorted(found, key=lambda entry: entry["destination"].count("/"))


def _is_wanted(entry: "Document", host: "Document", around: "Surroundings") -> bool:
    if entry["destination"] == "/dev/shm":
        return bool(host["IpcMode"] == "private")
    if entry["destination"] == "/dev/mqueue":
        # The file system shows the queues of the namespace in which it is mounted; a user cannot mount it in the host's.
        return not (is_rootless() and around.namespaces.get("ipc") == "")
    return True


def _shared(around: "Surroundings") -> "list[Document]":
    """Return the mount of a /dev/shm that others may have, too; the host's as it is there."""
    if sharedmemory.SHARED not in around.namespaces:
        return []
    source = around.namespaces[sharedmemory.SHARED]
    made = _bind(source, "/dev/shm", read_only=False)
    if source != sharedmemory.HOST:
        made["options"] += ["nosuid", "nodev", "noexec"]
    return [made]


def _file(container: "Container", name: str) -> "Document":
    """Return the mount of a file that is kept for the container; read-only where its root is."""
    source = f"{container.document['files']}/{name}"
    return _bind(source, f"/etc/{name}", read_only=container.host_config["ReadonlyRootfs"])


def _bind(source: str, destination: str, *, read_only: bool) -> "Document":
    options = ["rbind", "rprivate", *(("ro",) if read_only else ())]
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def _find_init() -> str:
    """Return an init of the host that runs in any image: it must need no loader and no library."""
    from pyoci.engine.errors import EngineError

    for path in _INITS:
        if posix.access(path, posix.X_OK) and _is_static(path):
            return path
    raise EngineError(
        'exec: "docker-init": executable file not found in $PATH: install tini (its tini-static) or catatonit'
    )


def _is_static(path: str) -> bool:
    """Tell whether a program asks for no loader: elf(5), no header of a program's parts is PT_INTERP."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        head = posix.read(fd, _ELF_HEAD)
    finally:
        posix.close(fd)
    if head[:5] != b"\x7fELF\x02":
        return False
    start, size, count = (
        int.from_bytes(head[at : at + length], sys.byteorder)
        for at, length in ((0x20, 8), (0x36, 2), (0x38, 2))
    )
    kinds = (head[start + size * i : start + size * i + 4] for i in range(count))
    return all(int.from_bytes(kind, sys.byteorder) != _PT_INTERP for kind in kinds)


def _linux(container: "Container", around: "Surroundings") -> "Document":
    host = container.host_config
    made, rules = limits.devices(host)
    every = {"allow": True, "access": "rwm"}
    resources = limits.resources(host)
    resources["devices"] = [every] if host["Privileged"] else [*defaults.DEVICE_RULES, *rules]
    if host["Privileged"]:
        made += _every_device()
    parent = host["CgroupParent"] or defaults.CGROUP_PARENT
    profile = security.seccomp(host)
    found: Document = {
        "namespaces": _namespaces(host, around),
        "resources": resources,
        "devices": made,
        "cgroupsPath": "" if is_rootless() else f"/{parent.strip('/')}/{container.id}",
        "maskedPaths": host["MaskedPaths"],
        "readonlyPaths": host["ReadonlyPaths"],
        "sysctl": {**_sysctls(host, around), **host["Sysctls"]},
        "rootfsPropagation": _propagation(container),
    }
    if profile is not None:
        found["seccomp"] = profile
    return {key: value for key, value in found.items() if value != ""}


def _every_device() -> "list[Document]":
    """Return every device of the host, for a privileged container."""
    found = []
    for name in sorted(posix.listdir("/dev")):
        path = f"/dev/{name}"
        if name not in ("console", "ptmx", "pts", "shm", "mqueue", "fd") and limits.is_device(path):
            found += limits.devices(
                {
                    "Devices": [
                        {"PathOnHost": path, "PathInContainer": path, "CgroupPermissions": "rwm"}
                    ],
                    "DeviceCgroupRules": None,
                }
            )[0]
    return found


def _propagation(container: "Container") -> str:
    """Return how mounts pass between the host and the container's root: as far as its volumes need it."""
    wanted = {made["Propagation"].removeprefix("r") for made in container.document["Mounts"]}
    if "shared" in wanted:
        return "rshared"
    return "rslave" if "slave" in wanted else ""


def _is_mapped(gid: int) -> bool:
    """Tell whether a group exists in our user namespace (user_namespaces(7))."""
    numbers = [int(word) for word in read("/proc/self/gid_map").split()]
    return any(
        first <= gid < first + size for first, size in zip(numbers[::3], numbers[2::3], strict=True)
    )


def _sysctls(host: "Document", around: "Surroundings") -> dict[str, str]:
    if "network" in around.namespaces or host["Privileged"]:
        return {}
    found = {**defaults.NETWORK_SYSCTLS}
    if not _is_mapped(_LAST_GROUP):
        del found["net.ipv4.ping_group_range"]  # the kernel takes mapped groups only
    return found


def _namespaces(host: "Document", around: "Surroundings") -> "list[Document]":
    """Return the namespaces: own ones, those of others by path; the host's are not in the list."""
    found: list[Document] = [{"type": "mount"}]
    for kind in ("network", "uts", "pid", "ipc", "cgroup"):
        if kind == "cgroup" and host["CgroupnsMode"] == "host":
            continue
        path = around.namespaces.get(kind)
        if path is None:
            found.append({"type": kind})
        elif path:
            found.append({"type": kind, "path": path})
    return found
