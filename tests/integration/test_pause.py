# SPDX-License-Identifier: Apache-2.0
"""pause and resume: seen in the kernel's own files."""

import json
import os
from pathlib import Path

import pytest
from blackbox.bundle import MakeBundle
from blackbox.cgroups import need_cgroupfs
from blackbox.membership import file_of, is_frozen
from blackbox.processes import is_alive, text, until
from blackbox.runtime import Container, Runtime

SLEEP = ("sleep", "1000")
TRAP = "trap 'echo got; exit 0' TERM; echo ready; while :; do sleep 0.02; done"
PAUSED = "cannot exec in a paused container (use --ignore-paused to override)"


@pytest.fixture
def running(runtime: Runtime, bundle: MakeBundle) -> Container:
    """A container that answers TERM."""
    container = runtime.start(bundle(sh=TRAP))
    container.written("ready\n")
    return container


def pause(container: Container) -> None:
    ran = container.runtime("pause", container.id)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def resume(container: Container) -> None:
    ran = container.runtime("resume", container.id)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def test_pause_freezes_and_resume_thaws(running: Container) -> None:
    """cli.md 2, pause and resume."""
    pause(running)
    assert is_frozen(running.pid)
    assert running.status == "paused"
    resume(running)
    assert not is_frozen(running.pid)
    assert running.status == "running"


def test_a_created_container_can_be_paused(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, pause: created or running."""
    container = runtime.create(bundle(*SLEEP))
    pause(container)
    assert container.status == "paused"
    resume(container)
    assert container.status == "created"
    container.start()
    assert container.status == "running"


def test_every_process_is_frozen_while_they_fork(runtime: Runtime, bundle: MakeBundle) -> None:
    """A process that is just being forked is frozen, too: nothing runs when pause has returned."""
    loop = "while :; do (true); (true) & wait $!; done"
    container = runtime.start(bundle(sh=f"for i in 1 2 3; do ({loop}) & done; echo ready; wait"))
    container.written("ready\n")
    for _ in range(10):
        pause(container)
        assert is_frozen(container.pid)
        before = text(file_of(container.pid, "cgroup.procs"))
        assert text(file_of(container.pid, "cgroup.procs")) == before
        resume(container)


def test_list_shows_the_paused(running: Container) -> None:
    """cli.md 2, list."""
    pause(running)
    listed = json.loads(running.runtime("list", "--format", "json").stdout)
    assert [(row["status"], row["pid"]) for row in listed] == [("paused", running.pid)]


def test_pause_of_a_paused_container_fails(running: Container) -> None:
    """cli.md 2, pause: `container not running`."""
    pause(running)
    ran = running.runtime("pause", running.id)
    assert (ran.code, ran.message.strip()) == (1, "container not running")
    assert is_frozen(running.pid)


def test_resume_of_a_running_container_fails(running: Container) -> None:
    """cli.md 2, resume: `container not paused`."""
    ran = running.runtime("resume", running.id)
    assert (ran.code, ran.message.strip()) == (1, "container not paused")


@pytest.mark.parametrize(
    ("verb", "words"), [("pause", "container not running"), ("resume", "container not paused")]
)
def test_a_stopped_container_is_neither(
    runtime: Runtime, bundle: MakeBundle, verb: str, words: str
) -> None:
    """cli.md 2: containerd resumes what has just exited: an error, and at once."""
    container = runtime.start(bundle("true"))
    container.wait()
    ran = runtime(verb, container.id, seconds=5)
    assert (ran.code, ran.message.strip()) == (1, words)


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_a_missing_container(runtime: Runtime, verb: str) -> None:
    """cli.md 5: `container does not exist`."""
    ran = runtime(verb, runtime.new_id())
    assert (ran.code, ran.message.strip()) == (1, "container does not exist")


def test_what_a_paused_container_refuses(running: Container) -> None:
    """Case 79, with runc's words."""
    pause(running)
    runtime = running.runtime
    refused = {
        ("start",): (1, "cannot start a container in the paused state"),
        ("delete",): (1, f"cannot delete container {running.id} that is not stopped: paused"),
        ("exec", "true"): (255, PAUSED),
    }
    for (verb, *rest), (code, words) in refused.items():
        ran = runtime(verb, running.id, *rest)
        assert ran.code == code
        assert words in ran.message
    assert running.status == "paused"


def test_exec_that_ignores_the_pause_waits_for_resume(running: Container) -> None:
    """cli.md 2, exec --ignore-paused: the process enters the frozen cgroup."""
    pause(running)
    late = running.runtime.spawn("exec", "--ignore-paused", running.id, "echo", "late")
    until(lambda: len(text(file_of(running.pid, "cgroup.procs")).split()) > 2, "it is there")
    assert text(late.out) == ""
    resume(running)
    ran = late.wait()
    assert (ran.code, ran.stdout) == (0, "late\n")


def test_a_signal_waits_for_resume(running: Container) -> None:
    """The kernel keeps it; only SIGKILL reaches what is frozen."""
    pause(running)
    running.kill("TERM")
    assert running.status == "paused"
    assert "got" not in running.stdout
    resume(running)
    running.written("got\n")


def test_sigkill_ends_what_is_paused(running: Container) -> None:
    """cli.md 2, kill: on version 1 what is frozen dies when it is thawed."""
    pid = running.pid
    pause(running)
    running.kill("KILL")
    until(lambda: not is_alive(pid), "init is dead")
    running.wait("stopped")
    running.delete()


def test_delete_force_ends_what_is_paused(running: Container) -> None:
    """Case 80."""
    pid = running.pid
    pause(running)
    running.delete("--force")
    assert not is_alive(pid)


def test_kill_all_reaches_what_is_paused(runtime: Runtime, bundle: MakeBundle) -> None:
    """Every process, where the pid namespace is the host's."""
    made = bundle(sh="sleep 1000 & sleep 1001 & echo ready; wait")
    made.set_namespace(pid=None)
    made.write()
    container = runtime.start(made)
    container.written("ready\n")
    pids = json.loads(runtime("ps", "--format", "json", container.id).stdout)
    pause(container)
    assert runtime("kill", "--all", container.id, "KILL").code == 0
    until(lambda: not any(map(is_alive, pids)), "all are dead")
    container.delete()


@pytest.mark.expect_fail_on("runc", "runc 1.1 says that it has resumed")
def test_what_a_cgroup_above_keeps_frozen_is_not_resumed(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """resume returns when the container goes on, or says why it does not."""
    need_cgroupfs(runtime)
    outer, name = runtime.new_id(), runtime.new_id()
    made = bundle(*SLEEP, cgroupsPath=f"/{outer}/{name}")
    assert runtime("create", "--bundle", str(made.path), name).code == 0
    container = Container(runtime, name, made)
    pause(container)
    above = Path(file_of(container.pid, "cgroup.procs")).parent.parent
    freezer, frozen, thawed = (
        (above / "freezer.state", "FROZEN", "THAWED")
        if (above / "freezer.state").exists()
        else (above / "cgroup.freeze", "1", "0")
    )
    freezer.write_text(frozen)
    ran = runtime("resume", name)
    freezer.write_text(thawed)
    assert ran.code == 1
    assert "one above it is frozen" in ran.message
    assert container.status == "created"
    container.delete()
    for directory in (above, *Path("/sys/fs/cgroup").glob(f"*/{outer}")):
        if directory.is_dir():
            os.rmdir(directory)
