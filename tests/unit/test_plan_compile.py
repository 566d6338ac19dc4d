# SPDX-License-Identifier: Apache-2.0
"""Whole plans of create and exec: compared with tests/data/plans, and with the orders that security rests on.

PYOCI_WRITE_PLANS=1 writes the plans anew; what `git diff` then shows is what a change does to containers.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pyoci import spec as specification
from pyoci.errors import SpecError
from pyoci.plan import compile as compiler
from pyoci.plan import ops, show
from pyoci.plan.encode import encode
from pyoci.plan.facts import Facts
from pyoci.plan.program import Operation, Program
from pyoci.seccomp import Filter

PLANS = Path(__file__).resolve().parent.parent / "data/plans"
NAMESPACES = ("pid", "mount", "ipc", "uts", "network")
MAP = [{"containerID": 0, "hostID": 100000, "size": 65536}]
V2 = {
    "layout": "v2",
    "cgroups": (("", "/sys/fs/cgroup/box"),),
    "unified": "/sys/fs/cgroup/box",
    "device_program": bytes(64),
}
HYBRID = {
    "layout": "hybrid",
    "cgroups": (
        ("unified", "/sys/fs/cgroup/unified/box"),
        ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/box"),
        ("memory", "/sys/fs/cgroup/memory/box"),
    ),
    "unified": "/sys/fs/cgroup/unified/box",
}
FILTER = Filter(bytes(16), 0)
LISTENING = Filter(bytes(16), 1 << 3)
KINDS = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")

Document = dict[str, Any]
Rule = Callable[[Program], None]


def minimal(**linux: Any) -> Document:
    """The least that runs: a process, a root, namespaces."""
    namespaces = linux.pop("namespaces", NAMESPACES)
    return {
        "ociVersion": "1.2.0",
        "process": {
            "user": {"uid": 0, "gid": 0},
            "args": ["sh"],
            "env": ["PATH=/bin"],
            "cwd": "/",
        },
        "root": {"path": "rootfs"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
        "linux": {
            "namespaces": [
                {"type": name.partition("=")[0], "path": name.partition("=")[2]}
                for name in namespaces
            ],
            **linux,
        },
    }


def mount(destination: str, type_: str, *options: str, source: str = "") -> Document:
    entry = {"destination": destination, "type": type_, "source": source or type_}
    return {**entry, "options": list(options)}


def docker() -> Document:
    """What docker asks for, in the least that shows each kind of it."""
    document = minimal(
        namespaces=(*NAMESPACES, "cgroup"),
        maskedPaths=["/proc/keys", "/proc/acpi"],
        readonlyPaths=["/proc/sys"],
    )
    capabilities = ["CAP_CHOWN", "CAP_KILL", "CAP_SETPCAP"]
    document["process"] |= {
        "user": {"uid": 1000, "gid": 1001, "umask": 0o27, "additionalGids": [5, 6]},
        "capabilities": dict.fromkeys(
            ("bounding", "effective", "permitted", "ambient"), capabilities
        ),
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}],
        "oomScoreAdj": 100,
        "cwd": "/srv",
    }
    document["hostname"] = "box"
    document["mounts"] += [
        mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
        mount("/dev/pts", "devpts", "nosuid", "noexec", "newinstance", "mode=0620", "gid=5"),
        mount("/sys", "sysfs", "nosuid", "noexec", "nodev", "ro"),
        mount("/sys/fs/cgroup", "cgroup", "ro", "nosuid", "noexec", "nodev"),
        mount("/etc/hosts", "bind", "rbind", "rprivate", source="/run/hosts"),
    ]
    return document


def in_user_namespace() -> Document:
    document = docker()
    document["linux"]["namespaces"].append({"type": "user"})
    document["linux"] |= {"uidMappings": MAP, "gidMappings": MAP}
    return document


def joined() -> Document:
    """A pod: the namespaces of another container."""
    names = ("pid=/run/pid", "network=/run/net", "ipc=/run/ipc", "mount", "uts")
    return minimal(namespaces=names)


def terminal() -> Document:
    document = minimal()
    document["process"] |= {"terminal": True, "consoleSize": {"height": 24, "width": 80}}
    document["mounts"].append(mount("/dev/pts", "devpts", "newinstance"))
    return document


def with_hooks() -> Document:
    document = minimal()
    document["hooks"] = {
        kind: [{"path": f"/{kind}", "args": [kind, "now"], "env": ["A=1"], "timeout": 3}]
        for kind in KINDS
    }
    document["hooks"]["createContainer"].append({"path": "/bare"})
    return document


def no_new_privileges() -> Document:
    document = minimal()
    document["process"]["noNewPrivileges"] = True
    return document


def with_time() -> Document:
    offsets = {"monotonic": {"secs": -7}, "boottime": {"secs": 3, "nanosecs": 5}}
    return minimal(namespaces=(*NAMESPACES, "time", "cgroup"), timeOffsets=offsets)


def with_sysctl() -> Document:
    return minimal(sysctl={"net.ipv4.ip_forward": "1", "kernel/shmmax": "9"})


def labelled() -> Document:
    document = with_hooks()
    document["process"] |= {"apparmorProfile": "profile", "selinuxLabel": "u:r:t:s0"}
    return document


class Case:
    """One container: what it asks for, on which host."""

    def __init__(self, document: Document, filter_: Filter | None = None, **host: Any) -> None:
        self.document = document
        self.filter = filter_
        self.host = host


CASES = {
    "minimal": Case(minimal()),
    "minimal-no-pivot": Case(minimal(), no_pivot=True, no_new_keyring=True),
    "minimal-unprivileged": Case(
        {**in_user_namespace(), "mounts": minimal()["mounts"]}, privileged=False, euid=1000
    ),
    "docker-v2": Case(docker(), FILTER, **V2),
    "docker-hybrid": Case(docker(), FILTER, **HYBRID),
    "user-namespace": Case(in_user_namespace(), FILTER, **V2),
    "joined-pid-v2": Case(joined(), **V2),
    "joined-pid-hybrid": Case(joined(), **HYBRID),
    "terminal": Case(terminal()),
    "hooks": Case(with_hooks(), FILTER, **V2),
    "seccomp": Case(minimal(), FILTER),
    "seccomp-no-new-privileges": Case(no_new_privileges(), FILTER),
    "seccomp-listener": Case(minimal(), LISTENING),
    "time": Case(with_time(), **V2),
    "sysctl": Case(with_sysctl()),
    "labels": Case(labelled(), FILTER, apparmor=True, selinux=True),
    "preserved": Case(minimal(), preserved=2),
}
EXECS = {
    "exec": Case(docker(), FILTER, **HYBRID),
    "exec-v2": Case(docker(), FILTER, **V2),
    "exec-user-namespace": Case(in_user_namespace(), no_new_keyring=True, **V2),
    "exec-terminal": Case(terminal(), LISTENING),
    "exec-labels": Case(labelled(), apparmor=True, selinux=True),
    "exec-shared": Case(minimal(), shared=0x40000000 | 0x08000000 | 0x04000000),
}


def complete(document: Document, directory: Path) -> Any:
    """Read a document as the runtime does."""
    path = directory / "config.json"
    path.write_text(json.dumps(document))
    return specification.load(str(path))


def facts(**host: Any) -> Facts:
    host.setdefault("capabilities", (1 << 41) - 1)
    return Facts(bundle="/bundle", identity="box", **host)


def compiled(name: str, directory: Path) -> Program:
    case = CASES.get(name) or EXECS[name]
    config = complete(case.document, directory)
    if name in CASES:
        return compiler.create(config, facts(**case.host), case.filter, [])
    host = facts(**case.host)
    return compiler.execute(config, config["process"], host, case.filter, [])


@pytest.fixture(params=[*CASES, *EXECS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def plan(name: str, tmp_path: Path) -> Program:
    """Each plan of create and exec."""
    return compiled(name, tmp_path)


@pytest.fixture(params=list(CASES))
def created(request: pytest.FixtureRequest, tmp_path: Path) -> Program:
    """Each plan of create."""
    return compiled(request.param, tmp_path)


def test_the_plan_is_the_one_on_file(name: str, plan: Program) -> None:
    path = PLANS / f"{name}.txt"
    text = show.text(plan)
    if os.environ.get("PYOCI_WRITE_PLANS"):
        path.write_text(text)
    assert path.read_text() == text


def test_each_file_belongs_to_a_case() -> None:
    assert {path.stem for path in PLANS.glob("*.txt")} == {*CASES, *EXECS}


def test_every_plan_can_be_encoded(plan: Program) -> None:
    assert encode(plan, ops.INHERITED + ("target" in plan.slots)).text


# --- what the orders below are written with ------------------------------------------------------


def positions(program: Program, wanted: str, **arguments: Any) -> list[int]:
    """Where an operation stands, as far as its arguments, slots by their names, are these."""
    return [
        index
        for index, operation in enumerate(program.operations)
        if operation.name == wanted
        and all(argument(program, operation, key) == value for key, value in arguments.items())
    ]


def argument(program: Program, operation: Operation, wanted: str) -> Any:
    names = {number: name for name, number in program.slots.items()}
    _, signature, keys, _ = ops.OPERATIONS[ops.CODES[operation.name]]
    index = keys.split().index(wanted)
    value = operation.arguments[index]
    return names.get(value, value) if signature[index] in "so" else value


def only(program: Program, wanted: str, **arguments: Any) -> int:
    found = positions(program, wanted, **arguments)
    assert len(found) == 1, (wanted, arguments, found)
    return found[0]


def topic(name: str) -> int:
    return ops.TOPICS.index(name)


def change_of_root(program: Program) -> int:
    return next(
        index
        for index, operation in enumerate(program.operations)
        if operation.name in {"pivot_root", "move_root", "chroot"}
    )


def held(program: Program, at: int) -> set[str]:
    """The slots that hold a descriptor before this operation; one that may be is one that is."""
    names = {number: name for name, number in program.slots.items()}
    found: set[str] = set()
    for operation in program.operations[:at]:
        _, signature, _, _ = ops.OPERATIONS[ops.CODES[operation.name]]
        for kind, value in zip(signature, operation.arguments, strict=True):
            if kind == "o" and value != ops.NO_SLOT:
                found.add(names[value])
        if operation.name == "close":
            found.discard(names[operation.arguments[0]])
    return found


# --- orders: the host -----------------------------------------------------------------------------


def test_no_path_of_the_host_is_looked_up_once_the_image_is_attached(created: Program) -> None:
    """CVE-2025-52881: only /dev/null, /proc and /sys, which no image can have covered yet, for masks."""
    attached = only(created, "attach_root")
    for operation in created.operations[attached:]:
        if operation.name in {"open", "open_tree"}:
            directory = argument(created, operation, "dir")
            path = argument(created, operation, "path")
            known = {"/dev/null", "/proc", "/proc/kcore", "/sys"}
            assert directory != ops.CWD_SLOT or path in known, (directory, path)


def test_every_host_path_is_looked_up_before_the_root_changes(created: Program) -> None:
    for operation in created.operations[change_of_root(created) :]:
        assert operation.name not in {
            "open",
            "open_tree",
            "create",
            "mknod",
            "symlink",
            "move_mount",
        }


def test_what_is_looked_up_below_the_root_cannot_leave_it(plan: Program) -> None:
    """CVE-2024-45310, CVE-2025-31133: RESOLVE_IN_ROOT, and no magic link or no link at all."""
    for operation in plan.operations:
        if operation.name == "open" and argument(plan, operation, "dir") == "root":
            assert argument(plan, operation, "resolve") in {0x10 | 0x02, 0x10 | 0x04}


def test_the_root_is_no_link_and_pinned_before_it_is_cloned(created: Program) -> None:
    opened = only(created, "open", path="/bundle/rootfs")
    flags = argument(created, created.operations[opened], "flags")
    assert flags == os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
    assert created.operations[opened + 1].name == "open_tree"
    assert argument(created, created.operations[opened + 1], "path") == ""


@pytest.mark.parametrize("slot", ["proc", "procfile", "cgroup", "tasks"])
def test_no_directory_or_file_of_the_host_is_open_when_others_act(plan: Program, slot: str) -> None:
    """CVE-2024-21626: nothing that leads to the host is there for a hook, or for the program."""
    acts = [index for index, op in enumerate(plan.operations) if op.name in _OTHERS_ACT]
    for index in acts:
        assert not [name for name in held(plan, index) if name.split(" ")[0] == slot]


_OTHERS_ACT = frozenset({"attach_root", "hook", "pivot_root", "move_root", "wait_start", "execute"})


def test_the_hosts_procfs_is_verified_before_it_is_used(plan: Program) -> None:
    """CVE-2019-16884."""
    if "proc" not in plan.slots:
        return
    opened = only(plan, "open", out="proc")
    assert plan.operations[opened + 1].name == "verify_filesystem"
    for index in positions(plan, "open", dir="proc"):
        assert index > opened
        resolve = argument(plan, plan.operations[index], "resolve")
        assert resolve == 0x08 | 0x02 | 0x01 or plan.operations[index].place.startswith("/linux")


def test_nothing_is_open_when_the_container_waits(created: Program) -> None:
    left = held(created, only(created, "wait_start"))
    assert not [slot for slot in left if not slot.startswith("namespace ")]


@pytest.mark.parametrize("name", ["joined-pid-v2", "joined-pid-hybrid"])
def test_no_namespace_of_others_is_open_when_the_container_waits(name: str, tmp_path: Path) -> None:
    plan = compiled(name, tmp_path)
    assert not held(plan, only(plan, "wait_start"))


def test_labels_are_opened_before_the_image_and_written_after_its_hooks(tmp_path: Path) -> None:
    """CVE-2025-52881; and exec(2) of a hook would take a label that was written before it."""
    plan = compiled("labels", tmp_path)
    attached, ready = only(plan, "attach_root"), only(plan, "ask", topic=topic("ready"))
    for label in ("apparmorProfile", "selinuxLabel"):
        assert only(plan, "open", out=label) < attached
        written = only(plan, "write", fd=label)
        of_create = [i for i in positions(plan, "hook") if i < ready]
        assert max(of_create) < written < ready
        assert plan.operations[written + 1].name == "close"


# --- orders: the process --------------------------------------------------------------------------


def test_who_dies_with_the_runtime_stays_so(plan: Program) -> None:
    """prctl(2): PR_SET_PDEATHSIG is cleared by set*id and by capset, and not inherited by a child."""
    names = [operation.name for operation in plan.operations]
    for index, name in enumerate(names):
        if name == "clone":
            assert names[index + 1] == "parent_death_signal"
        if name in {"set_uid", "capabilities"} and index < names.index("find_program"):
            following = names[index + 1 :]
            assert following.index("parent_death_signal") < _next(following, {"ask", "create"})
    cleared = only(plan, "parent_death_signal", signal=0)
    assert cleared == only(plan, "ask", topic=topic("ready")) + 1


def _next(names: list[str], wanted: set[str]) -> int:
    return next((index for index, name in enumerate(names) if name in wanted), len(names))


def test_the_last_two_acts_are_to_close_and_to_become_the_program(plan: Program) -> None:
    """CVE-2024-21626: closed for good before execve looks the program up."""
    assert [operation.name for operation in plan.operations[-2:]] == ["close_fds", "execute"]
    assert len(positions(plan, "execute")) == len(positions(plan, "close_fds")) == 1


def test_what_the_caller_preserves_is_kept(tmp_path: Path) -> None:
    plan = compiled("preserved", tmp_path)
    assert argument(plan, plan.operations[-2], "first") == 3 + 2


def test_only_the_exec_fifo_waits_for_execve(plan: Program) -> None:
    kept = argument(plan, plan.operations[-2], "keep")
    assert kept == (ops.START_SLOT if positions(plan, "wait_start") else ops.REPORT_SLOT)


def test_the_filter_is_loaded_when_the_container_is_ready(name: str, plan: Program) -> None:
    """Nothing of ours but the end has to pass it; `sealed` tells that it is there."""
    case = CASES.get(name) or EXECS[name]
    loaded = positions(plan, "seccomp")
    assert len(loaded) == (case.filter is not None)
    for index in loaded:
        ready = only(plan, "ask", topic=topic("ready"))
        assert ready < index < only(plan, "tell", topic=topic("sealed"))


def test_a_filter_without_no_new_privs_is_loaded_with_one_capability_that_goes(
    tmp_path: Path,
) -> None:
    """seccomp(2): CAP_SYS_ADMIN, or no_new_privs before it."""
    plan = compiled("seccomp", tmp_path)
    loaded = only(plan, "seccomp")
    before, after = positions(plan, "capabilities")
    assert before < loaded < after
    assert plan.operations[before].arguments == (1 << 21, 1 << 21, 0)
    assert plan.operations[after].arguments == (0, 0, 0)
    assert not positions(plan, "no_new_privs")


def test_a_filter_with_no_new_privs_needs_no_capability(tmp_path: Path) -> None:
    plan = compiled("seccomp-no-new-privileges", tmp_path)
    assert only(plan, "no_new_privs") < only(plan, "seccomp")
    assert plan.operations[only(plan, "capabilities")].arguments == (0, 0, 0)


def test_privilege_goes_in_the_order_that_it_needs_itself(plan: Program) -> None:
    """capabilities(7): CAP_SETPCAP drops bounds, CAP_SETGID groups, and both go with the uid."""
    start = only(plan, "drop_bounding")
    order = [operation.name for operation in plan.operations[start:]]
    expected = ["drop_bounding", "keep_capabilities", "set_groups", "set_gid", "set_uid"]
    assert order[:5] == expected
    assert order.index("set_uid") < order.index("capabilities") < order.index("ambient")
    assert order.index("ambient") < order.index("set_limit" if "set_limit" in order else "ask")


def test_ambient_capabilities_are_given_after_each_change(plan: Program) -> None:
    names = [operation.name for operation in plan.operations]
    for index, name in enumerate(names):
        assert name != "capabilities" or names[index + 1] == "ambient"


def test_the_program_is_found_as_the_user_before_the_container_is_ready(plan: Program) -> None:
    uid = positions(plan, "set_uid")[-1]
    found = only(plan, "find_program")
    assert uid < found < only(plan, "ask", topic=topic("ready"))


def test_limits_rise_first_and_fall_last(tmp_path: Path) -> None:
    plan = compiled("docker-v2", tmp_path)
    assert only(plan, "raise_limit") < only(plan, "clone")
    assert positions(plan, "set_uid")[-1] < only(plan, "set_limit")


def test_init_is_in_its_cgroup_before_it_has_a_cgroup_namespace(tmp_path: Path) -> None:
    """cgroup_namespaces(7): where init is then is the root of what the container sees."""
    plan = compiled("docker-hybrid", tmp_path)
    unshared = only(plan, "unshare", flags=0x02000000)
    for name in ("tasks cpu,cpuacct", "tasks memory"):
        assert only(plan, "write", fd=name) < unshared


def test_no_cgroup_of_the_host_comes_into_a_foreign_pid_namespace(plan: Program) -> None:
    """CVE-2016-9962: its processes may look at whoever comes in, and take its descriptors."""
    joining = [
        index
        for index in positions(plan, "setns")
        if argument(plan, plan.operations[index], "nstype") & 0x20000000
    ]
    for index in joining:
        assert len(positions(plan, "clone")) == 2
        behind = [at for at in positions(plan, "clone") if at > index]
        assert len(behind) == 1
        assert not {slot.split(" ")[0] for slot in held(plan, index)} & {"cgroup", "tasks"}
        assert argument(plan, plan.operations[behind[0]], "cgroup") == ops.NO_SLOT


@pytest.mark.parametrize("name", ["joined-pid-v2", "exec-v2"])
def test_the_first_of_two_clones_goes_into_the_cgroup(name: str, tmp_path: Path) -> None:
    plan = compiled(name, tmp_path)
    first = plan.operations[positions(plan, "clone")[0]]
    assert first.arguments == (0, plan.slot("cgroup"))


@pytest.mark.parametrize("name", ["joined-pid-hybrid", "exec", "docker-hybrid"])
def test_hierarchies_of_version_1_are_entered_by_tasks(name: str, tmp_path: Path) -> None:
    """A thread that moves itself; cgroup.procs would wait for every CPU."""
    plan = compiled(name, tmp_path)
    paths = [argument(plan, op, "path") for op in plan.operations if op.name == "open"]
    hierarchies = [f"/sys/fs/cgroup/{name}/box/tasks" for name in ("cpu,cpuacct", "memory")]
    assert [path for path in paths if path.endswith("/tasks")] == hierarchies
    assert not [path for path in paths if path.endswith("cgroup.procs")]


def test_a_runtime_hook_is_asked_for_only_when_there_is_one(tmp_path: Path) -> None:
    asked = topic("runtime_hooks")
    assert not positions(compiled("minimal", tmp_path), "ask", topic=asked)
    plan = compiled("hooks", tmp_path)
    mounted = max(i for i in positions(plan, "move_mount") if i < change_of_root(plan))
    assert mounted < only(plan, "ask", topic=asked) < positions(plan, "hook")[0]


def test_hooks_run_where_the_specification_puts_them(tmp_path: Path) -> None:
    """config.md#posix-platform-hooks: createContainer before pivot_root, startContainer after start."""
    plan = compiled("hooks", tmp_path)
    hooks = [plan.operations[index].place for index in positions(plan, "hook")]
    assert hooks == [
        "/hooks/createContainer/0",
        "/hooks/createContainer/1",
        "/hooks/startContainer/0",
    ]
    first, second, last = positions(plan, "hook")
    assert first < second < change_of_root(plan) < only(plan, "wait_start") < last
    assert last < only(plan, "close_fds")


def test_a_hook_has_its_own_arguments_environment_and_time(tmp_path: Path) -> None:
    plan = compiled("hooks", tmp_path)
    whole, bare, late = (plan.operations[index].arguments for index in positions(plan, "hook"))
    assert whole == ("/createContainer", ["createContainer", "now"], ["A=1"], 2, 3000, 0)
    assert bare == ("/bare", ["/bare"], None, 2, 0, 1)
    assert late == ("/startContainer", ["startContainer", "now"], ["A=1"], 2, 3000, 0)


def test_hooks_that_start_are_counted_from_the_end(tmp_path: Path) -> None:
    """creation.write_record says which operation the first of them is: two behind the last one."""
    plan = compiled("hooks", tmp_path)
    assert len(plan.operations) - 1 - 2 == positions(plan, "hook")[-1]


def test_time_offsets_are_written_before_the_namespace_is_entered(tmp_path: Path) -> None:
    """time_namespaces(7): only while it has no member."""
    plan = compiled("time", tmp_path)
    made = only(plan, "unshare", flags=0x80)
    written = only(plan, "write", fd="procfile")
    assert plan.operations[written].arguments[1] == b"monotonic -7 0\nboottime 3 5\n"
    assert made < written < only(plan, "setns", nstype=0x80)


def test_kernel_parameters_are_set_below_the_hosts_procfs(tmp_path: Path) -> None:
    plan = compiled("sysctl", tmp_path)
    paths = [plan.operations[index].arguments[2] for index in positions(plan, "open", dir="proc")]
    assert paths == ["sys/net/ipv4/ip_forward", "sys/kernel/shmmax"]
    assert positions(plan, "open", dir="proc")[-1] < only(plan, "attach_root")


def test_a_user_namespace_is_mapped_before_anything_is_done_in_it(tmp_path: Path) -> None:
    plan = compiled("user-namespace", tmp_path)
    asked = only(plan, "ask", topic=topic("id_maps"))
    assert asked == only(plan, "clone") + 2
    following = [operation.name for operation in plan.operations[asked + 1 : asked + 5]]
    assert following == ["set_groups", "set_gid", "set_uid", "parent_death_signal"]


def test_without_privilege_sources_are_opened_with_the_rights_of_the_user_namespace(
    tmp_path: Path,
) -> None:
    plan = compiled("minimal-unprivileged", tmp_path)
    assert only(plan, "clone") < only(plan, "open", path="/bundle/rootfs")
    assert only(compiled("minimal", tmp_path), "open", path="/bundle/rootfs") < only(
        compiled("minimal", tmp_path), "clone"
    )


def test_the_terminal_is_taken_before_the_user_changes(tmp_path: Path) -> None:
    for name in ("terminal", "exec-terminal"):
        plan = compiled(name, tmp_path)
        opened, used = only(plan, "open_terminal"), only(plan, "use_terminal")
        assert only(plan, "set_sid") < opened < used < positions(plan, "set_uid")[-1]
        assert not {"master", "slave"} & held(plan, only(plan, "drop_bounding"))


def test_exec_shows_no_console(tmp_path: Path) -> None:
    plan = compiled("exec-terminal", tmp_path)
    assert not positions(plan, "create")
    assert not positions(plan, "move_mount")


# --- environment, home, refusals ------------------------------------------------------------------


def test_home_is_asked_for_unless_it_is_given(tmp_path: Path) -> None:
    document = minimal()
    document["process"]["env"] = ["HOME=/given"]
    given = compiler.create(complete(document, tmp_path), facts(), None, [])
    assert not positions(given, "ask", topic=topic("home"))
    assert given.operations[-1].arguments[1] == ["HOME=/given"]
    asked = compiled("minimal", tmp_path)
    assert asked.operations[-1].arguments[1] == ["PATH=/bin", ops.HOME]
    opened = only(asked, "open", out="passwd")
    handed = only(asked, "pass_fd", fd="passwd")
    assert opened < only(asked, "verify_type", fd="passwd") < handed


def test_without_a_passwd_file_nothing_is_asked(tmp_path: Path) -> None:
    """The errors that are passed over lead exactly behind what needs the file."""
    plan = compiled("minimal", tmp_path)
    opened, verified = only(plan, "open", out="passwd"), only(plan, "verify_type", fd="passwd")
    closed = only(plan, "close", fd="passwd")
    assert opened + 1 + plan.operations[opened].skip == closed + 1
    assert verified + 1 + plan.operations[verified].skip == closed


def test_an_argument_is_never_taken_for_the_home_to_fill_in(tmp_path: Path) -> None:
    document = minimal()
    document["process"]["args"] = ["env", "HOME=", "true"]
    plan = compiler.create(complete(document, tmp_path), facts(), None, [])
    assert ops.HOME not in plan.operations[-1].arguments[0]


def test_an_ordinary_users_exec_cannot_be_looked_at_in_the_container(tmp_path: Path) -> None:
    """CVE-2016-9962."""
    config = complete({**in_user_namespace(), "mounts": []}, tmp_path)
    plan = compiler.execute(config, config["process"], facts(privileged=False), None, [])
    last = positions(plan, "dumpable")[-1]
    assert plan.operations[last].arguments == (0,)
    assert last < positions(plan, "setns")[0]


def test_exec_can_still_say_why_its_program_does_not_begin(tmp_path: Path) -> None:
    plan = compiled("exec", tmp_path)
    assert plan.operations[-2].arguments[0] == ops.REPORT_SLOT


def test_of_equal_names_the_last_stays_in_its_place(tmp_path: Path) -> None:
    document = minimal()
    document["process"]["env"] = ["A=1", "PATH=/x", "A=2", "HOME=", "PATH=/y"]
    plan = compiler.create(complete(document, tmp_path), facts(), None, ["A=3", "LISTEN_FDS=1"])
    kept = ["PATH=/y", "A=3", "LISTEN_FDS=1", ops.HOME]
    assert plan.operations[-1].arguments[1] == kept
    assert plan.operations[only(plan, "find_program")].arguments == ("sh", "/y")


@pytest.mark.parametrize("key", ["apparmorProfile", "selinuxLabel"])
def test_a_label_without_its_module_is_refused_at_its_place(key: str, tmp_path: Path) -> None:
    document = minimal()
    document["process"][key] = "x"
    with pytest.raises(SpecError, match="is disabled or not supported") as caught:
        compiler.create(complete(document, tmp_path), facts(), None, [])
    assert caught.value.place == f"/process/{key}"


def test_unconfined_is_what_a_host_without_apparmor_has(tmp_path: Path) -> None:
    document = minimal()
    document["process"]["apparmorProfile"] = "unconfined"
    plan = compiler.create(complete(document, tmp_path), facts(), None, [])
    assert "apparmorProfile" not in plan.slots


def test_capabilities_are_cut_to_what_can_be_given(tmp_path: Path) -> None:
    host = facts(capabilities=1 << 5)
    plan = compiler.create(complete(docker(), tmp_path), host, None, [])
    assert plan.operations[only(plan, "drop_bounding")].arguments == (1 << 5,)
    assert plan.operations[only(plan, "capabilities")].arguments == (1 << 5, 1 << 5, 0)


def test_without_capabilities_there_are_none(tmp_path: Path) -> None:
    plan = compiled("minimal", tmp_path)
    assert plan.operations[only(plan, "drop_bounding")].arguments == (0,)
    assert plan.operations[only(plan, "capabilities")].arguments == (0, 0, 0)
    assert plan.operations[only(plan, "ambient")].arguments == (0,)


def test_an_ordinary_user_goes_without_a_device_filter(tmp_path: Path) -> None:
    document = {**in_user_namespace(), "mounts": []}
    plan = compiler.create(complete(document, tmp_path), facts(privileged=False, **V2), None, [])
    assert plan.operations[only(plan, "device_filter")].ignore == (1,)
    plan = compiled("docker-v2", tmp_path)
    assert plan.operations[only(plan, "device_filter")].ignore == ()


def test_exec_joins_what_is_not_shared_already(tmp_path: Path) -> None:
    """setns(2) of a user namespace that we are in fails."""
    plan = compiled("exec-shared", tmp_path)
    assert argument(plan, plan.operations[only(plan, "setns")], "nstype") == 0x20000000 | 0x00020000


def test_exec_has_the_umask_of_the_container(tmp_path: Path) -> None:
    for name, mask in (("exec", 0o27), ("exec-shared", 0o22)):
        plan = compiled(name, tmp_path)
        assert plan.operations[only(plan, "umask")].arguments == (mask,)
