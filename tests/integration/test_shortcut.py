# SPDX-License-Identifier: Apache-2.0
"""start, state, kill and delete without an interpreter (docs/adr/0007-shortcut.md), and when not."""

import fcntl
import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from blackbox import host
from blackbox.alone import Alone, is_refused
from blackbox.bundle import MakeBundle
from blackbox.processes import is_alive, status_of, until
from blackbox.runtime import ENVIRONMENT, Container, Runtime

SLEEP = ("sleep", "1000")
HOOK = {"path": "/bin/true", "args": ["true"]}


def file_of(container: Container, name: str = "shortcut") -> Path:
    """Return a file of the container's directory."""
    return container.runtime.root / container.id / name


def line_of(container: Container, word: str) -> str:
    """Return what stands behind a word in the file."""
    found = re.search(rf"^{word} (.*)$", file_of(container).read_text(), re.MULTILINE)
    assert found is not None
    return found[1]


def edit(container: Container, old: str, new: str) -> None:
    """Change the file."""
    path = file_of(container)
    before = path.read_text()
    path.write_text(before.replace(old, new, 1))
    assert path.read_text() != before


def field_of(pid: int, name: str) -> str:
    """Return a field of /proc/PID/status."""
    return Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")[2].split()[0]


def test_a_life_without_an_interpreter(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """From created to gone; the host is as it was."""
    container = runtime.create(
        bundle(sh="trap 'echo got; exit' TERM; echo ran; while :; do sleep 0.01; done")
    )
    assert '"status": "created"' in alone("state", container.id).stdout
    assert alone("start", container.id).code == 0
    assert not file_of(container, "exec.fifo").exists()
    container.written("ran\n")
    assert '"status": "running"' in alone("state", container.id).stdout
    assert alone("kill", container.id).code == 0
    container.written("got\n")
    until(lambda: '"status": "stopped"' in alone("state", container.id).stdout, "it is stopped")
    assert alone("delete", container.id).code == 0
    assert host.state_directories(runtime) == []
    assert host.cgroups(container.id) == []


@pytest.mark.parametrize("running", [False, True], ids=["created", "running"])
def test_delete_with_force(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, *, running: bool
) -> None:
    """Init is killed first; nothing is left."""
    container = (runtime.start if running else runtime.create)(bundle(*SLEEP))
    pid = container.pid
    assert alone("delete", "--force" if running else "-f", container.id).code == 0
    assert not is_alive(pid)
    assert host.state_directories(runtime) == []
    assert host.cgroups(container.id) == []


@pytest.mark.parametrize("flag", ["--all", "-a"])
def test_everything_is_killed(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, flag: str
) -> None:
    """cli.md 4: what containerd's shim sends before it deletes; another signal is Python's."""
    container = runtime.start(bundle(sh="sleep 1000 & sleep 1000 & echo child; wait"))
    container.written("child\n")
    pids = json.loads(runtime("ps", "--format", "json", container.id).stdout)
    assert len(pids) == 3
    assert is_refused(alone("kill", flag, container.id))
    assert alone("kill", flag, container.id, "9").code == 0
    until(lambda: not [pid for pid in pids if is_alive(pid)], "all of them are dead")


def test_a_second_delete_with_force(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, scratch: Path
) -> None:
    """cli.md 4: containerd's shim deletes again; that is no error, and the log is there."""
    log = scratch / "log.json"
    container = runtime.create(bundle(*SLEEP))
    assert alone("delete", "--force", container.id).code == 0
    flags = ("--log", str(log), "--log-format", "json")
    ran = alone("delete", "--force", container.id, flags=flags)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")
    assert log.read_bytes() == b""
    assert is_refused(alone("delete", container.id))


def test_a_created_container_is_deleted_without_force(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """As runc does."""
    container = runtime.create(bundle(*SLEEP))
    assert alone("delete", container.id).code == 0
    assert host.state_directories(runtime) == []


def test_state_is_pythons_byte_for_byte(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """In each status, annotations that need escapes included."""
    notes = {"a": '<"pid": 0,"status": "stopped">\n', "ä": "\x01\x02 \u2028"}
    container = runtime.create(bundle(*SLEEP, annotations=notes))
    for change in (lambda: None, container.start, container.stop):
        change()
        expected = runtime("state", container.id, flags=["--debug"])
        assert alone("state", container.id).stdout == expected.stdout
        assert expected.stdout.startswith("{\n")


@pytest.mark.parametrize(
    "flags",
    [
        ["--log", "LOG"],
        ["--log=LOG", "--log-format=json"],
        ["--log-format", "text", "--systemd-cgroup"],
        ["--rootless=auto"],
    ],
    ids=" ".join,
)
def test_the_options_of_engines(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, scratch: Path, flags: list[str]
) -> None:
    """They are understood, and the log is made as Python makes it: empty."""
    container = runtime.create(bundle(*SLEEP))
    log = scratch / "log"
    flags = [word.replace("LOG", str(log)) for word in flags]
    assert alone("state", container.id, flags=flags).code == 0
    assert log.exists() == any("log" in word and str(log) in word for word in flags)


@pytest.mark.parametrize("word", ["9", "KILL", "SIGKILL", "SIGABRT", "6"])
def test_the_names_of_signals(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, word: str
) -> None:
    """By number and by name."""
    container = runtime.start(bundle(sh="trap 'exit 1' ABRT; while :; do sleep 0.01; done"))
    pid = container.pid
    assert alone("kill", container.id, "0").code == 0
    caught = 1 << (signal.SIGABRT - 1)
    until(lambda: caught & int(field_of(pid, "SigCgt"), 16), "its trap is set")
    assert alone("kill", container.id, word).code == 0
    until(lambda: not is_alive(pid), f"{pid} is dead")


@pytest.mark.parametrize(
    "words",
    [
        ["--debug", "state", "ID"],
        ["--log-format=xml", "state", "ID"],
        ["--log=/nowhere/log", "state", "ID"],
        ["--root=/", "state", "ID"],
        ["--root=ROOT/", "state", "ID"],
        ["--root=ROOT/../root", "state", "ID"],
        ["--rootless=maybe", "state", "ID"],
        ["-root", "ROOT", "state", "ID"],
        ["state", "--help", "ID"],
        ["state", "ID", "ID"],
        ["state", "--", "ID"],
        ["state", "../root/ID"],
        ["state", ".ID"],
        ["state", "ID\n"],
        ["state", ""],
        ["state", "a" * 256],
        ["start", "ID", "--help"],
        ["kill", "--all", "ID", "TERM"],
        ["kill", "ID", "00"],
        ["kill", "ID", "65"],
        ["kill", "ID", "kill"],
        ["kill", "ID", "09"],
        ["kill", "ID", "KILL", "KILL"],
        ["delete", "ID", "--force"],
        ["delete", "--force=true", "ID"],
        ["delete", "-f", "-f", "ID"],
        ["ps", "ID"],
        ["state"],
    ],
    ids=" ".join,
)
def test_other_command_lines_are_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, words: list[str]
) -> None:
    """Every word that is not one of the usual."""
    container = runtime.create(bundle(*SLEEP))
    root = str(runtime.root)
    command = [word.replace("ID", container.id).replace("ROOT", root) for word in words]
    assert is_refused(alone(*command))
    assert container.status == "created"


def test_hooks_are_run_by_python(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """start with startContainer or poststart, delete with poststop; the rest goes on alone."""
    for kind in ("startContainer", "poststart"):
        container = runtime.create(bundle(*SLEEP, hooks={kind: [HOOK]}))
        assert is_refused(alone("start", container.id))
        assert not is_refused(alone("state", container.id))
        assert not is_refused(alone("delete", container.id))
    container = runtime.create(bundle(*SLEEP, hooks={"poststop": [HOOK]}))
    assert not is_refused(alone("start", container.id))
    assert is_refused(alone("delete", "--force", container.id))
    assert container.status == "running"


def test_a_shared_pid_namespace_is_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """Others outlive init there: no file is written."""
    shared = bundle(*SLEEP)
    shared.set_namespace(pid=f"/proc/{os.getpid()}/ns/pid")
    container = runtime.create(shared)
    assert not file_of(container).exists()
    assert is_refused(alone("state", container.id))


def test_a_frozen_container_is_pythons(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """But for signals that may wait."""
    container = runtime.start(bundle(*SLEEP))
    [control] = [
        Path(path, name)
        for path in host.cgroups(container.id)
        for name in ("freezer.state", "cgroup.freeze")
        if Path(path, name).exists()
    ][:1]
    control.write_text("FROZEN" if control.name == "freezer.state" else "1")
    until(lambda: container.status == "paused", "it is frozen")
    for command in (["state"], ["kill"], ["delete", "--force"], ["start"]):
        words = [*command, container.id, *(["KILL"] if command == ["kill"] else [])]
        assert is_refused(alone(*words))
    assert alone("kill", container.id, "TERM").code == 0
    assert is_alive(container.pid)
    control.write_text("THAWED" if control.name == "freezer.state" else "0")


@pytest.mark.parametrize(
    "damage",
    [
        ("pyoci 1", "pyoci 2"),
        ("boot ", "boot 0"),
        ("boot ", "toob "),
        ("record ", "record 1"),
        ("init ", "init x"),
        ("init ", "tini "),
        ("start\n", "nothing known\n"),
        ("start\n", "\0"),
        ('"owner": ""\n}', '"owner": ""\n'),
        ("\nstate\n", "\n"),
        ("\x01", ""),
        ("\x02", "\x02\x02"),
    ],
    ids=repr,
)
def test_a_damaged_file_is_not_used(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, damage: tuple[str, str]
) -> None:
    """Nor one of another boot, nor one of another state of the record."""
    container = runtime.create(bundle(*SLEEP))
    edit(container, *damage)
    for command in (["state"], ["start"], ["kill"], ["delete", "--force"]):
        assert is_refused(alone(*command, container.id))
    assert container.status == "created"


def test_a_file_that_others_may_write_is_not_used(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """Nor a symbolic link, nor one of another user."""
    container = runtime.create(bundle(*SLEEP))
    path = file_of(container)
    path.chmod(0o622)
    assert is_refused(alone("state", container.id))
    path.chmod(0o600)
    os.chown(path, 1234, 1234)
    assert is_refused(alone("state", container.id))
    os.chown(path, 0, 0)
    assert not is_refused(alone("state", container.id))
    path.rename(path.with_name("other"))
    path.symlink_to("other")
    assert is_refused(alone("state", container.id))


def test_a_record_that_changed_voids_the_file(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """What was written down belongs to one state of the record."""
    container = runtime.create(bundle(*SLEEP))
    record = file_of(container, "state.json")
    until(lambda: touched(record), "its time of change is another")
    assert is_refused(alone("state", container.id))
    record.unlink()
    assert is_refused(alone("delete", "--force", container.id))
    assert runtime("delete", "--force", container.id).code == 0


def touched(path: Path) -> bool:
    """Write a file as it was; tell whether that can be seen."""
    before = path.stat().st_ctime_ns
    path.write_bytes(path.read_bytes())
    return path.stat().st_ctime_ns != before


@pytest.mark.parametrize("field", [0, 1, 2], ids=["pid", "start", "inode"])
def test_a_stranger_is_never_signalled(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, field: int
) -> None:
    """A pid that was used again: the start time or the inode is another, and that is dead for us."""
    container = runtime.start(bundle(*SLEEP))
    line = line_of(container, "init")
    with subprocess.Popen(SLEEP) as stranger:
        try:
            fields = line.split()
            fields[field] = str(stranger.pid) if field == 0 else str(int(fields[field]) + 1)
            edit(container, f"init {line}", f"init {' '.join(fields)}")
            assert '"status": "stopped"' in alone("state", container.id).stdout
            assert is_refused(alone("kill", container.id, "KILL"))
            assert is_refused(alone("delete", container.id))
            assert is_refused(alone("delete", "--force", container.id))
            assert stranger.poll() is None
            assert is_alive(int(line.split()[0]))
            edit(container, f"init {' '.join(fields)}", f"init {line}")
            assert container.status == "running"
        finally:
            stranger.kill()


def test_a_running_container_is_refused_in_words(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """The error is Python's, once."""
    container = runtime.start(bundle(*SLEEP))
    assert is_refused(alone("delete", container.id))
    assert is_refused(alone("start", container.id))
    ran = runtime("delete", container.id)
    assert ran.code == 1
    assert "that is not stopped: running" in ran.message
    assert ran.stderr.count("level=error") == 1
    assert runtime("start", container.id).message == "cannot start an already running container"


def test_a_zombie_is_stopped(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """Its parent does not reap it."""
    runtime.reaping = False
    container = runtime.create(bundle(*SLEEP))
    pid = container.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: status_of(pid)[0] == "Z", "init is a zombie")
    assert '"status": "stopped"' in alone("state", container.id).stdout
    assert is_refused(alone("kill", container.id))
    assert is_refused(alone("start", container.id))
    assert alone("delete", container.id).code == 0


def test_what_the_lock_is_held_for(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """Who waits for the lock is Python; state and kill need none."""
    container = runtime.create(bundle(*SLEEP))
    directory = os.open(runtime.root / container.id, os.O_RDONLY)
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        assert is_refused(alone("start", container.id))
        assert is_refused(alone("delete", container.id))
        assert not is_refused(alone("state", container.id))
        assert not is_refused(alone("kill", container.id, "USR1"))
    finally:
        os.close(directory)


def test_a_service_managers_socket_is_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, scratch: Path
) -> None:
    """NOTIFY_SOCKET at create or at start."""
    env = ENVIRONMENT | {"NOTIFY_SOCKET": str(scratch / "notify")}
    container = runtime.create(bundle(*SLEEP))
    assert is_refused(alone("start", container.id, env=env))
    container = runtime.create(bundle(*SLEEP), env=env)
    assert is_refused(alone("start", container.id))
    assert is_refused(alone("delete", container.id))
    assert container.status == "created"


def test_what_is_not_empty_is_left_to_python(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """A directory among the files: nothing is killed. A cgroup below: Python goes on from there."""
    container = runtime.create(bundle(*SLEEP))
    file_of(container, "odd").mkdir()
    assert is_refused(alone("delete", container.id))
    assert container.status == "created"
    container = runtime.create(bundle(*SLEEP))
    for path in host.cgroups(container.id):
        Path(path, "below").mkdir()
    assert is_refused(alone("delete", container.id))
    assert container.status == "stopped"
    container.delete()
    assert host.cgroups(container.id) == []


def test_an_update_leaves_it_valid(runtime: Runtime, bundle: MakeBundle, alone: Alone) -> None:
    """What is remembered of the limits is a file of its own (updating.py)."""
    container = runtime.start(bundle(*SLEEP))
    limits = runtime.scratch / "limits.json"
    limits.write_text('{"devices": [{"allow": true, "access": "rwm"}]}')
    ran = runtime("update", "--resources", str(limits), container.id)
    assert ran.code == 0, ran
    assert '"status": "running"' in alone("state", container.id).stdout
    assert not is_refused(alone("kill", container.id, "KILL"))
    until(lambda: '"stopped"' in alone("state", container.id).stdout, "it is stopped")
    assert not is_refused(alone("delete", container.id))
    assert not (runtime.root / container.id).exists()
