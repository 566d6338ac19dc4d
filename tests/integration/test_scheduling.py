# SPDX-License-Identifier: Apache-2.0
"""config.json: scheduler, ioPriority, execCPUAffinity, memoryPolicy, as the kernel shows them."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import MakeBundle
from blackbox.cgroups import is_unified
from blackbox.kernel import version
from blackbox.processes import text
from blackbox.runtime import Runtime

OLD = pytest.mark.expect_fail_on("runc", "runc 1.1 does not know it", strict=False)
pytestmark = [OLD]

POLICY = 41  # field of proc_pid_stat(5)
NICE = 19
RT_PRIORITY = 40


def field(pid: int, number: int) -> int:
    """Return a field of /proc/PID/stat."""
    return int(text(f"/proc/{pid}/stat").rpartition(")")[2].split()[number - 3])


def allowed(status: str) -> str:
    """Return the processors that a process may use."""
    found = re.search(r"^Cpus_allowed_list:\s+(\S+)$", status, re.MULTILINE)
    assert found, status
    return found[1]


@pytest.mark.parametrize(
    ("scheduler", "fields"),
    [
        ({"policy": "SCHED_BATCH", "nice": 7}, (3, 7, 0)),
        ({"policy": "SCHED_OTHER", "nice": -5}, (0, -5, 0)),
        ({"policy": "SCHED_IDLE"}, (5, os.nice(0), 0)),  # nice means nothing to it, and stays
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, (0, 0, 0)),
    ],
)
def test_the_scheduler_is_as_asked_for(
    runtime: Runtime, bundle: MakeBundle, scheduler: dict[str, Any], fields: tuple[int, int, int]
) -> None:
    """config.md#linux-process: scheduler."""
    container = runtime.create(bundle("sleep", "1000", scheduler=scheduler))
    pid = container.pid
    assert (field(pid, POLICY), field(pid, NICE), field(pid, RT_PRIORITY)) == fields
    container.start()
    process = {**container.bundle.process, "args": ["cat", "/proc/self/stat"]}
    shown = container.exec_process(process).stdout.rpartition(")")[2].split()
    assert (int(shown[POLICY - 3]), int(shown[NICE - 3])) == fields[:2]


def test_a_real_time_scheduler_says_why_it_cannot_be(runtime: Runtime, bundle: MakeBundle) -> None:
    """On cgroup v1 a group has no time for it until it is given some; elsewhere it works."""
    made = bundle("sleep", "1000", scheduler={"policy": "SCHED_FIFO", "priority": 3})
    container, ran = runtime.try_create(made)
    if ran.code == 0:
        assert (field(container.pid, POLICY), field(container.pid, RT_PRIORITY)) == (1, 3)
    else:
        assert "process.scheduler" in ran.stderr
        assert "cpu.rt_runtime_us" in ran.stderr


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ({"policy": "SCHED_NO"}, "process.scheduler.policy"),
        ({"policy": "SCHED_OTHER", "nice": 20}, "invalid scheduler.nice: 20"),
        ({"policy": "SCHED_OTHER", "priority": 1}, "only be specified for SchedFIFO or SchedRR"),
        ({"policy": "SCHED_FIFO", "runtime": 1}, "process.scheduler.runtime"),
        ({"policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_NO"]}, "process.scheduler.flags[0]"),
        ({"policy": "SCHED_ISO"}, "process.scheduler"),
    ],
)
def test_a_scheduler_that_cannot_be_is_refused(
    runtime: Runtime, bundle: MakeBundle, scheduler: dict[str, Any], words: str
) -> None:
    """spec.md: scheduler."""
    assert words in runtime.refuses(bundle("true", scheduler=scheduler))


@pytest.mark.parametrize(
    ("priority", "shown"),
    [
        ({"class": "IOPRIO_CLASS_BE", "priority": 3}, "best-effort: prio 3"),
        ({"class": "IOPRIO_CLASS_RT", "priority": 0}, "realtime: prio 0"),
        ({"class": "IOPRIO_CLASS_IDLE"}, "idle"),
    ],
)
def test_the_io_priority_is_as_asked_for(
    runtime: Runtime, bundle: MakeBundle, priority: dict[str, Any], shown: str
) -> None:
    """config.md#linux-process: ioPriority; init has it, and so have its children."""
    made = bundle("ionice", ioPriority=priority)
    (made.rootfs / "bin/ionice").symlink_to("busybox")
    assert runtime.output(made).strip() == shown


def test_an_io_priority_beyond_the_range_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """ioprio_set(2)."""
    made = bundle("true", ioPriority={"class": "IOPRIO_CLASS_BE", "priority": 8})
    assert "process.ioPriority.priority" in runtime.refuses(made)


def test_exec_runs_on_the_processors_that_it_is_given(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#linux-process: execCPUAffinity is of exec, and not of init."""
    affinity = {"initial": "0", "final": "0"}
    container = runtime.start(bundle("sleep", "1000", execCPUAffinity=affinity))
    everything = allowed(text("/proc/self/status"))
    assert allowed(text(f"/proc/{container.pid}/status")) == everything
    assert allowed(container.exec("cat", "/proc/self/status").stdout) == "0"
    process = {**container.bundle.process, "args": ["cat", "/proc/self/status"]}
    process["execCPUAffinity"] = {"initial": "0"}
    # Before Linux 6.2 who enters a cgroup of version 2 with cpuset gets all of its processors.
    kept = version() >= (6, 2) or not is_unified()
    assert allowed(container.exec_process(process).stdout) == ("0" if kept else everything)
    process["execCPUAffinity"] = {}
    assert allowed(container.exec_process(process).stdout) == everything


@pytest.mark.parametrize("numbers", ["x", "1-", "3-1", "0,,1", "-1", "99999999"])
def test_processors_that_are_no_list_are_refused(
    runtime: Runtime, bundle: MakeBundle, numbers: str
) -> None:
    """config.md#linux-process: execCPUAffinity."""
    made = bundle("true", execCPUAffinity={"final": numbers})
    assert "process.execCPUAffinity.final" in runtime.refuses(made)


def test_processors_that_are_not_there_are_an_error_of_exec(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """sched_setaffinity(2): EINVAL."""
    container = runtime.start(bundle("sleep", "1000", execCPUAffinity={"initial": "60000"}))
    ran = container.exec("true")
    assert ran.code != 0
    assert "process.execCPUAffinity.initial" in ran.stderr


@pytest.mark.skipif(
    not Path("/sys/devices/system/node/node0").exists(), reason="this kernel has no NUMA nodes"
)
@pytest.mark.parametrize(
    ("policy", "shown"),
    [
        ({"mode": "MPOL_BIND", "nodes": "0"}, "bind:0"),
        (
            {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]},
            "bind=static:0",
        ),
        ({"mode": "MPOL_INTERLEAVE", "nodes": "0"}, "interleave:0"),
        ({"mode": "MPOL_PREFERRED", "nodes": "0"}, "prefer:0"),
        ({"mode": "MPOL_LOCAL"}, "local"),
        ({"mode": "MPOL_DEFAULT"}, "default"),
        ({}, "default"),
    ],
)
def test_memory_comes_from_where_it_is_asked_for(
    runtime: Runtime, bundle: MakeBundle, policy: dict[str, Any], shown: str
) -> None:
    """config-linux.md#memory-policy; of init and of exec, in numa_maps (set_mempolicy(2))."""
    container = runtime.start(bundle("sleep", "1000", memoryPolicy=policy))
    policies = {line.split()[1] for line in text(f"/proc/{container.pid}/numa_maps").splitlines()}
    assert policies == {shown}
    maps = container.exec("cat", "/proc/self/numa_maps").stdout.splitlines()
    assert {line.split()[1] for line in maps} == {shown}


@pytest.mark.parametrize(
    ("policy", "place"),
    [
        ({"mode": "MPOL_NO"}, "linux.memoryPolicy.mode"),
        ({"nodes": "0"}, "linux.memoryPolicy.mode"),
        ({"mode": "MPOL_BIND"}, "linux.memoryPolicy.nodes"),
        ({"mode": "MPOL_LOCAL", "nodes": "0"}, "linux.memoryPolicy.nodes"),
        ({"mode": "MPOL_BIND", "nodes": "a"}, "linux.memoryPolicy.nodes"),
        ({"mode": "MPOL_BIND", "nodes": "0", "flags": ["x"]}, "linux.memoryPolicy.flags[0]"),
        ({"mode": "MPOL_BIND", "nodes": "900"}, "linux.memoryPolicy"),
    ],
)
def test_a_memory_policy_that_cannot_be_is_refused(
    runtime: Runtime, bundle: MakeBundle, policy: dict[str, Any], place: str
) -> None:
    """config-linux.md#memory-policy."""
    assert place in runtime.refuses(bundle("true", memoryPolicy=policy))


def test_a_flag_of_the_personality_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """config-linux.md#personality: none is defined, and an unknown value is an error."""
    made = bundle("true", personality={"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]})
    assert "linux.personality.flags" in runtime.refuses(made)


def test_it_all_works_at_once(runtime: Runtime, bundle: MakeBundle) -> None:
    """The order does not matter to a user who has lost every capability."""
    made = bundle(
        "sleep",
        "1000",
        scheduler={"policy": "SCHED_OTHER", "nice": -1},
        ioPriority={"class": "IOPRIO_CLASS_RT", "priority": 1},
        user={"uid": 1000, "gid": 1000},
        caps=[],
    )
    pid = runtime.create(made).pid
    assert field(pid, NICE) == -1
    assert os.getpriority(os.PRIO_PROCESS, pid) == -1
