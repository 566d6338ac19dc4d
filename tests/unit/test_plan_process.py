# SPDX-License-Identifier: Apache-2.0
"""The orders of a plan that the process rests on: privilege, the filter, hooks, cgroups, namespaces."""

from pathlib import Path

import pytest
from plan_cases import (
    CASES,
    EXECS,
    argument,
    change_of_root,
    compiled,
    held,
    only,
    positions,
    topic,
)

from pyoci.plan import ops
from pyoci.plan.program import Program


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
