# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at chosen system calls: the matrix's part E. `delete --force` must clean all of it."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from blackbox import host
from blackbox.bundle import Bundle, MakeBundle
from blackbox.processes import is_alive, reap, until
from blackbox.runtime import Container, Runtime

KNOWN = pytest.mark.expect_fail_on("runc", "runc records too late what it made", strict=False)
SLEEP = ("sleep", "1000")
OF_THE_RUNTIME = [
    (call, number)
    for call, numbers in {
        "mkdir": (1, 2, 3, 5, 8),
        "mkdirat": (1, 2, 3),
        "openat": (30, 60, 90, 120, 150),
        "write": (1, 2, 3, 5, 8),
        "rename": (1, 2, 3),
        "renameat": (1, 2),
        "recvmsg": (1, 2, 3, 4),
        "sendmsg": (1, 2),
        "clone": (1,),
        "vfork": (1,),
        "clone3": (1,),
        "memfd_create": (1, 2, 3),
        "socketpair": (1,),
        "mknod": (1,),
        "mknodat": (1,),
        "pidfd_open": (1, 2),
    }.items()
    for number in numbers
]
OF_THE_INIT = [
    (call, number)
    for call, numbers in {
        "fsopen": (1, 3),
        "fsmount": (1, 2),
        "open_tree": (1,),
        "move_mount": (1, 3, 5),
        "mount_setattr": (1, 2),
        "pivot_root": (1,),
        "umount2": (1,),
        "sethostname": (1,),
        "capset": (1,),
        "setgroups": (1,),
        "keyctl": (1,),
        "setsid": (1,),
        "symlinkat": (1,),
        "mknodat": (2, 4),  # the first is the runtime's: the fifo
        "openat2": (1, 10),
        "close_range": (1,),
    }.items()
    for number in numbers
]


@pytest.fixture
def strace() -> str:
    """The program that injects."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("needs strace")
    return found


def injecting(strace: str, scratch: Path, call: str, number: int, *options: str) -> list[str]:
    """Return a wrapper that kills with SIGKILL at the `number`th `call`."""
    inject = f"inject={call}:signal=SIGKILL:when={number}"
    return [
        strace,
        "-qq",
        *options,
        "-o",
        str(scratch / "trace"),
        "-e",
        f"trace={call}",
        "-e",
        inject,
    ]


def clean(runtime: Runtime, name: str) -> None:
    """Expect that one `delete --force` leaves nothing."""
    ran = runtime("delete", "--force", name)
    assert ran.code == 0, ran
    until(lambda: not reap(), "no process is left", 3)
    assert not (runtime.root / name).exists()
    assert not host.cgroups(name)


@KNOWN
@pytest.mark.parametrize(("call", "number"), OF_THE_RUNTIME)
def test_create_killed(
    runtime: Runtime, bundle: MakeBundle, strace: str, scratch: Path, call: str, number: int
) -> None:
    """Cases 93 to 95: then `delete --force` cleans, cgroup included, and the id is free again."""
    made = bundle(*SLEEP)
    command = runtime.making("create", made)
    runtime(*command, wrap=injecting(strace, scratch, call, number))
    clean(runtime, command[-1])
    assert runtime(*command).code == 0
    assert Container(runtime, command[-1], made).status == "created"


@KNOWN
@pytest.mark.parametrize(("call", "number"), OF_THE_INIT)
def test_init_killed(
    runtime: Runtime, bundle: MakeBundle, strace: str, scratch: Path, call: str, number: int
) -> None:
    """Case 97: create fails with a reason, and has cleaned up by itself."""
    command = runtime.making("create", bundle(*SLEEP))
    running = runtime.spawn(*command, wrap=injecting(strace, scratch, call, number, "-f"))
    trace = scratch / "trace"
    until(
        lambda: (
            not running.is_running() or runtime("state", command[-1]).code == 0 or settled(trace)
        ),
        "something happened",
        10,
    )
    if not (trace.exists() and "killed by SIGKILL" in trace.read_text()):
        runtime("delete", "--force", command[-1])
        running.end()
        return
    ran = running.wait(10)
    assert ran.code != 0
    assert ran.stderr.strip()
    until(lambda: not reap(), "no process is left", 3)
    assert runtime("state", command[-1]).code == 1
    assert not host.cgroups(command[-1])


def settled(trace: Path) -> bool:
    """Tell whether strace has seen a process die."""
    return trace.exists() and "killed by SIGKILL" in trace.read_text()


@KNOWN
def test_create_killed_while_a_hook_runs(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """Case 96: the hook's processes, the cgroup and the init go."""
    log = scratch / "log"
    script = f"echo $$ >{log}.new; mv {log}.new {log}; exec sleep 1000"
    entry = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    made = bundle(*SLEEP, hooks={"createRuntime": [entry]})
    running = runtime.spawn(*runtime.making("create", made))
    until(log.exists, "the hook runs")
    running.end()
    hook = int(log.read_text())
    clean_hook(runtime, running.argv[-1], hook)


def clean_hook(runtime: Runtime, name: str, hook: int) -> None:
    """Expect that `delete --force` ends the hook, too."""
    assert runtime("delete", "--force", name).code == 0
    until(lambda: not is_alive(hook), "the hook is dead", 3)
    until(lambda: not reap(), "no process is left", 3)
    assert not host.cgroups(name)


def started(runtime: Runtime, made: Bundle) -> Container:
    """Return a container that was started."""
    return runtime.start(made)


@KNOWN
@pytest.mark.parametrize(
    ("call", "number"),
    [("openat", n) for n in (20, 50, 70)]
    + [("write", 1), ("unlink", 1), ("unlinkat", 1), ("flock", 1)],
)
def test_start_killed(
    runtime: Runtime, bundle: MakeBundle, strace: str, scratch: Path, call: str, number: int
) -> None:
    """Cases 98 and 99: created and startable, or running and a second start an error."""
    container = runtime.create(bundle(*SLEEP))
    wrap = injecting(strace, scratch, call, number)
    runtime("start", container.id, wrap=wrap)
    assert container.status in ("created", "running")
    ran = runtime("start", container.id, seconds=5)
    assert ran.code == 0 or "cannot start an already running container" in ran.message, ran
    assert container.status == "running"
    clean(runtime, container.id)


@KNOWN
@pytest.mark.parametrize(
    ("call", "number"),
    [(c, n) for c in ("rmdir", "unlink", "unlinkat", "rename", "renameat", "kill", "pidfd_send_signal")
     for n in (1, 2, 5)],
)  # fmt: skip
def test_delete_killed(
    runtime: Runtime, bundle: MakeBundle, strace: str, scratch: Path, call: str, number: int
) -> None:
    """Case 100: run again it succeeds; poststop hooks run at least once."""
    log = scratch / "log"
    entry = {"path": "/bin/sh", "args": ["sh", "-c", f"echo ran >>{log}"]}
    container = started(runtime, bundle(*SLEEP, hooks={"poststop": [entry]}))
    wrap = injecting(strace, scratch, call, number)
    runtime("delete", "--force", container.id, wrap=wrap)
    clean(runtime, container.id)
    assert "ran" in log.read_text()


@KNOWN
@pytest.mark.parametrize(
    ("call", "number"),
    [("openat", n) for n in (40, 80, 110)] + [("recvmsg", 1), ("recvmsg", 2), ("sendmsg", 1),
     ("write", 1), ("write", 3), ("memfd_create", 2), ("clone", 1), ("vfork", 1)],
)  # fmt: skip
def test_exec_killed(
    runtime: Runtime, bundle: MakeBundle, strace: str, scratch: Path, call: str, number: int
) -> None:
    """Case 101: no half-made process stays in the container."""
    container = started(runtime, bundle(*SLEEP))
    wrap: list[Any] = injecting(strace, scratch, call, number)
    runtime("exec", container.id, "true", wrap=wrap)

    def alone() -> bool:
        reap()
        return runtime("ps", "-f", "json", container.id).stdout.strip() == f"[{container.pid}]"

    until(alone, "init is alone")
    assert container.exec("true").code == 0
    assert os.path.exists(scratch)


@pytest.mark.parametrize(
    ("call", "number"),
    [("write", 1), ("write", 2), ("flock", 1), ("openat", 45), ("openat", 60), ("read", 20), ("poll", 1)],
)  # fmt: skip
@pytest.mark.parametrize("verb", ["pause", "kill"])
def test_killed_in_the_middle_of_freezing(  # noqa: PLR0917 - fixtures
    runtime: Runtime,
    bundle: MakeBundle,
    strace: str,
    scratch: Path,
    verb: str,
    call: str,
    number: int,
) -> None:
    """Case 102: whatever was frozen is resumed, and goes on; `delete --force` cleans."""
    made = bundle(sh="trap 'echo got' USR1; echo ready; while :; do sleep 0.02; done")
    made.set_namespace(pid=None)
    container = started(runtime, made.write())
    container.written("ready\n")
    words = ["pause", container.id] if verb == "pause" else ["kill", "--all", container.id, "0"]
    runtime(*words, wrap=injecting(strace, scratch, call, number))
    status = container.status
    assert status in ("running", "paused")
    ran = runtime("resume", container.id)
    assert ran.code == (0 if status == "paused" else 1), ran
    assert container.status == "running"
    container.kill("USR1")
    container.written("got\n")
    clean(runtime, container.id)
