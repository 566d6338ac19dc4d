# SPDX-License-Identifier: Apache-2.0
"""What the compiler must know of this host, read once for each plan."""

import posix

from pyoci.cgroup import of_process
from pyoci.identity import read
from pyoci.linux.process import CAP_SYS_ADMIN_BIT, CLONE_NEWUSER, NAMESPACES
from pyoci.plan.facts import Facts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.cgroup import Cgroup
    from pyoci.spec import Spec

_DIRECTORY, _LINK = 0o040000, 0o120000
_TYPE_MODE = 0o170000


def facts(  # noqa: PLR0913 - the wishes are named at the call
    spec: "Spec",
    bundle: str,
    identity: str,
    cgroup: "Cgroup | None",
    *,
    no_pivot: bool = False,
    no_new_keyring: bool = False,
    preserved: int = 0,
) -> Facts:
    """Gather the facts for a container of this configuration."""
    sources = bind_sources(spec, bundle)
    resources, namespaces = spec["linux"]["resources"], spec["linux"]["namespaces"]
    return Facts(
        euid=posix.geteuid(),
        egid=posix.getegid(),
        privileged=is_privileged(),
        bundle=bundle,
        identity=identity,
        layout=cgroup.layout if cgroup else "none",
        cgroups=cgroup.mounts() if cgroup else (),
        unified=_unified_of(cgroup, cgroup.mounts()) if cgroup else "",
        device_program=cgroup.device_program(resources) if cgroup else None,
        no_pivot=no_pivot,
        no_new_keyring=no_new_keyring,
        preserved=preserved,
        capabilities=grantable(in_user=any(row["type"] == "user" for row in namespaces)),
        selinux=_exists("/sys/fs/selinux/enforce"),
        apparmor=_apparmor_is_on(),
        directories=frozenset(sources.directories),
        missing=frozenset(sources.missing),
        links=sources.links,
    )


def exec_facts(
    identity: str, cgroup: "Cgroup | None", pid: int, sub_cgroups: list[str], *, preserved: int
) -> Facts:
    """Gather the facts for one more process beside the container's init, whose pid this is."""
    shared = shared_namespaces(pid)
    attached = cgroup is not None and cgroup.is_entered_by_systemd()
    cgroups = exec_cgroups(cgroup, pid, sub_cgroups) if cgroup else ()
    return Facts(
        euid=posix.geteuid(),
        egid=posix.getegid(),
        privileged=is_privileged(),
        identity=identity,
        layout=cgroup.layout if cgroup else "none",
        cgroups=cgroups,
        unified=_unified_of(cgroup, cgroups) if cgroup else "",
        attached=attached,
        preserved=preserved,
        capabilities=grantable(in_user=not shared & CLONE_NEWUSER),
        selinux=_exists("/sys/fs/selinux/enforce"),
        apparmor=_apparmor_is_on(),
        target=pid,
        shared=shared,
    )


def _unified_of(cgroup: "Cgroup", cgroups: tuple[tuple[str, str], ...]) -> str:
    """Return which of these directories lies in cgroup v2."""
    part = cgroup.part("")
    if part is None:
        return ""
    return next((where for _, where in cgroups if f"{where}/".startswith(f"{part.mount}/")), "")


def exec_cgroups(cgroup: "Cgroup", pid: int, sub_cgroups: list[str]) -> tuple[tuple[str, str], ...]:
    """Return where a further process goes: the container's cgroups, some below by `--cgroup`, or where init went.

    Init of a container that manages cgroups of its own has left the one that we made, and nothing may enter that.
    """
    here = all(_exists(directory) for _, directory in cgroup.mounts())
    if not here or (cgroup.is_inner() and not sub_cgroups):
        return of_process(pid).mounts()
    directories = dict(cgroup.mounts())
    if sub_cgroups:
        directories.update(cgroup.below(sub_cgroups).mounts())
    return tuple(directories.items())


def is_privileged() -> bool:
    """Tell whether we have CAP_SYS_ADMIN in the initial user namespace (user_namespaces(7))."""
    if posix.geteuid() != 0 or read("/proc/self/uid_map").split() != [b"0", b"0", b"4294967295"]:
        return False
    return bool(_own("CapEff") & CAP_SYS_ADMIN_BIT)


def grantable(*, in_user: bool) -> int:
    """Return the capabilities that a container can be given: ours, or all in another user namespace."""
    return -1 if in_user else _own("CapPrm")


def _own(name: str) -> int:
    """Return one of our capability sets (proc_pid_status(5))."""
    return int(read("/proc/self/status").partition(f"{name}:".encode())[2].split(None, 1)[0], 16)


class Sources:
    """The sources of bind mounts, by what they are."""

    def __init__(self) -> None:
        self.directories: list[str] = []
        self.missing: list[str] = []
        self.links: dict[str, str] = {}  # those that are to be copied, and what they say


def bind_sources(spec: "Spec", bundle: str) -> Sources:
    """Look at the sources of bind mounts."""
    found = Sources()
    for mount in spec["mounts"]:
        source, asked = mount["source"], set(mount["options"])
        if not source or (mount["type"] != "bind" and not {"bind", "rbind"} & asked):
            continue
        path = source if source.startswith("/") else f"{bundle}/{source}"
        try:
            if "copy-symlink" in asked and _type(posix.lstat(path)) == _LINK:
                found.links[path] = posix.readlink(path)
            elif _type(posix.stat(path)) == _DIRECTORY:
                found.directories.append(path)
        except FileNotFoundError:
            found.missing.append(path)
        except OSError:
            continue  # the mount itself will say so, with its place
    return found


def _type(status: posix.stat_result) -> int:
    return status.st_mode & _TYPE_MODE


def shared_namespaces(pid: int) -> int:
    """Return the CLONE_NEW* bits of the namespaces that a process shares with us."""
    shared = 0
    for flag, name in NAMESPACES.values():
        if posix.readlink(f"/proc/{pid}/ns/{name}") == posix.readlink(f"/proc/self/ns/{name}"):
            shared |= flag
    return shared


def _apparmor_is_on(switch: str = "/sys/module/apparmor/parameters/enabled") -> bool:
    """Return whether AppArmor is in force; in a kernel that runs SELinux it may be there and off."""
    try:
        fd = posix.open(switch, posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return False
    try:
        return posix.read(fd, 1) == b"Y"
    finally:
        posix.close(fd)


def _exists(path: str) -> bool:
    try:
        posix.stat(path)
    except OSError:
        return False
    return True
