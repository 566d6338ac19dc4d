# SPDX-License-Identifier: Apache-2.0
"""The last test: what the whole session has left on the host. See conftest.py for the order."""

import os
from pathlib import Path

import pytest
from blackbox import host
from blackbox.processes import reap, text, until


def test_no_process_is_left(session: Path) -> None:
    """Every orphan comes to the session, which is a subreaper."""
    until(lambda: not reap(), "no process of the session is left", 5)


def test_no_cgroup_is_left(session: Path, snapshot: dict[str, set[str]]) -> None:
    """Of all hierarchies: the session's own empty parent at most."""
    ours = [path for path in host.cgroups(session.name) if not path.endswith(f"/{session.name}")]
    assert ours == []


def test_no_mount_is_left(session: Path, snapshot: dict[str, set[str]]) -> None:
    """The table is as it was when the session began."""
    assert set(host.mounts()) - snapshot["mounts"] == set()


def test_no_network_of_pypod_is_left(session: Path, snapshot: dict[str, set[str]]) -> None:
    """No bridge, no end of a pair, no table: tests that make any have a namespace of their own. Other engines' have other names."""
    new = set(host.network()) - snapshot["network"]
    ours = ("device pypod", "device br-", "table inet pypod", "table inet br-")
    assert not [line for line in new if line.startswith(ours)]


def test_no_directory_of_a_test_is_left(session: Path) -> None:
    """Bundles, roots and outputs are gone."""
    left = [path.name for path in session.iterdir() if path.is_dir()]
    assert left == []


@pytest.mark.parametrize("place", ["/tmp", "/run", "/dev/shm", "/var/tmp", "/var/run"])
def test_no_temporary_file_is_left(
    session: Path, snapshot: dict[str, set[str]], place: str
) -> None:
    """Of the session, or with a runtime's name; other sessions at work have other names."""
    new = set(os.listdir(place)) - snapshot[place]
    assert not [name for name in new if session.name in name and name != session.name]
    suspect = {name for name in new if name.startswith(("pyoci-", ".pyoci"))}
    assert not {
        name
        for name in suspect
        if not name.startswith(("pyoci-test-", "pyoci-bench", "pyoci-machine-"))
    }


def test_no_namespace_is_kept_by_a_mount(session: Path) -> None:
    """No nsfs mount of ours."""
    lines = [line for line in text("/proc/self/mountinfo").splitlines() if " - nsfs " in line]
    assert [line for line in lines if str(session) in line] == []
