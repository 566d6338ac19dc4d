# SPDX-License-Identifier: Apache-2.0
"""Namespaces in a plan: joined and made, cgroup and time after init is in its cgroup, and what lives in them."""

import errno
import posix

from pyoci.errors import SpecError
from pyoci.linux.process import (
    CLONE_NEWCGROUP,
    CLONE_NEWTIME,
    NAMESPACES,
    PROC_SUPER_MAGIC,
)
from pyoci.plan import ops
from pyoci.plan.program import IDENTITY, Late

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.plan.program import Program
    from pyoci.spec import IDMapping, Namespace, Spec

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

# These are entered by init itself, once it is in its final cgroup and alone.
_LATE = CLONE_NEWCGROUP | CLONE_NEWTIME


def find(spec: "Spec", kind: str) -> "Namespace | None":
    """Return the namespace entry of this type, None when the runtime's own is kept."""
    for namespace in spec["linux"]["namespaces"]:
        if namespace["type"] == kind:
            return namespace
    return None


def is_new(spec: "Spec", kind: str) -> bool:
    """Tell whether the container gets a fresh namespace of this type."""
    namespace = find(spec, kind)
    return namespace is not None and not namespace["path"]


def is_joined(spec: "Spec", kind: str) -> bool:
    """Tell whether the container joins a namespace of this type by its path."""
    namespace = find(spec, kind)
    return namespace is not None and bool(namespace["path"])


def open_paths(program: "Program", spec: "Spec") -> None:
    """Open every namespace that is joined by path, before any of them is entered."""
    for index, namespace in enumerate(spec["linux"]["namespaces"]):
        if namespace["path"]:
            program.at(f"/linux/namespaces/{index}/path")
            slot = program.slot("namespace " + namespace["type"])
            flags = posix.O_RDONLY | posix.O_NONBLOCK  # a path that is a FIFO must not hold us
            program.add("open", slot, ops.CWD_SLOT, namespace["path"], flags, 0, 0)


def joins_all_at_once(spec: "Spec", facts: "Facts") -> bool:
    """Tell whether no namespace may be left for later: once in the user namespace, those of others are out of reach."""
    return facts.privileged and is_joined(spec, "user")


def join(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Enter the namespaces joined by path, in the order that the caller's privilege allows.

    Root enters the user namespace last, while it still may enter those owned by others; an
    ordinary user must enter it first, for it is what gives the right to enter the rest.
    """
    late = 0 if joins_all_at_once(spec, facts) else _LATE
    indexed = list(enumerate(spec["linux"]["namespaces"]))
    indexed.sort(key=lambda item: (item[1]["type"] == "user") == facts.privileged)
    for index, namespace in indexed:
        flag = NAMESPACES[namespace["type"]][0]
        if namespace["path"] and not flag & late:
            program.at(f"/linux/namespaces/{index}/path")
            program.add("setns", program.slot("namespace " + namespace["type"]), flag)
            program.add("close", program.slot("namespace " + namespace["type"]))


def clone(program: "Program", spec: "Spec", cgroup: int) -> None:
    """Make init in its new namespaces and, on cgroup v2, in its cgroup (clone3(2), CLONE_INTO_CGROUP)."""
    flags = 0
    for namespace in spec["linux"]["namespaces"]:
        flag = NAMESPACES[namespace["type"]][0]
        if not namespace["path"] and not flag & _LATE:
            flags |= flag
    program.at("/linux/namespaces").add("clone", flags, cgroup)


def become_root(program: "Program", spec: "Spec") -> None:
    """Wait for the id maps of a new user namespace and become root in it, where it has a root."""
    namespace = find(spec, "user")
    if namespace is None:
        return
    if not namespace["path"]:
        program.at("/linux/uidMappings").add("ask", ops.TOPICS.index("id_maps"))
    program.at("/linux/uidMappings")
    if namespace["path"] or maps(spec["linux"]["gidMappings"], 0):
        # setgroups is denied where an unprivileged user wrote the map (user_namespaces(7)).
        program.add("set_groups", b"", ignore=(errno.EPERM,))
        program.add("set_gid", 0)
    if namespace["path"] or maps(spec["linux"]["uidMappings"], 0):
        program.add("set_uid", 0)


def maps(mappings: "list[IDMapping]", number: int) -> bool:
    """Tell whether an id of the container has one on the host."""
    return any(row["containerID"] <= number < row["containerID"] + row["size"] for row in mappings)


def enter_cgroup(program: "Program", cgroup: int, hierarchies: list[str]) -> None:
    """Write init into its cgroup of each v1 hierarchy, through descriptors that the set-up process opened."""
    program.at("/linux/cgroupsPath")
    if cgroup != ops.NO_SLOT:
        program.add("close", cgroup)  # a directory of the host is a way out (CVE-2024-21626)
    for name in hierarchies:
        program.add("write", program.slot("tasks " + name), b"0")
        program.add("close", program.slot("tasks " + name))


def enter_late(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Enter the cgroup namespace, whose root is where init is now, and the time namespace."""
    for index, namespace in enumerate(spec["linux"]["namespaces"]):
        program.at(f"/linux/namespaces/{index}")
        if namespace["type"] == "cgroup" and not namespace["path"]:
            program.add("unshare", CLONE_NEWCGROUP)
        elif namespace["type"] == "time" and not namespace["path"]:
            _new_time(program, spec)
        elif namespace["type"] in {"cgroup", "time"} and not joins_all_at_once(spec, facts):
            flag = NAMESPACES[namespace["type"]][0]
            program.add("setns", program.slot("namespace " + namespace["type"]), flag)
            program.add("close", program.slot("namespace " + namespace["type"]))


def _new_time(program: "Program", spec: "Spec") -> None:
    """Make a time namespace and enter it: setns(2) does for init what only a fork did before."""
    program.add("unshare", CLONE_NEWTIME)
    offsets = spec["linux"]["timeOffsets"]
    if offsets:
        clocks = (("monotonic", offsets["monotonic"]), ("boottime", offsets["boottime"]))
        lines = [f"{name} {at['secs']} {at['nanosecs']}\n" for name, at in clocks if at]
        program.at("/linux/timeOffsets")
        write_proc(program, "self/timens_offsets", "".join(lines))
    slot = program.slot("time")
    program.add(
        "open", slot, program.slot("proc"), "self/ns/time_for_children", posix.O_RDONLY, 0, 0
    )
    program.add("setns", slot, CLONE_NEWTIME)
    program.add("close", slot)


def needs_proc(spec: "Spec") -> bool:
    """Tell whether init will write below /proc."""
    process = spec["process"]
    labels = process is not None and bool(process["apparmorProfile"] or process["selinuxLabel"])
    return bool(spec["linux"]["sysctl"]) or is_new(spec, "time") or labels


def open_proc(program: "Program") -> None:
    """Open the host's own procfs, verified, before any file of the image can be seen (CVE-2019-16884)."""
    program.at("")
    slot = program.slot("proc")
    flags = posix.O_PATH | posix.O_DIRECTORY
    program.add("open", slot, ops.CWD_SLOT, "/proc", flags, 0, 0)
    program.add("verify_filesystem", slot, PROC_SUPER_MAGIC)


def write_proc(program: "Program", path: str, text: str) -> None:
    """Write a file below the verified procfs, never through a mount or a magic link (CVE-2025-52881)."""
    resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS
    slot = program.slot("procfile")
    program.add("open", slot, program.slot("proc"), path, posix.O_WRONLY, 0, resolve)
    program.add("write", slot, text.encode())
    program.add("close", slot)


def sysctls(program: "Program", spec: "Spec") -> None:
    """Set kernel parameters of the container's namespaces (config-linux.md#sysctl)."""
    for key, value in spec["linux"]["sysctl"].items():
        program.at("/linux/sysctl/" + key.replace("~", "~0").replace("/", "~1"))
        write_proc(program, "sys/" + sysctl_path(key), value)


def sysctl_path(key: str) -> str:
    """Return the file of a key: the first separator decides whether dots or slashes separate (sysctl.d(5))."""
    slash, dot = key.find("/"), key.find(".")
    path = key if slash >= 0 and (dot < 0 or slash < dot) else key.translate({46: "/", 47: "."})
    if any(part in {"", ".", ".."} for part in path.split("/")):
        raise SpecError("/linux/sysctl/" + key.replace("/", "~1"), "is not a kernel parameter")
    return path


def interior(program: "Program", spec: "Spec", facts: "Facts") -> None:
    """Fill the new namespaces: keyring, loopback, host and domain name, kernel parameters."""
    if not facts.no_new_keyring:
        keyring(program, facts)
    if is_new(spec, "network"):
        program.at("/linux/namespaces").add("loopback_up")
    if spec["linux"]["netDevices"]:
        program.at("/linux/netDevices").add("ask", ops.TOPICS.index("net_devices"))
    if spec["hostname"]:
        program.at("/hostname").add("hostname", spec["hostname"])
    if spec["domainname"]:
        program.at("/domainname").add("domainname", spec["domainname"])
    sysctls(program, spec)


def keyring(program: "Program", facts: "Facts") -> None:
    """Give the container a session keyring of its own, where the kernel has keyrings (keyrings(7))."""
    name = Late(facts, IDENTITY, before="_ses.")
    program.at("").add("session_keyring", name, ignore=(errno.ENOSYS,))


def has_user(spec: "Spec") -> bool:
    """Tell whether the container runs in a user namespace, new or joined."""
    return find(spec, "user") is not None
