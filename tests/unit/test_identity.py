# SPDX-License-Identifier: Apache-2.0
"""Which process a pid meant."""

import os

import pytest

from pyoci import identity
from pyoci.errors import PyociError


@pytest.fixture
def child() -> "int":
    """A process that waits until it is killed."""
    pid = os.posix_spawn("/bin/sleep", ["sleep", "600"], {})
    yield pid
    try:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    except (ProcessLookupError, ChildProcessError):
        pass


def test_the_recorded_process_is_found_again(child: int) -> None:
    pidfd = identity.open_same(identity.record(child))
    assert pidfd is not None
    os.close(pidfd)


def test_a_process_that_ended_but_was_not_reaped_is_gone(child: int) -> None:
    """A zombie: its parent has not reaped it (matrix 83)."""
    recorded = identity.record(child)
    os.kill(child, 9)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    assert not identity.is_alive(recorded)


def test_a_reaped_process_is_gone(child: int) -> None:
    recorded = identity.record(child)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert identity.open_same(recorded) is None


@pytest.mark.parametrize("key", ["start", "inode"])
def test_a_stranger_with_the_same_pid_is_not_meant(child: int, key: str) -> None:
    """Pid reuse: another start time or another pidfs inode is another process (matrix 77)."""
    recorded = identity.record(child)
    recorded[key] += 1
    assert identity.open_same(recorded) is None


@pytest.mark.parametrize(
    "recorded",
    [None, {}, {"pid": 1}, {"pid": 0, "start": 1, "inode": 1}, {"pid": -1, "start": 1, "inode": 1}],
)
def test_missing_data_means_stopped(recorded: "identity.Recorded | None") -> None:
    """A record without a start time never makes anything signal a process (matrix 78)."""
    assert identity.open_same(recorded) is None


def test_a_process_that_is_gone_cannot_be_recorded(child: int) -> None:
    os.kill(child, 9)
    os.waitpid(child, 0)
    with pytest.raises((PyociError, ProcessLookupError)):
        identity.record(child)


def test_inner_pid_is_the_pid_itself_without_a_namespace(child: int) -> None:
    assert identity.inner_pid(child) == child
