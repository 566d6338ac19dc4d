# SPDX-License-Identifier: Apache-2.0
"""The life cycle: create, start, state, kill, delete, run."""

import json
import os
import re
import signal

import pytest
from blackbox import host
from blackbox.bundle import MakeBundle
from blackbox.processes import is_alive, status_of, text, until
from blackbox.runtime import Container, Runtime

SLEEP = ("sleep", "1000")


def test_create_stops_before_the_process(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#create: the user-specified program MUST NOT be run at this time."""
    container = runtime.create(bundle(sh="echo ran; sleep 1000"))
    assert container.status == "created"
    assert container.stdout == ""


def test_start_runs_the_process(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#start: this operation MUST run the user-specified program."""
    container = runtime.create(bundle(sh="echo ran; sleep 1000"))
    container.start()
    container.written("ran\n")
    assert container.status == "running"


def test_init_keeps_its_pid_through_start(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.3: engines know the container by the pid of `create`."""
    container = runtime.create(bundle(*SLEEP))
    before = container.pid
    container.start()
    assert container.pid == before
    assert text(f"/proc/{before}/cmdline") == "sleep\0" + "1000\0"


def test_a_container_that_ended_is_stopped(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#state: stopped: the container process has exited."""
    container = runtime.start(bundle("true"))
    container.wait("stopped")
    assert container.state()["pid"] == 0


def test_a_zombie_init_is_stopped(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 83: init's parent (this test) does not reap it."""
    runtime.reaping = False
    container = runtime.create(bundle(*SLEEP))
    pid = container.pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: status_of(pid)[0] == "Z", "init is a zombie")
    assert container.status == "stopped"
    assert runtime("kill", container.id).code == 1
    container.delete()


def test_state_has_runcs_keys_in_runcs_order(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, state."""
    container = runtime.create(bundle(*SLEEP, annotations={"k": "v"}))
    state = container.state()
    expected = "ociVersion id pid status bundle rootfs created annotations owner".split()
    assert list(state) == expected
    assert state["id"] == container.id
    assert state["bundle"] == str(container.bundle.path)
    assert state["rootfs"] == str(container.bundle.rootfs)
    assert state["annotations"] == {"k": "v"}
    assert state["owner"] == ""


@pytest.mark.expect_fail_on("runc", "runc 1.1 prints the version that it implements")
def test_state_has_the_version_of_the_bundle(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, state: config.json's ociVersion, not the runtime's."""
    assert runtime.create(bundle(*SLEEP)).state()["ociVersion"] == "1.0.2"


def test_state_is_printed_byte_for_byte_like_runcs(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, state: two spaces of indentation, no newline at the end."""
    container = runtime.create(bundle(*SLEEP))
    ran = runtime("state", container.id)
    assert ran.stdout == json.dumps(json.loads(ran.stdout), indent=2, ensure_ascii=False)
    assert "annotations" not in ran.stdout


def test_created_is_a_time_in_utc(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, state: RFC 3339 with up to nine digits of a fraction."""
    created = runtime.create(bundle(*SLEEP)).state()["created"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z", created)


def test_state_of_a_missing_container_fails(runtime: Runtime) -> None:
    """cli.md 5: `container does not exist`, which engines look for."""
    ran = runtime("state", runtime.new_id())
    assert ran.code == 1
    assert "container does not exist" in ran.message


@pytest.mark.parametrize("verb", ["start", "kill", "delete", "exec", "ps"])
def test_verbs_refuse_a_missing_container(runtime: Runtime, verb: str) -> None:
    """cli.md 5: `container does not exist`, which engines look for."""
    extra = ["true"] if verb == "exec" else []
    ran = runtime(verb, runtime.new_id(), *extra)
    assert ran.code == (255 if verb == "exec" else 1)
    assert "container does not exist" in ran.message


def test_create_refuses_an_id_already_taken(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#create: the ID must be unique; that its cgroup is in use, too, is no news."""
    container = runtime.create(bundle(*SLEEP))
    again = bundle("true")
    again.place(runtime.cgroups_path(container.id))
    ran = runtime("create", "--bundle", str(again.path), container.id)
    assert ran.code == 1
    assert "container with given ID already exists" in ran.message
    assert container.status == "created"


def test_create_does_not_start_twice(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, start: `cannot start an already running container`."""
    container = runtime.start(bundle(*SLEEP))
    ran = container.try_start()
    assert ran.code == 1
    assert "cannot start an already running container" in ran.message
    assert container.status == "running"


def test_start_refuses_a_stopped_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, start: `cannot start a container that has stopped`."""
    container = runtime.start(bundle("true"))
    container.wait()
    ran = container.try_start()
    assert ran.code == 1
    assert "cannot start a container that has stopped" in ran.message


def test_start_after_init_was_killed_fails_at_once(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 71."""
    container = runtime.create(bundle(*SLEEP))
    container.stop()
    ran = container.runtime("start", container.id, seconds=2)
    assert ran.code == 1
    assert "cannot start a container that has stopped" in ran.message
    assert container.status == "stopped"
    container.delete()


def test_delete_refuses_a_running_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#delete: an error unless stopped; cli.md 2, delete, for the words."""
    container = runtime.start(bundle(*SLEEP))
    ran = runtime("delete", container.id)
    assert ran.code == 1
    wanted = f"cannot delete container {container.id} that is not stopped: running"
    assert wanted in ran.message
    assert container.status == "running"


def test_delete_of_a_created_container_kills_it(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, delete."""
    container = runtime.create(bundle(*SLEEP))
    pid = container.pid
    container.delete()
    until(lambda: not is_alive(pid), "init is dead")
    assert not (runtime.root / container.id).exists()


def test_delete_force_ends_a_running_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, delete --force."""
    container = runtime.start(bundle(*SLEEP))
    pid = container.pid
    container.delete("--force")
    assert not is_alive(pid)
    assert not (runtime.root / container.id).exists()


def test_delete_twice_fails_the_second_time(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 81; cli.md 4: containerd looks for `does not exist`."""
    container = runtime.start(bundle("true"))
    container.wait()
    container.delete()
    ran = runtime("delete", container.id)
    assert ran.code == 1
    assert "container does not exist" in ran.message


def test_delete_force_of_a_missing_container_is_silent(runtime: Runtime) -> None:
    """cli.md 2, delete --force: rc 0, silent."""
    ran = runtime("delete", "--force", runtime.new_id())
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def test_an_id_can_be_used_again(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#delete: once deleted, the ID MAY be used by subsequent containers."""
    container = runtime.create(bundle(*SLEEP))
    container.delete()
    again = runtime("create", "--bundle", str(container.bundle.path), container.id)
    assert again.code == 0, again
    assert container.status == "created"


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "term", "sigterm", "15"])
def test_kill_takes_names_and_numbers(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """cli.md 2, kill: number, or name with or without SIG, any case."""
    script = "trap 'echo got; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    container = runtime.start(bundle(sh=script))
    container.written("ready\n")
    container.kill(name)
    container.written("got\n")


def test_kill_sends_term_by_default(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, kill: default SIGTERM."""
    script = "trap 'echo got; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    container = runtime.start(bundle(sh=script))
    container.written("ready\n")
    assert runtime("kill", container.id).code == 0
    container.written("got\n")


def test_kill_refuses_an_unknown_signal(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, kill: `unknown signal "X"`."""
    container = runtime.start(bundle(*SLEEP))
    ran = runtime("kill", container.id, "NOSUCH")
    assert ran.code == 1
    assert 'unknown signal "NOSUCH"' in ran.message
    assert container.status == "running"


@pytest.mark.parametrize("number", ["65", "-1", "1000"])
def test_kill_refuses_numbers_that_are_no_signals(
    runtime: Runtime, bundle: MakeBundle, number: str
) -> None:
    """Case 82: never the wrong target."""
    container = runtime.start(bundle(*SLEEP))
    assert runtime("kill", container.id, number).code == 1
    assert container.status == "running"


def test_kill_with_signal_zero_only_asks(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 82: 0 is delivered as kill(2) does."""
    container = runtime.start(bundle(*SLEEP))
    container.kill("0")
    assert container.status == "running"


def test_kill_of_a_stopped_container_fails(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#kill; cli.md 5: `container not running`."""
    container = runtime.start(bundle("true"))
    container.wait()
    ran = runtime("kill", container.id, "KILL")
    assert ran.code == 1
    assert "container not running" in ran.message


def test_kill_all_of_a_stopped_container_succeeds(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, kill --all: turns "not running" into success."""
    container = runtime.start(bundle("true"))
    container.wait()
    assert runtime("kill", "--all", container.id, "KILL").code == 0


def test_kill_of_a_created_container_works(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#kill: created or running."""
    container = runtime.create(bundle(*SLEEP))
    container.kill()
    container.wait()


def test_kill_all_reaches_every_process(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, kill --all: every process in the cgroup."""
    made = bundle(sh="sleep 1000 & sleep 1001 & echo ready; wait")
    made.set_namespace(pid=None)
    made.write()
    container = runtime.start(made)
    container.written("ready\n")
    pids = json.loads(runtime("ps", "--format", "json", container.id).stdout)
    assert len(pids) == 3
    assert runtime("kill", "--all", container.id, "KILL").code == 0
    until(lambda: not any(is_alive(pid) for pid in pids), "all are dead")


@pytest.mark.expect_fail_on("runc", "runc 1.1 signals init only")
def test_kill_kill_reaches_all_without_a_pid_namespace(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """cli.md 2, kill: SIGKILL with the host's pid namespace kills the whole cgroup."""
    made = bundle(sh="sleep 1000 & sleep 1001 & echo ready; wait")
    made.set_namespace(pid=None)
    made.write()
    container = runtime.start(made)
    container.written("ready\n")
    pids = json.loads(runtime("ps", "--format", "json", container.id).stdout)
    container.kill()
    until(lambda: not any(is_alive(pid) for pid in pids), "all are dead")


def test_delete_kills_what_outlived_init(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 84: a shared pid namespace, init gone, others left."""
    made = bundle(sh="for i in 1 2 3 4 5; do sleep 1000 & done; echo ready; exit 0")
    made.set_namespace(pid=None)
    made.write()
    container = runtime.start(made)
    container.written("ready\n")
    container.wait()
    pids = json.loads(runtime("ps", "--format", "json", container.id).stdout)
    assert len(pids) == 5
    container.delete()
    until(lambda: not any(is_alive(pid) for pid in pids), "all are dead")


def test_delete_removes_sub_cgroups(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 86: nested sub-cgroups."""
    container = runtime.start(bundle(*SLEEP))
    for line in text(f"/proc/{container.pid}/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        name = names.removeprefix("name=") or "unified"
        if path.endswith(container.id) and os.path.isdir(f"/sys/fs/cgroup/{name}{path}"):
            os.makedirs(f"/sys/fs/cgroup/{name}{path}/a/b")
    container.delete("--force")


@pytest.mark.parametrize("code", [0, 1, 7, 125, 126, 127, 255])
def test_run_exits_with_the_processs_status(
    runtime: Runtime, bundle: MakeBundle, code: int
) -> None:
    """cli.md 1.3: foreground run."""
    assert runtime.run(bundle(sh=f"exit {code}")).code == code


@pytest.mark.parametrize("name", ["KILL", "TERM", "SEGV"])
def test_run_exits_with_128_and_the_signal(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """cli.md 1.3: 128 + signal."""
    made = bundle(sh=f"sh -c 'kill -{name} $$'; exit $?")
    assert runtime.run(made).code == 128 + signal.Signals[f"SIG{name}"]


def test_run_ended_by_a_signal_to_init(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 1.3: 128 + signal, from the outside."""
    running = runtime.spawn(*runtime.making("run", bundle(sh="echo ready; sleep 1000")))
    until(lambda: text(running.out) == "ready\n", "it runs")
    assert runtime("kill", running.argv[-1], "KILL").code == 0
    assert running.wait().code == 137


def test_run_forwards_stdin_stdout_and_stderr(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, run: the three streams are the caller's."""
    given = runtime.scratch / "given"
    given.write_text("one two\n")
    ran = runtime.run(bundle(sh="cat; echo bad >&2"), stdin=given)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "one two\n", "bad\n")


def test_run_deletes_the_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, run: destroyed unless --keep."""
    assert runtime.run(bundle("true")).code == 0
    assert {path.name for path in runtime.root.iterdir()} <= {".plans"}


def test_run_keep_leaves_a_stopped_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, run --keep: buildkit deletes it later."""
    command = runtime.making("run", bundle("true"), "--keep")
    assert runtime(*command).code == 0
    container = Container(runtime, command[-1], bundle())
    assert container.status == "stopped"
    container.delete()


def test_run_detached_returns_at_once(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, run --detach."""
    command = runtime.making("run", bundle("sleep", "1000"), "--detach")
    assert runtime(*command).code == 0
    assert Container(runtime, command[-1], bundle()).status == "running"


@pytest.mark.parametrize("name", ["TERM", "HUP", "USR1", "INT"])
def test_run_forwards_signals(runtime: Runtime, bundle: MakeBundle, name: str) -> None:
    """cli.md 2, run: all signals except SIGCHLD, SIGWINCH and SIGURG are forwarded."""
    script = f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done"
    running = runtime.spawn(*runtime.making("run", bundle(sh=script)))
    until(lambda: text(running.out) == "ready\n", "it runs")
    running.signal(signal.Signals[f"SIG{name}"])
    ran = running.wait()
    assert (ran.code, ran.stdout) == (3, "ready\ngot\n")


def test_run_of_a_failing_create_leaves_nothing(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md#create: an error leaves the environment as it was."""
    ran = runtime.run(bundle("/no/such/program"))
    assert ran.code == 1
    assert (
        'exec: "/no/such/program": stat /no/such/program: no such file or directory' in ran.message
    )
    assert not host.state_directories(runtime)


def test_a_missing_program_is_an_error_of_create(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 5: moby and podman turn these words into exit status 127."""
    message = runtime.refuses(bundle("nosuchprogram"))
    assert 'exec: "nosuchprogram": executable file not found in $PATH' in message
    assert re.search(r"\w+ create failed: ", message)


def test_a_search_passes_what_may_not_run(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 5: found nowhere in PATH is 127, also where a file of that name may not be executed."""
    made = bundle("data", env=["PATH=/"])
    (made.rootfs / "data").write_text("x")
    (made.rootfs / "data").chmod(0o644)
    message = runtime.refuses(made)
    assert 'exec: "data": executable file not found in $PATH' in message
    assert "permission denied" not in message


def test_a_program_that_may_not_run_is_an_error_of_create(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """cli.md 5: moby and podman turn `permission denied` into exit status 126."""
    made = bundle("/data")
    (made.rootfs / "data").write_text("x")
    (made.rootfs / "data").chmod(0o644)
    message = runtime.refuses(made)
    assert "permission denied" in message
    assert '"/data"' in message


def test_a_directory_is_no_program(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 4, moby: `is a directory` or `permission denied` give 126."""
    message = runtime.refuses(bundle("/tmp"))
    assert "is a directory" in message or "permission denied" in message


def test_a_bad_interpreter_is_one_line_of_the_container(
    runtime: Runtime, bundle: MakeBundle
) -> None:
    """cli.md 2: an error of execve itself comes on the container's stderr."""
    made = bundle("/run.sh")
    (made.rootfs / "run.sh").write_text("#!/no/such/interpreter\n")
    (made.rootfs / "run.sh").chmod(0o755)
    ran = runtime.run(made)
    assert ran.code != 0
    lines = ran.stderr.strip().splitlines()
    assert any("/run.sh: no such file or directory" in line for line in lines), ran


def test_create_writes_the_pid_file(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.3: decimal, no newline, the host's pid."""
    path = runtime.scratch / "pid"
    container = runtime.create(bundle(*SLEEP), "--pid-file", str(path))
    assert path.read_text() == str(container.pid)
    assert sorted(p.name for p in runtime.scratch.iterdir() if "pid" in p.name) == ["pid"]


def test_a_relative_pid_file_is_the_callers(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: made absolute before the runtime changes to the bundle."""
    container = runtime.create(bundle(*SLEEP), "--pid-file", "pid", cwd=runtime.scratch)
    assert (runtime.scratch / "pid").read_text() == str(container.pid)


def test_a_failed_create_writes_no_pid_file(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 3.3: it appears only after everything succeeded."""
    path = runtime.scratch / "pid"
    runtime.refuses(bundle("/no/such"), "--pid-file", str(path))
    assert not path.exists()


def test_create_defaults_to_the_current_directory(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2: --bundle's default."""
    made = bundle(*SLEEP)
    name = runtime.new_id()
    made.place(runtime.cgroups_path(name))
    assert runtime("create", name, cwd=made.path).code == 0
    assert Container(runtime, name, made).state()["bundle"] == str(made.path)


def test_start_needs_no_bundle(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md: changes to config.json after create MUST NOT matter."""
    container = runtime.create(bundle(sh="echo ran; sleep 1000"))
    (container.bundle.path / "config.json").unlink()
    container.start()
    container.written("ran\n")
    assert container.status == "running"


@pytest.mark.expect_fail_on("runc", "runc's exec reads config.json again")
def test_exec_needs_no_bundle(runtime: Runtime, bundle: MakeBundle) -> None:
    """runtime.md: changes to config.json after create MUST NOT matter."""
    container = runtime.start(bundle(*SLEEP))
    (container.bundle.path / "config.json").unlink()
    assert container.exec("echo", "ran").stdout == "ran\n"


def test_init_is_a_child_of_the_callers_subreaper(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, create: no helper of the runtime may remain as its parent."""
    container = runtime.create(bundle(*SLEEP))
    assert status_of(container.pid)[1] == os.getpid()


def test_a_created_container_uses_no_cpu(runtime: Runtime, bundle: MakeBundle) -> None:
    """Case 98: init waits idle."""
    container = runtime.create(bundle(*SLEEP))
    pid = container.pid
    before = text(f"/proc/{pid}/stat").split()[13:15]
    for _ in range(5):
        assert container.status == "created"
    assert text(f"/proc/{pid}/stat").split()[13:15] == before


def test_signals_have_their_defaults_in_the_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 6: an ignored SIGPIPE or a blocked mask must not be inherited."""
    out = runtime.output(bundle("grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"))
    # posix_spawn(3) leaves the C library's own signals ignored, which others hand on.
    own = 0 if runtime.name == "pyoci" else 1 << 31 | 1 << 32
    assert [int(line.split()[1], 16) & ~own for line in out.splitlines()] == [0, 0]


def test_one_process_may_be_all(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 6: pids.limit=1 must work: no helper lives in the container's cgroup."""
    limits = {"pids": {"limit": 1}, "devices": [{"allow": False, "access": "rwm"}]}
    assert runtime.output(bundle("echo", "one", resources=limits)) == "one\n"
