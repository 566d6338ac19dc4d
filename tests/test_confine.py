# SPDX-License-Identifier: Apache-2.0
"""What a validation program leaves is gone when it has ended, and nothing of the host's with it."""

import os
import sys
from pathlib import Path

import pytest
from blackbox.processes import is_alive

sys.path.append(str(Path(__file__).resolve().parent.parent))

from conformance import confine

NAME = f"pyoci-confine-{os.getpid()}"
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def confined(directory: Path, script: str, *, seconds: float = 30, **how: bool) -> confine.Ended:
    """Run a shell script in namespaces and cgroups of its own."""
    return confine.run(
        ["/bin/sh", "-c", script],
        name=NAME,
        directory=directory,
        environment=ENVIRONMENT,
        seconds=seconds,
        hide_unified=how.get("hide_unified", False),
    )


@pytest.fixture(autouse=True)
def need_root() -> None:
    """Namespaces and cgroups are root's."""
    if os.geteuid() != 0:
        pytest.skip("needs root: namespaces, mounts and cgroups")


def test_cgroups_mounts_and_processes_go_with_the_program(tmp_path: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text()
    ended = confined(
        tmp_path,
        "mkdir -p /sys/fs/cgroup/pids/left/inner; mount -t tmpfs left /mnt; "
        "sleep 1000 & echo $! >/sys/fs/cgroup/pids/left/inner/cgroup.procs; "
        "echo $!; ls /sys/fs/cgroup/pids",
    )
    pid, *names = ended.stdout.split()
    assert ended.status == 0, ended
    assert "left" in names
    assert NAME not in names  # its own cgroup is the root of what it sees
    assert not is_alive(int(pid))
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{NAME}"))
    assert not Path("/sys/fs/cgroup/pids/left").exists()
    assert Path("/proc/self/mountinfo").read_text() == before


def test_a_program_that_does_not_end_is_killed(tmp_path: Path) -> None:
    ended = confined(tmp_path, "echo begun; sleep 1000", seconds=2)
    assert (ended.status, ended.stdout) == (None, "begun\n")


def test_the_unified_hierarchy_can_be_hidden(tmp_path: Path) -> None:
    shown = confined(tmp_path, "grep -c ' cgroup2 ' /proc/self/mountinfo")
    hidden = confined(tmp_path, "grep -c ' cgroup2 ' /proc/self/mountinfo", hide_unified=True)
    assert (shown.stdout, hidden.stdout) == ("1\n", "0\n")
