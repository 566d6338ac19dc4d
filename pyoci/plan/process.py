# SPDX-License-Identifier: Apache-2.0
"""The process in a plan: terminal, limits, identity, capabilities, labels, seccomp and the program itself.

Shared by create and exec; the order of the steps is the design, each says what breaks when it moves.
"""

import errno
import posix

from pyoci.errors import SpecError
from pyoci.linux.process import (
    CAP_SYS_ADMIN_BIT,
    CAPABILITY_BITS,
    LIMITS,
    PERSONALITIES,
    SIGKILL,
)
from pyoci.plan import namespaces, ops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.plan.program import Program
    from pyoci.seccomp import Filter
    from pyoci.spec import Capabilities, Hook, Process, Spec

S_IFREG = 0o100000
FIRST_DESCRIPTOR = 3
DEFAULT_UMASK = 0o022


class Credentials:
    """The five capability sets as masks; without `capabilities` all are empty (least privilege, as crun)."""

    __slots__ = ("ambient", "bounding", "effective", "inheritable", "permitted")

    def __init__(self, capabilities: "Capabilities | None", available: int) -> None:
        self.bounding = mask(capabilities["bounding"]) & available if capabilities else 0
        self.effective = mask(capabilities["effective"]) & available if capabilities else 0
        self.inheritable = mask(capabilities["inheritable"]) & available if capabilities else 0
        self.permitted = mask(capabilities["permitted"]) & available if capabilities else 0
        self.ambient = mask(capabilities["ambient"]) & available if capabilities else 0


def mask(names: list[str]) -> int:
    """Return capability names as bits; names that this version does not know are left out (a warning says so)."""
    bits = 0
    for name in names:
        bits |= CAPABILITY_BITS.get(name.upper(), 0)
    return bits


def raise_limits(program: "Program", process: "Process") -> None:
    """Raise hard limits with the runtime's own privilege; lowering comes last, in `lower_limits`."""
    for index, limit in enumerate(process["rlimits"]):
        program.at(f"/process/rlimits/{index}")
        program.add("raise_limit", LIMITS[limit["type"]], limit["hard"])


def lower_limits(program: "Program", process: "Process") -> None:
    """Set the limits as asked, once no descriptor, process or file of ours is needed any more."""
    for index, limit in enumerate(process["rlimits"]):
        program.at(f"/process/rlimits/{index}")
        program.add("set_limit", LIMITS[limit["type"]], limit["soft"], limit["hard"])


def oom_score(program: "Program", process: "Process") -> None:
    """Write oom_score_adj before any user namespace: lowering it needs CAP_SYS_RESOURCE on the host."""
    if process["oomScoreAdj"] is None:
        return
    program.at("/process/oomScoreAdj")
    slot = program.slot("oom_score_adj")
    program.add("open", slot, ops.CWD_SLOT, "/proc/self/oom_score_adj", posix.O_WRONLY, 0, 0)
    program.add("write", slot, str(process["oomScoreAdj"]).encode())
    program.add("close", slot)


def open_label(program: "Program", process: "Process", facts: "Facts") -> None:
    """Open the label files on the host's procfs while no file of the image can be seen (CVE-2025-52881)."""
    resolve = (
        namespaces.RESOLVE_BENEATH | namespaces.RESOLVE_NO_XDEV | namespaces.RESOLVE_NO_MAGICLINKS
    )
    for key, path, present in (
        ("apparmorProfile", "self/attr/apparmor/exec", facts.apparmor),
        ("selinuxLabel", "self/attr/exec", facts.selinux),
    ):
        label = process["apparmorProfile"] if key == "apparmorProfile" else process["selinuxLabel"]
        if not label or (key == "apparmorProfile" and label == "unconfined" and not present):
            continue
        if not present:
            raise SpecError(f"/process/{key}", _ABSENT[key])
        program.at(f"/process/{key}")
        program.add(
            "open", program.slot(key), program.slot("proc"), path, posix.O_WRONLY, 0, resolve
        )


_ABSENT = {
    "apparmorProfile": "apparmor profile is specified in config, but apparmor is disabled or not supported",
    "selinuxLabel": "selinux label is specified in config, but selinux is disabled or not supported",
}


def write_label(program: "Program", process: "Process") -> None:
    """Have the next execve change the label."""
    if "apparmorProfile" in program.slots:
        slot = program.slot("apparmorProfile")
        program.at("/process/apparmorProfile")
        program.add("write", slot, f"exec {process['apparmorProfile']}".encode())
        program.add("close", slot)
    if "selinuxLabel" in program.slots:
        slot = program.slot("selinuxLabel")
        program.at("/process/selinuxLabel").add(
            "write", slot, str(process["selinuxLabel"]).encode()
        )
        program.add("close", slot)


def terminal(program: "Program", process: "Process", *, console: bool) -> None:
    """Open a pty of the container's own devpts; with `console` also show it as /dev/console (CVE-2025-52565)."""
    if not process["terminal"]:
        return
    root, master, slave = program.slot("root"), program.slot("master"), program.slot("slave")
    size = process["consoleSize"]
    rows, columns = (size["height"], size["width"]) if size else (0, 0)
    program.at("/process/terminal").add("open_terminal", master, slave, root, rows, columns)
    if console:
        mount, target = program.slot("mount"), program.slot("target")
        program.add("create", target, root, "dev/console", 1, 0o600)
        program.add("open_tree", mount, slave, "", _CLONE_DESCRIPTOR)
        program.add("move_mount", mount, target)
        program.add("close", mount)
        program.add("close", target)
    program.add("pass_fd", master, ops.TOPICS.index("console"))
    program.add("close", master)


_CLONE_DESCRIPTOR = (
    0x1 | posix.O_CLOEXEC | 0x1000
)  # OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, AT_EMPTY_PATH


def stdio(program: "Program", process: "Process") -> None:
    """Settle descriptors 0 to 2: the terminal, or pipes that the user may open again and our own /dev/null."""
    uid = process["user"]["uid"]
    if process["terminal"]:
        program.at("/process/terminal").add("use_terminal", program.slot("slave"), uid)
        program.add("close", program.slot("slave"))
        return
    program.at("/process").add("reopen_null", program.slot("root"))
    program.add("own_stdio", uid)


def identity(
    program: "Program",
    process: "Process",
    sets: Credentials,
    umask: int,
    filter_: "Filter | None",
) -> None:
    """Become the user: after this init can do no more than the program will be allowed to."""
    user = process["user"]
    program.at("/process/cwd").add("chdir", process["cwd"], 0)
    program.at("/process/user/umask").add("umask", umask)
    # Before setuid: dropping needs CAP_SETPCAP.
    program.at("/process/capabilities/bounding").add("drop_bounding", sets.bounding)
    program.at("/process/user").add("keep_capabilities", 1)
    # An empty list where setgroups is denied asks for what is the case (user_namespaces(7)).
    groups = b"".join(gid.to_bytes(4, "little") for gid in user["additionalGids"])
    ignore = () if groups else (errno.EPERM,)
    program.at("/process/user/additionalGids").add("set_groups", groups, ignore=ignore)
    program.at("/process/user/gid").add("set_gid", user["gid"])
    program.at("/process/user/uid").add("set_uid", user["uid"])
    program.at("/process/noNewPrivileges")
    if process["noNewPrivileges"]:
        program.add("no_new_privs")
    # Without no_new_privs the seccomp filter needs CAP_SYS_ADMIN once more (seccomp(2)).
    extra = CAP_SYS_ADMIN_BIT if filter_ and not process["noNewPrivileges"] else 0
    capabilities(program, sets, extra)
    # setuid and capset clear it (prctl(2), PR_SET_PDEATHSIG).
    program.at("").add("parent_death_signal", SIGKILL)
    program.at("/process/cwd").add("chdir", process["cwd"], 1)
    lower_limits(program, process)


def capabilities(program: "Program", sets: Credentials, extra: int) -> None:
    """Set the sets; ambient ones last, for they must be permitted and inheritable (capabilities(7))."""
    program.at("/process/capabilities")
    effective, permitted = sets.effective | extra, sets.permitted | extra
    program.add("capabilities", effective, permitted, sets.inheritable)
    program.at("/process/capabilities/ambient").add("ambient", sets.ambient)


def find_program(program: "Program", process: "Process", environment: list[str]) -> None:
    """Find args[0] now, as the user: a missing program is an error of create, not of start."""
    path = None
    for entry in environment:
        if entry.startswith("PATH="):
            path = entry[5:]
    program.at("/process/args/0").add("find_program", process["args"][0], path)


def seccomp(
    program: "Program", process: "Process", sets: Credentials, filter_: "Filter | None"
) -> None:
    """Load the filter, as late as may be, and let go of the last capability that it needed."""
    if filter_ is None:
        return
    listener = program.slot("listener") if filter_.listener else ops.NO_SLOT
    program.at("/linux/seccomp").add("seccomp", listener, filter_.program, filter_.flags)
    if filter_.listener:
        program.add("pass_fd", listener, ops.TOPICS.index("listener"))
        program.add("close", listener)
    if not process["noNewPrivileges"]:
        capabilities(program, sets, 0)


def personality(program: "Program", spec: "Spec") -> None:
    """Set the execution domain, before a filter could forbid it (personality(2))."""
    domain = spec["linux"]["personality"]
    if domain:
        program.at("/linux/personality/domain")
        program.add("personality", PERSONALITIES[domain["domain"]])


def environment(process: "Process", extra: list[str]) -> list[str]:
    """Return the environment: of equal names the last one stays, in its place; HOME is always there."""
    entries = [*process["env"], *extra]
    last = {entry.partition("=")[0]: index for index, entry in enumerate(entries)}
    kept = [
        entry
        for index, entry in enumerate(entries)
        if last[entry.partition("=")[0]] == index and entry != "HOME="
    ]
    if not any(entry.startswith("HOME=") for entry in kept):
        kept.append(ops.HOME)
    return kept


def find_home(program: "Program", env: list[str]) -> None:
    """Pass the container's passwd file to the runtime, which reads it through the descriptor and answers with HOME.

    Without the file, or when it is anything but a regular one, HOME is /.
    """
    if ops.HOME not in env:
        return
    passwd = program.slot("passwd")
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY
    resolve = namespaces.RESOLVE_IN_ROOT | namespaces.RESOLVE_NO_MAGICLINKS
    program.at("/process/env")
    missing = (errno.ENOENT, errno.ENOTDIR)
    root = program.slot("root")
    program.add("open", passwd, root, "etc/passwd", flags, 0, resolve, ignore=missing, skip=4)
    program.add("verify_type", passwd, S_IFREG, 0, ignore=(errno.ENODEV, errno.ENOTDIR), skip=2)
    program.add("pass_fd", passwd, ops.TOPICS.index("home"))
    program.add("ask", ops.TOPICS.index("home"))
    program.add("close", passwd)


def hooks(
    program: "Program", kind: str, entries: "list[Hook]", default: "list[str] | None"
) -> None:
    """Run hooks in init's place: their own argv and environment, the state on stdin (config.md#posix-platform-hooks)."""
    for index, hook in enumerate(entries):
        program.at(f"/hooks/{kind}/{index}")
        program.add(
            "hook",
            hook["path"],
            hook["args"] or [hook["path"]],
            default if hook["env"] is None else hook["env"],
            ops.STATE_SLOT,
            (hook["timeout"] or 0) * 1000,
            index,
        )
