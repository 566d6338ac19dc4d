# SPDX-License-Identifier: Apache-2.0
"""kill --all and delete against what resists: forks, cgroups below, threads, sleep that cannot be interrupted."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox import host
from blackbox.alone import Alone, is_refused
from blackbox.bundle import CGROUP, MakeBundle
from blackbox.cgroups import is_unified, need_cgroupfs
from blackbox.fuse import Hanging
from blackbox.membership import directory_of, is_frozen
from blackbox.processes import is_alive, reap, status_of, until
from blackbox.runtime import Container, Runtime

LOOP = "while :; do (true) & wait $!; done"
MANY = 60
WRITABLE = CGROUP | {"options": ["nosuid", "noexec", "nodev"]}


def pids_of(container: Container) -> list[int]:
    """Return the processes as the runtime tells them."""
    found: list[int] = (
        json.loads(container.runtime("ps", "--format", "json", container.id).stdout) or []
    )
    return found


def gone(container: Container) -> None:
    """Expect that nothing is left of a deleted container."""
    until(lambda: not reap(), "no process is left")
    assert not host.cgroups(container.id)
    assert not (container.runtime.root / container.id).exists()


@pytest.mark.parametrize("shared", [False, True], ids=["own pids", "the host's pids"])
def test_delete_force_of_what_forks_all_the_time(
    runtime: Runtime, bundle: MakeBundle, shared: bool
) -> None:
    """Case 87: none escapes between being listed and being killed."""
    made = bundle(sh=f"for i in 1 2 3 4; do ({LOOP}) & done; echo ready; wait")
    if shared:
        made.set_namespace(pid=None)
        made.write()
    container = runtime.start(made)
    container.written("ready\n")
    container.delete("--force")
    gone(container)


def test_kill_all_of_a_fork_bomb(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 87: many, each of which forks as fast as it can, in the host's pid namespace."""
    script = f"n=0; while [ $n -lt {MANY} ]; do ({LOOP}) & n=$((n + 1)); done; echo ready; wait"
    made = bundle(sh=script)
    made.set_namespace(pid=None)
    container = runtime.start(made.write())
    container.written("ready\n")
    assert len(pids_of(container)) > MANY
    assert runtime("kill", "--all", container.id, "KILL").code == 0
    until(lambda: not pids_of(container), "nobody is left")
    container.delete()
    gone(container)


@pytest.mark.expect_fail_on("runc", "runc 1.1 does not thaw what the container froze below itself")
def test_cgroups_that_the_container_made(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 86: with processes in them, and frozen by the container itself."""
    script = (
        "cd /sys/fs/cgroup; [ -d freezer ] && cd freezer; mkdir -p a/b; sleep 1000 & "
        "echo $! > a/b/cgroup.procs; echo FROZEN > a/freezer.state 2>/dev/null || "
        "echo 1 > a/cgroup.freeze; echo ready; sleep 1000"
    )
    made = bundle(sh=script, mounts=[WRITABLE])
    made.set_namespace(pid=None, cgroup="")
    container = runtime.start(made.write())
    container.written("ready\n")
    inner = Path(directory_of(container.pid)) / "a"
    assert (inner / "b/cgroup.procs").read_text().strip()
    pids = pids_of(container)
    try:
        container.delete("--force")
        assert not any(map(is_alive, pids))
        gone(container)
    finally:
        host.thaw(str(inner))


@pytest.mark.expect_fail_on("runc", "runc 1.1 does not enter a threaded cgroup")
def test_a_container_in_a_threaded_cgroup(runtime: Runtime, bundle: MakeBundle) -> None:
    """cgroup.procs cannot be read there, nor cgroup.kill written (cgroup-v2.rst, threads)."""
    if not is_unified():
        pytest.skip("where version 1 has the controllers no container is in a threaded cgroup")
    need_cgroupfs(runtime)
    root = "/sys/fs/cgroup"
    outer, name = runtime.new_id(), runtime.new_id()
    os.makedirs(f"{root}/{outer}/threads")
    Path(f"{root}/{outer}/threads/cgroup.type").write_text("threaded")
    made = bundle(
        sh="sleep 1000 & sleep 1001 & echo ready; wait", cgroupsPath=f"/{outer}/threads/{name}"
    )
    made.set_namespace(pid=None)
    made.write()
    assert runtime("create", "--bundle", str(made.path), name).code == 0
    container = Container(runtime, name, made)
    container.start()
    until(lambda: len(pids_of(container)) == 3, "all three are seen")
    pids = pids_of(container)
    assert runtime("kill", "--all", name, "KILL").code == 0
    until(lambda: not any(map(is_alive, pids)), "all are dead")
    container.delete()
    host.remove_cgroups(outer)


def test_no_container_below_a_threaded_cgroup_beside_version_1(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Hybrid: the error names what clone3(2) minds (cgroup-v2.rst, threads)."""
    root = "/sys/fs/cgroup/unified"
    if is_unified() or not os.path.exists(f"{root}/cgroup.procs") or runtime.name != "pyoci":
        pytest.skip("only where pyoci finds version 2 beside version 1")
    need_cgroupfs(runtime)
    outer = runtime.new_id()
    os.makedirs(f"{root}/{outer}/threads")
    Path(f"{root}/{outer}/threads/cgroup.type").write_text("threaded")
    made = bundle("true", cgroupsPath=f"/{outer}/threads/c")
    try:
        ran = runtime("create", "--bundle", str(made.path), runtime.new_id())
        assert ran.code == 1
        assert 'below a threaded one (cgroup.type is "domain invalid")' in ran.message
        assert "choose another linux.cgroupsPath" in ran.message
    finally:
        host.remove_cgroups(outer)


@pytest.fixture
def hanging(runtime: Runtime, bundle: MakeBundle) -> Iterator[tuple[Container, Hanging]]:
    """A container one of whose processes sleeps uninterruptibly."""
    if not os.path.exists("/dev/fuse"):
        pytest.skip("needs /dev/fuse")
    made = bundle(sh="cat /hangs/x & echo ready; sleep 1000")
    filesystem = Hanging(made.rootfs / "hangs")
    container = runtime.start(made)
    pid = filesystem.serve_until_lookup()
    until(lambda: status_of(container.pid)[0] != "", "it lives")
    assert pid > 0
    yield container, filesystem
    filesystem.let_go()


@pytest.mark.slow
def test_delete_of_what_cannot_be_killed_fails_in_time_and_can_be_repeated(
    hanging: tuple[Container, Hanging],
) -> None:
    """Case 88: an error after the deadline, the record stays, and a later delete finishes it."""
    container, filesystem = hanging
    ran = container.runtime("delete", "--force", container.id, seconds=40)
    assert ran.code == 1
    assert container.status in ("running", "stopped")
    assert (container.runtime.root / container.id).is_dir()
    filesystem.let_go()
    container.delete("--force")
    gone(container)


def test_the_launcher_lets_go_what_cannot_be_frozen(
    hanging: tuple[Container, Hanging], alone: Alone
) -> None:
    """docs/adr/0019-freeze.md: Python tries it for longer."""
    container, _ = hanging
    assert is_refused(alone("pause", container.id))
    assert not is_frozen(container.pid)
    assert container.status == "running"


@pytest.mark.slow
def test_pause_of_what_cannot_be_frozen_fails_and_freezes_nothing(
    hanging: tuple[Container, Hanging],
) -> None:
    """All or none: the others go on."""
    container, filesystem = hanging
    ran = container.runtime("pause", container.id, seconds=40)
    assert ran.code == 1
    assert not is_frozen(container.pid)
    assert container.status == "running"
    filesystem.let_go()
