# SPDX-License-Identifier: Apache-2.0
"""Many callers at once, processes that vanish, records that are broken: the matrix's part D."""

import json
import os
import signal
from pathlib import Path

import pytest
from blackbox import host
from blackbox.bundle import MakeBundle
from blackbox.processes import Ran, is_alive, reap, rounds, status_of, text, until, within
from blackbox.runtime import Container, Runtime

SLEEP = ("sleep", "1000")


def together(runtime: Runtime, count: int, *args: str) -> list[Ran]:
    """Run a command several times at once."""
    running = [runtime.spawn(*args) for _ in range(count)]
    return [each.wait() for each in running]


@pytest.mark.expect_fail_on("runc", "runc has no lock", strict=False)
def test_one_of_eight_starts_wins(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 72: the others fail, soon."""
    container = runtime.create(bundle(*SLEEP))
    with within(8):
        codes = sorted(ran.code for ran in together(runtime, 8, "start", container.id))
    assert codes == [0] + [1] * 7
    assert container.status == "running"


@pytest.mark.expect_fail_on("runc", "runc has no lock", strict=False)
def test_one_of_six_creates_wins(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 73: the winner is intact."""
    made = bundle(*SLEEP)
    command = runtime.making("create", made)
    codes = sorted(ran.code for ran in together(runtime, 6, *command))
    assert codes == [0] + [1] * 5
    container = Container(runtime, command[-1], made)
    assert container.status == "created"
    container.start()
    assert container.exec("true").code == 0


def test_six_deletes_all_succeed(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 74."""
    container = runtime.start(bundle(*SLEEP))
    ran = together(runtime, 6, "delete", "--force", container.id)
    if runtime.name != "runc":  # 1.1: some fail, all is gone
        assert [each.code for each in ran] == [0] * 6, ran
    assert not (runtime.root / container.id).exists()


@pytest.mark.expect_fail_on("runc", "runc leaves cgroups and processes", strict=False)
def test_create_and_delete_of_the_same_id(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 75: no leak, no half state."""
    made = bundle(*SLEEP)
    command = runtime.making("create", made)
    for _ in rounds(30):
        creating = runtime.spawn(*command)
        deleting = runtime.spawn("delete", "--force", command[-1])
        deleting.wait()
        created = creating.wait()
        if created.code == 0 and (runtime.root / command[-1]).exists():
            assert Container(runtime, command[-1], made).status == "created"
        assert runtime("delete", "--force", command[-1]).code == 0
        until(lambda: not reap(), "no process is left")
        assert not host.cgroups(command[-1])


def test_exec_and_delete_at_once(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 76: what exec started never survives."""
    made = bundle(*SLEEP)
    for _ in rounds(15):
        container = runtime.start(made)
        executing = runtime.spawn("exec", container.id, "sleep", "2000")
        container.runtime("delete", "--force", container.id)
        executing.wait()
        until(lambda: not reap(), "no process is left")


def take_pid(pid: int) -> int:
    """Start a process with a pid that is free: /proc/sys/kernel/ns_last_pid."""
    for _ in range(50):
        reap()
        with open("/proc/sys/kernel/ns_last_pid", "w") as last:
            last.write(str(pid - 1))
        taken = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setsid=True)
        if taken == pid:
            return taken
        os.kill(taken, signal.SIGKILL)
        os.waitpid(taken, 0)
    pytest.skip("the pid could not be taken on this busy machine")


def test_a_stranger_with_inits_pid_is_left_alone(runtime: Runtime, bundle: MakeBundle) -> None:
    """Cases 48 and 77."""
    if not os.access("/proc/sys/kernel/ns_last_pid", os.W_OK):
        pytest.skip("needs CONFIG_CHECKPOINT_RESTORE")
    container = runtime.start(bundle(*SLEEP))
    pid = container.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), "init is dead")
    reap()
    stranger = take_pid(pid)
    try:
        assert container.status == "stopped"
        assert container.runtime("kill", container.id, "KILL").code == 1
        assert container.exec("true").code == 255
        assert container.runtime("delete", "--force", container.id).code == 0
        assert is_alive(stranger)
    finally:
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)


def damage(container: Container, content: str) -> Path:
    """Overwrite the record of a container."""
    record = container.runtime.root / container.id / "state.json"
    record.write_text(content)
    return record


@pytest.mark.expect_fail_on("runc", "runc needs its record to clean up", strict=False)
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\0", '{"status":"running"}'])
def test_a_broken_record_can_be_deleted(runtime: Runtime, bundle: MakeBundle, content: str) -> None:
    """Case 90: an error without --force or a deletion; with it the directory is gone."""
    container = runtime.start(bundle(*SLEEP))
    pid = container.pid
    damage(container, content)
    assert runtime("state", container.id).code == 1
    assert runtime("delete", "--force", container.id).code == 0
    assert not (runtime.root / container.id).exists()
    until(lambda: not is_alive(pid), "init was found by its cgroup, and killed")
    assert not host.cgroups(container.id)


@pytest.mark.expect_fail_on("runc", "runc takes zero for a start time", strict=False)
@pytest.mark.parametrize("key", ["start", "identity", "pidfd", "boot"])
def test_a_record_without_an_identity_is_of_a_stopped_container(
    runtime: Runtime, bundle: MakeBundle, key: str
) -> None:
    """Case 78: missing data means stopped, and nothing is signalled."""
    container = runtime.start(bundle(*SLEEP))
    pid = container.pid
    record = runtime.root / container.id / "state.json"
    whole = record.read_text()
    content = json.loads(whole)
    if not remove_keys(content, key):
        pytest.skip(f"this runtime's record has no {key!r}")
    record.write_text(json.dumps(content))
    try:
        ran = runtime("state", container.id)
        assert ran.code == 1 or json.loads(ran.stdout)["status"] == "stopped"
        assert runtime("kill", container.id, "KILL").code == 1
        assert is_alive(pid)
    finally:
        record.write_text(whole)


def remove_keys(content: object, word: str) -> int:
    """Remove every key with a word in it, anywhere."""
    count = 0
    if isinstance(content, dict):
        for key in list(content):
            if word in key:
                del content[key]
                count += 1
            else:
                count += remove_keys(content[key], word)
    return count


def freezer_of(container: Container) -> Path:
    """Return the freezer's control file of a container."""
    for line in text(f"/proc/{container.pid}/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if names == "freezer":
            return Path(f"/sys/fs/cgroup/freezer{path}/freezer.state")
    pytest.skip("no v1 freezer here")


def test_a_container_frozen_from_outside_can_be_deleted(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Case 80: within ten seconds."""
    container = runtime.start(bundle(*SLEEP))
    control = freezer_of(container)
    control.write_text("FROZEN")
    until(lambda: control.read_text() == "FROZEN\n", "it is frozen")
    with within(10):
        container.delete("--force")


def test_a_fork_bomb_can_be_deleted(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 87: within five seconds."""
    limits = {"pids": {"limit": 100}, "devices": [{"allow": False, "access": "rwm"}]}
    container = runtime.start(
        bundle(
            sh="b() { b 2>/dev/null & b 2>/dev/null & wait; }; while :; do b; done",
            resources=limits,
        )
    )
    until(
        lambda: len(json.loads(runtime("ps", "-f", "json", container.id).stdout)) > 50, "it grows"
    )
    with within(5):
        container.delete("--force")


@pytest.mark.expect_fail_on("runc", "runc 1.1 takes any cgroup", strict=False)
def test_a_cgroup_with_processes_is_not_taken(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 91; runc's words: `container's cgroup is not empty`."""
    first = runtime.start(bundle(*SLEEP))
    path = next(
        line.split(":", 2)[2]
        for line in text(f"/proc/{first.pid}/cgroup").splitlines()
        if line.endswith(first.id)
    )
    message = runtime.refuses(bundle(*SLEEP, cgroupsPath=path))
    assert "container's cgroup is not empty" in message
    assert first.status == "running"


@pytest.mark.expect_fail_on("runc", "runc 1.1 takes any cgroup", strict=False)
def test_a_frozen_cgroup_is_not_taken(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 91; runc's words: `container's cgroup unexpectedly frozen`."""
    if runtime.name == "crun":
        pytest.skip("crun 1.8 enters the frozen cgroup, and hangs where KILL does not reach it")
    name = f"/{runtime.session}/frozen"
    place = Path(f"/sys/fs/cgroup/freezer{name}")
    if not place.parent.parent.is_dir():
        pytest.skip("no v1 freezer here")
    place.mkdir(parents=True, exist_ok=True)
    (place / "freezer.state").write_text("FROZEN")
    try:
        message = runtime.refuses(bundle(*SLEEP, cgroupsPath=name), seconds=5)
        assert "frozen" in message
    finally:
        host.remove_cgroups(f"{runtime.session}/frozen")
        host.remove_cgroups("frozen")


def test_a_record_of_before_a_reboot_is_stopped(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 92: the pid is somebody else's now: never signalled."""
    container = runtime.start(bundle(*SLEEP))
    record = runtime.root / container.id / "state.json"
    whole = record.read_text()
    boot = text("/proc/sys/kernel/random/boot_id").strip()
    if boot not in whole:
        pytest.skip("this runtime records no boot id")
    pid = container.pid
    record.write_text(whole.replace(boot, "00000000-0000-0000-0000-000000000000"))
    try:
        assert container.status == "stopped"
        assert runtime("kill", container.id, "KILL").code == 1
        assert is_alive(pid)
    finally:
        record.write_text(whole)


def test_a_killed_runtime_takes_its_foreground_container_along_or_leaves_it_whole(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """security.md section 4, rule 7: SIGKILL of anything never needs repair by hand."""
    running = runtime.spawn(*runtime.making("run", bundle(sh="echo ready; sleep 1000")))
    until(lambda: text(running.out) == "ready\n", "it runs")
    running.end()
    name = running.argv[-1]
    ran = runtime("state", name)
    assert ran.code == 0, ran
    assert runtime("delete", "--force", name).code == 0
    until(lambda: not reap(), "no process is left")
    assert status_of(os.getpid())[0] == "R"
