# SPDX-License-Identifier: Apache-2.0
"""config.json: hooks: order, state, environment, time-outs, failures."""

import contextlib
import errno
import glob
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import Bundle, MakeBundle
from blackbox.processes import is_alive, patience, until, within
from blackbox.runtime import Runtime

OUTSIDE = ("prestart", "createRuntime", "poststart", "poststop")
BEFORE = ("prestart", "createRuntime", "createContainer")
EARLY = pytest.mark.expect_fail_on("runc", "runc 1.1 runs poststart hooks in create")
ALL = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")


def hook(
    script: str, *, env: list[str] | None = None, timeout: int | None = None
) -> dict[str, Any]:
    """Return a hook that is a shell script of the host."""
    made: dict[str, Any] = {"path": "/bin/sh", "args": ["sh", "-c", script]}
    if env is not None:
        made["env"] = env
    if timeout is not None:
        made["timeout"] = timeout
    return made


def shared(bundle: MakeBundle, *args: str, **edits: Any) -> tuple[Bundle, Path]:
    """Return a bundle with a log file at the same path on the host and in the container."""
    made = bundle(*args, **edits)
    place = made.path / "shared"
    place.mkdir()
    (place / "log").write_text("")
    bound = {"destination": str(place), "type": "bind", "source": str(place), "options": ["bind"]}
    made.edit(mounts=[bound])
    return made, place / "log"


@EARLY
def test_hooks_run_in_their_order(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-platform-hooks: all six kinds, each list in its order."""
    made, log = shared(bundle, "sh", "-c", "exit 0")
    made.edit(sh=f"echo process >>{log}; sleep 1000")
    hooks = {kind: [hook(f"echo {kind}{n} >>{log}") for n in (0, 1)] for kind in ALL}
    container = runtime.create(made.edit(hooks=hooks).write())
    created = ["prestart0", "prestart1", "createRuntime0", "createRuntime1"]
    created += ["createContainer0", "createContainer1"]
    assert log.read_text().split() == created
    container.start()
    started = [*created, "startContainer0", "startContainer1"]
    until(lambda: len(log.read_text().split()) == 11, "the rest has run")
    lines = log.read_text().split()
    assert lines[:8] == started
    assert set(lines[8:]) == {"process", "poststart0", "poststart1"}
    container.delete("--force")
    assert log.read_text().split()[11:] == ["poststop0", "poststop1"]


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=EARLY) if kind == "poststart" else kind for kind in ALL],
)
def test_a_hook_reads_the_state(runtime: Runtime, bundle: MakeBundle, kind: str) -> None:
    """config.md#posix-platform-hooks: the state MUST be passed over stdin; spec.md 1."""
    made, log = shared(bundle, "sleep", "1000", annotations={"k": "v"})
    container = runtime.start(made.edit(hooks={kind: [hook(f"cat >{log}")]}).write())
    pid = container.pid
    container.delete("--force")
    state = json.loads(log.read_text())
    status = {
        "prestart": "creating", "createRuntime": "creating", "createContainer": "creating",
        "startContainer": "created", "poststart": "running", "poststop": "stopped",
    }  # fmt: skip
    inside = {"createContainer": 1, "startContainer": 1, "poststop": 0}
    assert state["ociVersion"]
    assert state["id"] == container.id
    # "creating" is step 2 of the lifecycle, "created" after it: prestart hooks are step 3, and so are both.
    assert state["status"] == status[kind] or (kind, state["status"]) == ("prestart", "created")
    assert state.get("pid", 0) == inside.get(kind, pid)
    assert state["bundle"] == str(made.path)
    assert state["annotations"] == {"k": "v"}


def test_a_hooks_arguments_are_its_whole_argv(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-platform-hooks: args: argv[0] included."""
    made, log = shared(bundle, "true")
    entry = {"path": "/bin/sh", "args": ["other", "-c", f"echo $0 $1 >{log}", "zero", "one"]}
    runtime.output(made.edit(hooks={"createRuntime": [entry]}).write())
    assert log.read_text() == "zero one\n"


def test_a_hook_without_arguments_gets_its_path(
    runtime: Runtime, bundle: MakeBundle, scratch: Path
) -> None:
    """spec.md 1: empty args: [path]."""
    made, log = shared(bundle, "true")
    script = scratch / "hook.sh"
    script.write_text(f"#!/bin/sh\necho $0 $# >{log}\n")
    script.chmod(0o755)
    runtime.output(made.edit(hooks={"createRuntime": [{"path": str(script)}]}).write())
    assert log.read_text() == f"{script} 0\n"


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "startContainer", "poststop"])
def test_a_hooks_environment_is_the_configured_one(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """config.md#posix-platform-hooks: env: exactly."""
    made, log = shared(bundle, "sleep", "1000")
    entry = hook(f"env >{log}", env=["PATH=/bin:/usr/bin", "ONE=1"])
    container = runtime.start(made.edit(hooks={kind: [entry]}).write())
    container.delete("--force")
    names = {line.split("=")[0] for line in log.read_text().splitlines()}
    assert {"PATH", "ONE"} <= names <= {"PATH", "ONE", "PWD", "SHLVL", "_", "OLDPWD"}


def test_a_start_container_hook_without_env_gets_the_processes(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """spec.md 1: startContainer: process.env."""
    made, log = shared(bundle, "true", env=["MINE=1"])
    runtime.output(made.edit(hooks={"startContainer": [hook(f"env >{log}")]}).write())
    assert "MINE=1\n" in log.read_text()


def test_a_create_container_hook_without_env_gets_nothing_of_the_runtime(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """security.md 2, hooks env: hooks in the container's namespaces never get the runtime's env."""
    made, log = shared(bundle, "true")
    entry = hook(f"/bin/busybox env >{log}")
    made.edit(hooks={"createContainer": [entry]})
    runtime.output(made.write(), env={"PATH": os.environ["PATH"], "SECRET": "1"})
    assert "SECRET" not in log.read_text()


@pytest.mark.parametrize("kind", ["prestart", "createRuntime", "poststart", "poststop"])
def test_hooks_of_the_runtime_run_in_its_namespaces(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """config.md#posix-platform-hooks: in the runtime namespace, where their paths resolve, too."""
    made, log = shared(bundle, "sleep", "1000")
    script = f"cd /proc/self/ns; readlink mnt uts ipc net pid >{log}; ls {made.path} >>{log}"
    container = runtime.start(made.edit(hooks={kind: [hook(script)]}).write())
    container.delete("--force")
    lines = log.read_text().split()
    names = ("mnt", "uts", "ipc", "net", "pid")
    assert lines[:5] == [os.readlink(f"/proc/self/ns/{name}") for name in names]
    assert "config.json" in lines[5:]


def test_create_container_hooks_run_in_the_containers_namespaces(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """config.md#posix-platform-hooks: createContainer: container namespaces, before pivot_root."""
    made, log = shared(bundle, "true")
    script = (
        f"readlink /proc/self/ns/uts >{log}; test -e {made.path}/config.json && echo old >>{log}"
    )
    runtime.output(made.edit(hooks={"createContainer": [hook(script)]}).write())
    namespace, root = log.read_text().split()
    assert namespace != os.readlink("/proc/self/ns/uts")
    assert root == "old"


def test_the_mounts_are_there_for_create_hooks(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 1: createContainer sees the container's mounts below its root."""
    made, log = shared(bundle, "true")
    script = f"ls {made.rootfs}/proc/1 >/dev/null && stat -c %F {made.rootfs}/dev/null >{log}"
    runtime.output(made.edit(hooks={"createContainer": [hook(script)]}).write())
    assert log.read_text() == "character special file\n"


def test_start_container_hooks_run_inside(runtime: Runtime, bundle: MakeBundle) -> None:
    """config.md#posix-platform-hooks: startContainer: a path of the container."""
    made, log = shared(bundle, "sleep", "1000")
    (made.rootfs / "hook.sh").write_text(f"#!/bin/sh\nhostname >{log}\n")
    (made.rootfs / "hook.sh").chmod(0o755)
    container = runtime.create(made.edit(hooks={"startContainer": [{"path": "/hook.sh"}]}).write())
    assert log.read_text() == ""
    container.start()
    until(lambda: log.read_text() == "box\n", "the hook has run")


@pytest.mark.root("the hook enters a namespace of the container")
def test_the_network_namespace_can_be_reached_by_a_hook(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """spec.md 1: CNI needs /proc/<pid>/ns/net in createRuntime."""
    made, log = shared(bundle, "true")
    script = f"pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); readlink /proc/$pid/ns/net >{log}"
    runtime.output(made.edit(hooks={"createRuntime": [hook(script)]}).write())
    assert log.read_text().startswith("net:[")
    assert log.read_text().strip() != os.readlink("/proc/self/ns/net")


@pytest.mark.parametrize("kind", BEFORE)
def test_a_failing_hook_fails_create(runtime: Runtime, bundle: MakeBundle, kind: str) -> None:
    """cli.md 5: `error running createRuntime hook #1: exit status 1, stdout: , stderr: `."""
    failing = hook("echo one; echo two >&2; exit 3")
    message = runtime.refuses(bundle("true", hooks={kind: [hook("true"), failing]}))
    # runc gives the two apart and keeps their newlines; a hook that init runs has one pipe for both.
    words = re.search(r"exit status 3, (?:stdout|output): one(.*)two", message, re.DOTALL)
    assert words is not None
    assert words[1] in {"\n, stderr: ", ", stderr: ", "\n"}
    assert "error running" in message
    assert "hook #1: " in message
    if runtime.name != "runc":  # 1.1 names the kind not yet
        assert f"error running {kind} hook #1: exit status 3, " in message


@pytest.mark.parametrize("kind", BEFORE)
def test_a_hook_that_cannot_be_run_fails_create(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """Case 109: missing."""
    message = runtime.refuses(bundle("true", hooks={kind: [{"path": "/no/such/hook"}]}))
    assert "no such file or directory" in message


@pytest.mark.parametrize("kind", ["startContainer", pytest.param("poststart", marks=EARLY)])
def test_a_failing_hook_fails_start(runtime: Runtime, bundle: MakeBundle, kind: str) -> None:
    """runtime.md#lifecycle: the container is stopped, the error reported."""
    failing = hook("exit 3")
    container = runtime.create(bundle("sleep", "1000", hooks={kind: [failing]}))
    pid = container.pid
    ran = container.try_start()
    if runtime.name != "runc":  # 1.1 says it on the container's stderr only
        assert ran.code == 1
        assert f"error running {kind} hook #0: exit status 3" in ran.message
    until(lambda: not is_alive(pid), "the container is stopped")


@pytest.mark.expect_fail_on("runc", "runc stops at the first one that fails")
def test_a_failing_poststop_hook_is_a_warning(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#lifecycle: log a warning, run the remaining hooks."""
    made, log = shared(bundle, "true")
    made.edit(hooks={"poststop": [hook("exit 3"), hook(f"echo ran >{log}")]})
    container = runtime.start(made.write())
    container.wait()
    ran = runtime("delete", container.id)
    assert ran.code == 0
    assert "hook" in ran.stderr
    assert log.read_text() == "ran\n"


def test_poststop_hooks_run_after_a_failed_create(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#lifecycle: a failing create hook continues with destroy and poststop."""
    made, log = shared(bundle, "true")
    made.edit(hooks={"createRuntime": [hook("exit 1")], "poststop": [hook(f"echo ran >{log}")]})
    runtime.refuses(made.write())
    assert log.read_text() == "ran\n"


def running(*args: str) -> bool:
    """Look for a process by its command line: its pid is that of another pid namespace."""
    wanted = "".join(arg + "\0" for arg in args)
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if Path(path).read_text() == wanted:
                return True
    return False


def is_read(fifo: Path) -> bool:
    """Open a fifo for writing and close it, if somebody reads it: fifo(7)."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError as error:
        assert error.errno == errno.ENXIO, error
        return False
    return True


@pytest.mark.expect_fail_on("runc", "runc waits for the children of the hook that it killed")
@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_hook_that_takes_too_long_is_killed(
    runtime: Runtime, bundle: MakeBundle, kind: str
) -> None:
    """Case 107: with what it started."""
    made, log = shared(bundle, "true")
    script = f"sleep 1717 & ls -l /proc/$!/exe >{log}; wait"
    for seconds in (1, 10, 100):  # until it is enough for a shell and ls, on a slow machine too
        made.edit(hooks={kind: [hook(script, timeout=seconds)]})
        message = runtime.refuses(made.write(), seconds=seconds + 3)
        assert f"hook ran past specified timeout of {seconds}.0s" in message
        if log.read_text():
            break
    assert log.read_text()
    until(lambda: not running("sleep", "1717"), "its child is dead")


@pytest.mark.expect_fail_on("runc", "runc 1.1 waits for the pipe")
@pytest.mark.parametrize("kind", ["createRuntime", "createContainer"])
def test_a_hook_may_leave_a_daemon_behind(runtime: Runtime, bundle: MakeBundle, kind: str) -> None:
    """Case 106: it holds the hook's output open."""
    made, log = shared(bundle, "sleep", "1000")
    gate = log.with_name("gate")
    os.mkfifo(gate)
    # once init has pivoted nothing of the host can be executed any more, so the hook waits for its daemon
    daemon = f"setsid sh -c 'echo ready >{log}; read line <{gate}' &"
    made.edit(hooks={kind: [hook(f"{daemon} until [ -s {log} ]; do sleep 0.01; done")]})
    with within(2):
        runtime.create(made.write())
    until(lambda: is_read(gate), "the daemon is there")  # and ends: what it reads is at its end


@pytest.mark.parametrize("kind", ["createRuntime", "createContainer", "poststart"])
def test_a_hook_need_not_read(runtime: Runtime, bundle: MakeBundle, kind: str) -> None:
    """Case 108: 200 KB of state that nobody reads."""
    big = {f"key{n}": "x" * 1000 for n in range(200)}
    hooks = {kind: [hook("true", timeout=int(patience(5)))]}
    made = bundle("sleep", "1000", annotations=big, hooks=hooks)
    container = runtime.start(made)
    assert container.status == "running"


def test_a_hook_may_write_a_lot(runtime: Runtime, bundle: MakeBundle) -> None:
    """security.md 2, hooks: outputs capped, and never blocking."""
    lines = hook("yes | head -c 1000000; exit 0", timeout=int(patience(9)))
    made = bundle("true", hooks={"createRuntime": [lines]})
    assert runtime.run(made).code == 0


@pytest.mark.expect_fail_on("runc", "runc 1.1 leaks a pipe into startContainer hooks")
def test_hooks_inherit_no_files(runtime: Runtime, bundle: MakeBundle) -> None:
    """spec.md 1: hooks in the container's namespaces must not get any of the runtime's files."""
    made, log = shared(bundle, "sleep", "1000")
    script = f"/bin/busybox ls -l /proc/self/fd >>{log}"
    hooks = {kind: [hook(script)] for kind in ("createContainer", "startContainer")}
    container = runtime.start(made.edit(hooks=hooks).write())
    until(lambda: len(log.read_text().splitlines()) >= 8, "both have run")
    for line in log.read_text().splitlines():
        if " -> " in line:
            number = int(line.split(" -> ")[0].split()[-1])
            assert number <= 3, line
    container.delete("--force")


@EARLY
def test_a_hook_may_ask_for_the_state(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 85: no deadlock with the lock that create and start hold."""
    made, log = shared(bundle, "sleep", "1000")
    command = f"{runtime.program} --root {runtime.root} state"
    script = (
        'id=$(sed \'s/.*"id":"\\([^"]*\\)".*/\\1/\'); '
        f"{command} $id >>{log} 2>&1; echo >>{log}; exit 0"
    )
    made.edit(hooks={"createRuntime": [hook(script)], "poststart": [hook(script)]})
    container = runtime.start(made.write())
    assert container.status == "running"
    assert '"running"' in log.read_text()


@pytest.mark.expect_fail_on(
    "runc", "runc has no lock; delete wins against its own start", strict=False
)
def test_a_hook_that_deletes_its_own_container_does_not_hang(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """Case 85: delete ends by its deadline."""
    made, log = shared(bundle, "sleep", "1000")
    command = f"{runtime.program} --root {runtime.root} delete --force"
    script = (
        'id=$(sed \'s/.*"id":"\\([^"]*\\)".*/\\1/\'); '
        f"timeout {patience(15)} {command} $id >>{log} 2>&1; echo rc=$? >>{log}; exit 0"
    )
    made.edit(hooks={"poststart": [hook(script)]})
    container = runtime.create(made.write())
    container.try_start()
    until(lambda: "rc=" in log.read_text(), "delete ends")
    assert "rc=124" not in log.read_text()


@pytest.mark.parametrize("entry", [{"path": "relative"}, {"path": ""}, {"args": ["x"]}])
def test_a_hook_needs_an_absolute_path(
    runtime: Runtime, bundle: MakeBundle, entry: dict[str, Any]
) -> None:
    """config.md#posix-platform-hooks: path REQUIRED, absolute."""
    assert runtime.refuses(bundle("true", hooks={"createRuntime": [entry]}))


@EARLY
def test_poststart_runs_after_the_process(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#lifecycle: after the user-specified process is executed."""
    made, log = shared(bundle, "sleep", "1000")
    script = (
        "pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); "
        f"cat /proc/$pid/cmdline | tr '\\0' ' ' >{log}"
    )
    runtime.start(made.edit(hooks={"poststart": [hook(script)]}).write())
    assert log.read_text() == "sleep 1000 "
