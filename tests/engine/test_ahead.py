# SPDX-License-Identifier: Apache-2.0
"""The processes that a start begins ahead (containers/ahead.py) end with a command that comes to nothing, however that ends."""

import contextlib
import json
import os
import signal
import subprocess
from pathlib import Path

import pytest
from blackbox.processes import until
from sides import IMAGE, PYPOD, Pypod

pytestmark = pytest.mark.root
OPTIONS = ("--network", "none")


def with_word(word: str) -> list[str]:
    """Return the command lines of processes in which this word stands."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            line = Path(f"/proc/{name}/cmdline").read_bytes().decode("utf-8", "replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if word in line.split("\0"):
            found.append(line)
    return found


def await_end_of(word: str) -> None:
    """Wait until no process of a command is left."""
    until(lambda: not with_word(word), f"no process of {word} is left")


@pytest.mark.parametrize(
    "words",
    [
        ("--name", "a name", IMAGE),  # refused at once
        ("--pull", "never", "nosuch"),  # there is no such image
        ("--network", "container:nosuch", IMAGE),
        ("-it", IMAGE),  # standard input is no terminal
        ("--user", "nosuch", IMAGE),  # refused by the creator, before word has come
        (IMAGE, "nosuch-program"),  # refused by the runtime
    ],
)
def test_what_is_refused_leaves_no_process(words: tuple[str, ...], pypod: Pypod) -> None:
    word = f"LABEL={'-'.join(words)}"
    ran = pypod("run", "--rm", "--label", word, *words)
    assert ran.code != 0
    await_end_of(word)
    assert not pypod.monitors()
    assert not pypod.output("ps", "-aq")


def test_what_runs_already_needs_no_helper(pypod: Pypod) -> None:
    """A second `start` of one that runs succeeds, and attached it stays: without processes that wait for it."""
    pypod.start("runner", "while :; do echo tick; sleep 0.05; done")
    (monitor,) = pypod.monitors()
    client = pypod.spawn("start", "-a", "runner")
    until(lambda: "tick" in client.out.read_text(), "it is attached")
    until(lambda: len(with_word("runner")) == 1, "only the client is left")
    assert pypod.monitors() == [monitor]
    pypod.output("kill", "runner")
    assert client.wait().code == 137


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("sendmsg", 1),  # whose monitor it will be
        ("sendto", 1),  # the order
        ("sendmsg", 2),  # word to the monitor
        ("sendto", 2),  # word to the creator
        ("sendto", 3),  # attached
        ("sendto", 4),  # start
    ],
)
def test_a_command_killed_at_a_hand_over_leaves_nothing_that_rm_does_not_remove(
    call: str, number: int, pypod: Pypod
) -> None:
    """Issue 6: killing the command with SIGKILL at any moment loses no consistency; the next command heals."""
    name = f"killed-{number}"
    kill = f"--inject={call}:signal=KILL:when={number}"
    argv = ["strace", "-o", "/dev/null", "-e", f"trace={call}", kill, str(PYPOD)]
    ran = subprocess.run(
        [*argv, "run", "--name", name, *OPTIONS, IMAGE, "sleep", "1000"],
        env=pypod.environment,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )
    assert ran.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
    identity = pypod.field(name, "{{.Id}}")
    status = pypod.field(name, "{{.State.Status}}")
    assert status in ("created", "running")
    until(
        lambda: len(pypod.monitors()) == (status == "running") and not with_word(name),
        "who is not needed has ended",
    )
    pypod.output("rm", "--force", name)
    assert not [*Path("/sys/fs/cgroup").glob(f"*/pypod/{identity}")]


def test_a_killed_command_is_started_again(pypod: Pypod) -> None:
    """What one that was killed has prepared is in nobody's way."""
    argv = [
        "strace",
        "-o",
        "/dev/null",
        "-e",
        "trace=sendmsg",
        "--inject=sendmsg:signal=KILL:when=2",
    ]
    subprocess.run(
        [*argv, str(PYPOD), "run", "--name", "again", *OPTIONS, IMAGE, "sh", "-c", "exit 3"],
        env=pypod.environment,
        stdin=subprocess.DEVNULL,
        check=False,
        timeout=30,
    )
    assert pypod("start", "-a", "again").code == 3


def test_a_creator_that_is_killed_is_said(pypod: Pypod) -> None:
    """The monitor tells, whether it had the word before or after."""
    inject = "--inject=mkdirat,mkdir:signal=KILL:when=1"
    argv = ["strace", "-f", "-o", "/dev/null", "-e", "trace=mkdir,mkdirat", inject]
    made = pypod.output("create", "--name", "unmade", *OPTIONS, IMAGE, "true").strip()
    path = f"{pypod.run_root}/runtime/{made}"
    ran = subprocess.run(
        [*argv, "-P", path, str(PYPOD), "start", "unmade"],
        env=pypod.environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=30,
    )
    assert "the process that makes the container was killed" in ran.stderr
    assert pypod("start", "-a", "unmade").code == 0


def test_a_creator_that_is_killed_before_the_program_begins_is_said(pypod: Pypod) -> None:
    """It waits for the command to say so, which stops here before that (`-t`: the terminal must be there first)."""
    argv = ["strace", "-o", "/dev/null", "-e", "trace=sendto"]
    argv += ["--inject=sendto:signal=STOP:when=3", str(PYPOD)]
    traced = subprocess.Popen(
        [*argv, "run", "-t", "--name", "unbegun", *OPTIONS, IMAGE, "true"],
        env=pypod.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    until(lambda: is_created(pypod), "it is made")
    (monitor,) = pypod.monitors()
    (creator,) = children_of(monitor)
    (command,) = (pid for pid in children_of(traced.pid) if pid != monitor)
    os.kill(creator, signal.SIGKILL)

    def has_gone_on() -> bool:
        with contextlib.suppress(ProcessLookupError):
            os.kill(command, signal.SIGCONT)  # again, where it had not stopped yet
        return traced.poll() is not None

    until(has_gone_on, "it has ended")
    _, errors = traced.communicate()
    assert "the process that makes the container was killed" in errors
    assert traced.returncode == 128
    until(lambda: not pypod.monitors(), "the monitor has ended")
    assert not [*pypod.run_root.glob("runtime/[!.]*")]


def is_created(pypod: Pypod) -> bool:
    """Tell whether the runtime has made a container."""
    return any(
        json.loads(path.read_text())["status"] == "created"
        for path in pypod.run_root.glob("runtime/*/state.json")
    )


def children_of(pid: int) -> list[int]:
    """Return the pids of a process's children."""
    return [
        int(name)
        for name in filter(str.isdecimal, os.listdir("/proc"))
        if fields(int(name))[1:2] == [str(pid)]
    ]


def fields(pid: int) -> list[str]:
    """Return what stands behind the name in a process's stat, nothing for one that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def test_a_layer_of_rm_is_volatile_and_kept_for_a_restart(pypod: Pypod) -> None:
    """overlayfs.rst, volatile mount: what is removed in the end need not be on the disk before."""
    pypod.start("kept", "exec sleep 1000")
    pypod.start("passing", "exec sleep 1000", "--rm")
    options = {name: mount_options(pypod, name) for name in ("kept", "passing")}
    assert not {"volatile", "fsync=volatile"} & options["kept"]
    assert {"volatile", "fsync=volatile"} & options["passing"]  # as the kernel writes it
    pypod.output("exec", "passing", "touch", "/written")
    pypod.output("restart", "-t", "0", "passing")
    pypod.output("exec", "passing", "test", "-e", "/written")


def mount_options(pypod: Pypod, name: str) -> set[str]:
    """Return the options of the file system that is a container's root."""
    place = f"{pypod.root}/snapshots/{pypod.field(name, '{{.Id}}')}/merged"
    rows = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return {*next(row[3] for row in rows if row[1] == place).split(",")}


def test_a_volatile_layer_is_refused_when_the_host_was_down_meanwhile(pypod: Pypod) -> None:
    """Nothing of it can be relied on: overlayfs.rst."""
    pypod.start("lost", "exec sleep 1000", "--rm")
    identity, pid = pypod.field("lost", "{{.Id}} {{.State.Pid}}").split()
    (monitor,) = pypod.monitors()
    os.kill(monitor, signal.SIGKILL)
    os.kill(int(pid), signal.SIGKILL)
    until(lambda: not pypod.monitors(), "the monitor is dead")
    path = pypod.root / f"containers/{identity}/status.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "Boot": "another"}))
    ran = pypod("start", "lost")
    assert ran.code == 1
    assert "the host went down while it ran" in ran.stderr
    pypod.output("rm", "lost")
