# SPDX-License-Identifier: Apache-2.0
"""The compiler: a complete config.json and the facts of the host become a plan. Pure: opens nothing, asks nobody.

The order of the calls below is the timeline of a container; ARCHITECTURE.md draws it.
"""

import errno
import posix

from pyoci.linux.process import (
    CLONE_NEWUSER,
    NAMESPACES,
    SIGKILL,
)
from pyoci.plan import namespaces, ops, process, rootfs, scheduling
from pyoci.plan.program import Late, Program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.plan.facts import Facts
    from pyoci.seccomp import Filter
    from pyoci.spec import Process, Spec

ROOT = posix.O_PATH | posix.O_DIRECTORY
DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY


def create(
    spec: "Spec", facts: "Facts", filter_: "Filter | None", environment: list[str]
) -> Program:
    """Compile `create`: from the runtime's process to an init that waits for `start`.

    `environment` is added to process.env (socket activation, NOTIFY_SOCKET). Raises SpecError and Unsupported.
    """
    program = Program()
    body = spec["process"]
    assert body is not None
    set_up(program, spec, body, facts)
    if facts.privileged:
        rootfs.open_sources(program, spec, facts)
    namespaces.open_paths(program, spec)
    program.at("/linux/cgroupsPath").add("ask", ops.TOPICS.index("cgroups"))
    rootfs.open_cgroup_sources(program, spec, facts)
    cgroup, hierarchies = open_cgroups(program, facts)
    if namespaces.is_joined(spec, "pid") or namespaces.joins_all_at_once(spec, facts):
        cgroup, hierarchies = enter_cgroup_first(program, cgroup, hierarchies)
    namespaces.join(program, spec, facts)
    rootfs.open_joined_root(program, spec, facts)
    namespaces.clone(program, spec, cgroup)
    program.at("").add("parent_death_signal", SIGKILL)
    namespaces.become_root(program, spec)
    program.at("").add("parent_death_signal", SIGKILL)
    program.add("set_sid")
    namespaces.enter_cgroup(program, cgroup, hierarchies)
    if not facts.privileged:
        rootfs.open_sources(program, spec, facts)
    inside_proc(program, spec, body, facts)
    rootfs.make(program, spec, facts)
    hooks_of_create(program, spec)
    process.terminal(program, body, console=True)
    process.stdio(program, body)
    working_directory(program, body)
    env = process.environment(body, environment)
    process.find_home(program, env)
    rootfs.finish(program, spec, facts)
    rootfs.enter(program, spec, facts)
    umask = body["user"]["umask"]
    finish(program, spec, body, facts, filter_, umask=umask, env=env)
    program.at("").add("wait_start", ops.START_SLOT)
    process.hooks(program, "startContainer", spec["hooks"]["startContainer"], env)
    launch(program, body, env, facts, keep=ops.START_SLOT)
    return program


def execute(
    spec: "Spec", body: "Process", facts: "Facts", filter_: "Filter | None", environment: list[str]
) -> Program:
    """Compile `exec`: one more process in a container; slot "target" holds a pidfd of its init."""
    program = Program()
    program.slot("target")  # the first slot behind the well-known ones: inherited
    set_up(program, spec, body, facts)
    if not facts.privileged:
        program.at("").add("dumpable", 0)
    scheduling.affinity(program, body, "initial")
    enter_container(program, spec, facts)
    scheduling.affinity(program, body, "final")
    program.at("").add("set_sid")
    if not facts.no_new_keyring:
        namespaces.keyring(program, facts)
    process.open_label(program, body, facts)
    if "proc" in program.slots:
        program.at("").add("close", program.slot("proc"))
    program.at("").add("open", program.slot("root"), ops.CWD_SLOT, "/", ROOT, 0, 0)
    process.terminal(program, body, console=False)
    process.stdio(program, body)
    env = process.environment(body, environment)
    process.find_home(program, env)
    program.at("").add("close", program.slot("root"))
    umask = None if spec["process"] is None else spec["process"]["user"]["umask"]
    finish(program, spec, body, facts, filter_, umask=umask, env=env)
    program.at("").add("ask", ops.TOPICS.index("start"))
    launch(program, body, env, facts, keep=ops.REPORT_SLOT)
    return program


def enter_container(program: Program, spec: "Spec", facts: "Facts") -> None:
    """Enter the cgroups and namespaces of the container whose init is in slot "target"."""
    target, root = program.slot("target"), program.slot("root")
    own = 0
    for namespace in spec["linux"]["namespaces"]:
        own |= NAMESPACES[namespace["type"]][0] & ~facts.shared
    has_root = not namespaces.is_new(spec, "mount")
    if has_root:
        # Of its own the container has only a root: no namespace leads there.
        path = f"/proc/{facts.target}/root"
        program.at("/root/path").add("open", root, ops.CWD_SLOT, path, ROOT, 0, 0)
    if facts.attached:
        program.at("/linux/cgroupsPath").add("ask", ops.TOPICS.index("cgroups"))
    cgroup, hierarchies = open_cgroups(program, facts)
    enter_cgroup_first(program, cgroup, hierarchies)
    if own:
        program.at("/linux/namespaces").add("setns", target, own)
    program.at("").add("clone", 0, ops.NO_SLOT)
    program.add("parent_death_signal", SIGKILL)
    if has_root:
        program.at("/root/path").add("chroot", root)
    program.at("").add("close", target)
    if own & CLONE_NEWUSER:
        process_root(program)


def enter_cgroup_first(
    program: Program, cgroup: int, hierarchies: list[str]
) -> tuple[int, list[str]]:
    """Enter the cgroups in a process of our own, before one in the container's pid namespace exists.

    Whoever is in that namespace with CAP_SYS_PTRACE may look into a process that comes in, and would find
    descriptors of the host's cgroups (CVE-2016-9962). Returns what is left to enter: nothing.
    """
    program.at("/linux/cgroupsPath").add("clone", 0, cgroup)
    program.add("parent_death_signal", SIGKILL)
    namespaces.enter_cgroup(program, cgroup, hierarchies)
    return ops.NO_SLOT, []


def process_root(program: Program) -> None:
    """Take the root identity of the user namespace that was entered, where there is one."""
    ignore = (errno.EPERM, errno.EINVAL)
    program.at("/linux/uidMappings").add("set_groups", b"", ignore=ignore)
    program.add("set_gid", 0, ignore=ignore)
    program.add("set_uid", 0, ignore=ignore)
    program.add("parent_death_signal", SIGKILL)


def set_up(program: Program, spec: "Spec", body: "Process", facts: "Facts") -> None:
    """Begin the set-up process: what needs the runtime's own privilege on the host."""
    program.at("").add("default_signals")
    if not facts.privileged:
        # An ordinary user's own /proc files are closed to it while it is not dumpable (proc(5)).
        program.add("dumpable", 1)
    process.raise_limits(program, body)
    process.oom_score(program, body)
    if namespaces.needs_proc(spec) or body["apparmorProfile"] or body["selinuxLabel"]:
        namespaces.open_proc(program)


def open_cgroups(program: Program, facts: "Facts") -> tuple[int, list[str]]:
    """Open the container's cgroups; return the slot for CLONE_INTO_CGROUP and the v1 hierarchies to enter."""
    program.at("/linux/cgroupsPath")
    cgroup, hierarchies = ops.NO_SLOT, []
    for number, (name, directory) in enumerate(facts.cgroups):
        if directory != facts.unified:
            # A thread that moves itself through `tasks` spares the kernel a wait for every CPU, 10 ms that
            # a write to cgroup.procs costs (cgroup_attach_lock); init has but one thread.
            slot = program.slot("tasks " + name)
            tasks = Late(facts, number, after="/tasks")
            program.add("open", slot, ops.CWD_SLOT, tasks, posix.O_WRONLY, 0, 0)
            hierarchies.append(name)
        else:
            cgroup = program.slot("cgroup")
            program.add("open", cgroup, ops.CWD_SLOT, Late(facts, number), DIRECTORY, 0, 0)
            if facts.device_program is not None:
                program.at("/linux/resources/devices")
                # An ordinary user may not load one, and could make no device anyway.
                ignore = () if facts.privileged else (errno.EPERM,)
                program.add("device_filter", cgroup, facts.device_program, ignore=ignore)
    return cgroup, hierarchies


def inside_proc(program: Program, spec: "Spec", body: "Process", facts: "Facts") -> None:
    """Do what needs /proc while only the host's own is there: time offsets, sysctl, labels."""
    labels = bool(body["apparmorProfile"] or body["selinuxLabel"])
    own_files = namespaces.has_user(spec) and (labels or namespaces.is_new(spec, "time"))
    if own_files:
        # Root of a user namespace may not open its own /proc files while it is not dumpable (ptrace(2)).
        program.at("").add("dumpable", 1)
    namespaces.enter_late(program, spec, facts)
    namespaces.interior(program, spec, facts)
    process.open_label(program, body, facts)
    if own_files or not facts.privileged:
        program.at("").add("dumpable", 0)
    if "proc" in program.slots:
        program.at("").add("close", program.slot("proc"))


def hooks_of_create(program: Program, spec: "Spec") -> None:
    """Stop for the hooks of the runtime's namespace, then run those of the container's."""
    hooks = spec["hooks"]
    if hooks["prestart"] or hooks["createRuntime"] or hooks["createContainer"]:
        program.at("/hooks").add("ask", ops.TOPICS.index("runtime_hooks"))
    process.hooks(program, "createContainer", hooks["createContainer"], None)


def working_directory(program: Program, body: "Process") -> None:
    """Make cwd inside the root where it is missing, before the root may become read-only."""
    target = program.slot("target")
    program.at("/process/cwd")
    ignore = (errno.EROFS, errno.ENOTDIR)  # chdir says later what is wrong
    program.add(
        "create", target, program.slot("root"), body["cwd"], 0, 0o755, ignore=ignore, skip=1
    )
    program.add("close", target)


def finish(  # noqa: PLR0913 - the two callers name every argument
    program: Program,
    spec: "Spec",
    body: "Process",
    facts: "Facts",
    filter_: "Filter | None",
    *,
    umask: int | None,
    env: list[str],
) -> None:
    """Become the user, find the program, report, load the filter."""
    process.personality(program, spec)
    scheduling.settle(program, spec, body)
    mask = process.DEFAULT_UMASK if umask is None else umask
    sets = process.Credentials(body["capabilities"], facts.capabilities)
    process.identity(program, body, sets, mask, filter_)
    process.find_program(program, body, env)
    process.write_label(program, body)
    program.at("").add("ask", ops.TOPICS.index("ready"))
    # The record is written: from here on the container outlives the command.
    program.add("parent_death_signal", 0)
    process.seccomp(program, body, sets, filter_)
    program.at("/linux/seccomp").add("tell", ops.TOPICS.index("sealed"))


def launch(program: Program, body: "Process", env: list[str], facts: "Facts", *, keep: int) -> None:
    """Close every descriptor for good, not on exec, and become the program (CVE-2024-21626).

    Only one waits for execve, which closes it: the exec fifo, or the socket of exec; so its other end
    sees the program begin. Neither leads anywhere.
    """
    first = process.FIRST_DESCRIPTOR + facts.preserved
    program.at("/process/args/0")
    program.add("close_fds", keep, first)
    program.add("execute", body["args"], env)
