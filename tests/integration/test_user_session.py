# SPDX-License-Identifier: Apache-2.0
"""An ordinary user's containers in the cgroup that its systemd delegated: cgroups(7), delegation."""

import os
from pathlib import Path

import pytest
from blackbox import delegated
from blackbox.bundle import MakeBundle
from blackbox.processes import text
from blackbox.runtime import Container, Runtime

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0, reason="needs an ordinary user: root needs no delegation"
)
LIMITS = {
    "memory": {"limit": 64 << 20},
    "pids": {"limit": 13},
    "cpu": {"quota": 50000, "period": 100000, "shares": 512},
}


def cgroup_of(container: Container) -> Path:
    """Return the directory of a container's cgroup."""
    return Path(f"{delegated.ROOT}{container.runtime.cgroups_path(container.id)}")


def test_limits_are_in_force(runtime: Runtime, bundle: MakeBundle) -> None:
    """As the kernel has them, in the cgroup that the process is in."""
    container = runtime.start(bundle("sleep", "1000", resources=LIMITS))
    cgroup = cgroup_of(container)
    assert (
        text(f"/proc/{container.pid}/cgroup")
        == f"0::{str(cgroup).removeprefix('/sys/fs/cgroup')}\n"
    )
    files = {name: text(cgroup / name).strip() for name in ("memory.max", "pids.max", "cpu.max")}
    assert files == {"memory.max": str(64 << 20), "pids.max": "13", "cpu.max": "50000 100000"}


def test_a_limit_of_processes_is_kept(runtime: Runtime, bundle: MakeBundle) -> None:
    """From inside: the one past the limit cannot be started."""
    script = "for n in 1 2 3 4 5 6 7 8; do sleep 1000 & done; wait"
    made = bundle(sh=script, resources={"pids": {"limit": 5}})
    container = runtime.start(made)
    container.wait()
    assert "can't fork" in container.stderr


def test_a_container_and_its_processes_leave_no_cgroup(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Delete ends what is in it, also what init has left."""
    container = runtime.start(bundle(sh="sleep 1000 & sleep 1000", resources=LIMITS))
    assert cgroup_of(container).is_dir()
    container.delete("--force")
    assert not cgroup_of(container).exists()


def test_exec_goes_into_the_cgroup(runtime: Runtime, bundle: MakeBundle) -> None:
    """Its processes count against the same limits."""
    container = runtime.start(bundle("sleep", "1000", resources=LIMITS))
    within = container.exec("cat", "/proc/self/cgroup").stdout
    assert within == text(f"/proc/{container.pid}/cgroup")


def test_limits_in_a_cgroup_of_others_are_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """The place, and what is missing, in words."""
    made = bundle("true", resources=LIMITS, cgroupsPath="/system.slice/pyoci-test")
    message = runtime.refuses(made)
    assert "permission denied" in message.lower()
    assert "pyoci-test" in message
    assert not Path("/sys/fs/cgroup/system.slice/pyoci-test").exists()
