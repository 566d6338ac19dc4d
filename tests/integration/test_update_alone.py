# SPDX-License-Identifier: Apache-2.0
"""`update` of one limit without an interpreter (docs/adr/0012-update.md), and when not."""

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
from blackbox import cgroups
from blackbox.alone import Alone, is_refused
from blackbox.bundle import MakeBundle
from blackbox.cgroups import MB
from blackbox.runtime import Container, Runtime

PYTHONS = "-root"  # a spelling that the launcher leaves alone
LIMITS: dict[str, Any] = {
    "memory": {"limit": 64 * MB},
    "cpu": {"shares": 1024, "quota": 50000, "period": 100000},
    "pids": {"limit": 20},
}


@pytest.fixture(autouse=True)
def limits() -> None:
    """Skip where the kernel has no such limits."""
    for controller in ("memory", "cpu", "pids", "cpuset"):
        cgroups.need(controller)


def memory_of(container: Container) -> Path:
    """Return the file in which is remembered what updates have set."""
    return container.runtime.root / container.id / "resources"


def remembered(container: Container) -> dict[str, Any]:
    """Return what Python knows of the limits, after an update that changes none of them."""
    ran = container.runtime("update", "--cpu-burst=0", container.id)
    assert ran.code == 0, ran
    found: dict[str, Any] = json.loads(memory_of(container).read_text().partition("\n")[0])
    return found


@pytest.mark.parametrize(
    ("flags", "v1", "v2"),
    [
        (["--memory=48m"], "memory.limit_in_bytes", "memory.max"),
        (["--memory", "50331648"], "memory.limit_in_bytes", "memory.max"),
        (["--memory-reservation=16M"], "memory.soft_limit_in_bytes", "memory.low"),
        (["--pids-limit", "10"], "pids.max", "pids.max"),
        (["--cpu-share=512"], "cpu.shares", "cpu.weight"),
        (["--cpu-quota=30000"], "cpu.cfs_quota_us", "cpu.max"),
        (["--cpu-period=200000"], "cpu.cfs_period_us", ""),
        (["--cpu-burst=10000"], "cpu.cfs_burst_us", "cpu.max.burst"),
        (["--cpuset-cpus=0"], "cpuset.cpus", "cpuset.cpus"),
        (["--cpuset-mems", "0"], "cpuset.mems", "cpuset.mems"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_one_limit_is_as_python_sets_it(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, flags: list[str], v1: str, v2: str
) -> None:
    """The kernel says the same, and the same is remembered."""
    file = v2 if cgroups.is_unified() else v1
    if not file:
        pytest.skip("not one value of one file on this version of cgroups")
    ours, pythons = (cgroups.running(runtime, bundle, **LIMITS) for _ in range(2))
    assert alone("update", *flags, ours.id).code == 0
    argv = [PYTHONS, str(runtime.root), "update", *flags, pythons.id]
    assert runtime(*argv).code == 0
    assert cgroups.inside(ours, file) == cgroups.inside(pythons, file)
    assert remembered(ours) == remembered(pythons)


def test_updates_add_up_whoever_does_them(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """The launcher goes on behind what Python has remembered, and Python behind the launcher."""
    container = cgroups.running(runtime, bundle, **LIMITS)
    for number in (11, 12, 13):
        assert alone("update", f"--pids-limit={number}", container.id).code == 0
    assert memory_of(container).read_text().count("\n") == 4
    assert runtime("update", "--memory=32m", "--cpu-quota=40000", container.id).code == 0
    assert alone("update", "--pids-limit=14", container.id).code == 0
    assert alone("update", "--cpu-quota=60000", container.id).code == 0
    whole = remembered(container)
    assert whole["pids"]["limit"] == 14
    assert whole["memory"]["limit"] == 32 * MB
    assert whole["cpu"]["quota"] == 60000
    assert whole["cpu"]["period"] == 100000
    assert cgroups.inside(container, "pids.max") == "14"


def test_what_goes_with_another_limit_is_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """Version 2 limits swap without memory; checkBeforeUpdate has to look at both."""
    checked = LIMITS | {"memory": {"limit": 64 * MB, "checkBeforeUpdate": True}}
    container = cgroups.running(runtime, bundle, **checked)
    assert is_refused(alone("update", "--memory=48m", container.id))
    container = cgroups.running(runtime, bundle, **LIMITS)
    assert runtime("update", "--memory-swap=96m", container.id).code == 0
    assert is_refused(alone("update", "--memory=48m", container.id)) == cgroups.is_unified()
    assert runtime("update", "--memory=48m", container.id).code == 0
    swap = "memory.swap.max" if cgroups.is_unified() else "memory.memsw.limit_in_bytes"
    expected = 48 * MB if cgroups.is_unified() else 96 * MB
    assert cgroups.inside(container, swap) == str(expected)


@pytest.mark.parametrize(
    "words",
    [
        "--memory=-1",
        "--memory=0",
        "--memory=064m",
        "--memory=1.5g",
        "--memory=64mb",
        "--memory=9999999999999999",
        "--memory=99999999999g",
        "--memory=",
        "--memory",
        "--memory-swap=1g",
        "--pids-limit=-1",
        "--pids-limit=10k",
        "--pids-limit= 10",
        "--cpu-share=1",
        "--cpu-share=262145",
        "--cpu-idle=1",
        "--cpuset-cpus=0\n",
        "--cpuset-cpus=",
        "-memory=64m",
        "--unified=pids.max=7",
        "--pids-limit=10 --memory=64m",
        "--pids-limit 10 --memory 64m",
        "--memory memory limit=5",
    ],
)
def test_other_command_lines_are_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, words: str
) -> None:
    """Nothing is remembered of them."""
    container = cgroups.running(runtime, bundle, **LIMITS)
    assert is_refused(alone("update", *words.split(" "), container.id))
    assert is_refused(alone("update", words, container.id))
    assert not memory_of(container).exists() or not memory_of(container).read_bytes()


def test_what_the_kernel_refuses_is_not_remembered(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """Python tries it again and says what is wrong; what was remembered before stays."""
    container = cgroups.running(runtime, bundle, **LIMITS)
    assert alone("update", "--pids-limit=11", container.id).code == 0
    before = memory_of(container).read_bytes()
    assert is_refused(alone("update", "--cpuset-cpus=4000", container.id))
    assert memory_of(container).read_bytes() == before
    ran = runtime("update", "--cpuset-cpus=4000", container.id)
    assert ran.message.startswith("cannot set cpuset.cpus limit: write ")


def test_a_line_that_was_cut_off_is_not_in_force(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """A launcher that was killed while it wrote: Python writes the file anew."""
    container = cgroups.running(runtime, bundle, **LIMITS)
    assert alone("update", "--pids-limit=11", container.id).code == 0
    with memory_of(container).open("a") as file:
        file.write("set pids limit 1")
    assert is_refused(alone("update", "--pids-limit=12", container.id))
    assert remembered(container)["pids"]["limit"] == 11
    assert alone("update", "--pids-limit=12", container.id).code == 0


def test_another_update_or_a_strangers_file(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """Who waits for the lock is Python; a file that others may write is not used."""
    container = cgroups.running(runtime, bundle, **LIMITS)
    lock = os.open(runtime.root / container.id / "config.json", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert is_refused(alone("update", "--pids-limit=11", container.id))
    finally:
        os.close(lock)
    assert alone("update", "--pids-limit=11", container.id).code == 0
    memory_of(container).chmod(0o622)
    assert is_refused(alone("update", "--pids-limit=12", container.id))
    assert cgroups.inside(container, "pids.max") == "11"


def test_a_stopped_container_has_no_limits(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """The words are Python's."""
    container = runtime.create(cgroups.mounted(bundle, resources=LIMITS))
    assert alone("update", "--pids-limit=11", container.id).code == 0
    container.stop()
    assert is_refused(alone("update", "--pids-limit=12", container.id))
    assert alone("delete", container.id).code == 0
