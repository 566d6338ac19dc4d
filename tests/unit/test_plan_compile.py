# SPDX-License-Identifier: Apache-2.0
"""Whole plans of create and exec: compared with tests/data/plans; orders of what is done on the host; refusals.

PYOCI_WRITE_PLANS=1 writes the plans anew; what `git diff` then shows is what a change does to containers.
"""

import os
from pathlib import Path

import pytest
from plan_cases import (
    CASES,
    EXECS,
    V2,
    argument,
    change_of_root,
    compiled,
    complete,
    docker,
    facts,
    held,
    in_user_namespace,
    minimal,
    only,
    positions,
    topic,
)

from pyoci.errors import SpecError
from pyoci.plan import compile as compiler
from pyoci.plan import ops, show
from pyoci.plan.encode import encode
from pyoci.plan.program import Program

PLANS = Path(__file__).resolve().parent.parent / "data/plans"


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
