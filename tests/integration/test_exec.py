# SPDX-License-Identifier: Apache-2.0
"""exec: flags, process.json, identity, limits, exit status."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from blackbox.bundle import MakeBundle, bind
from blackbox.processes import is_alive, rounds, status_of, text, until
from blackbox.runtime import Container, Runtime

SLEEP = ("sleep", "1000")
PROCESS: dict[str, Any] = {
    "terminal": False,
    "user": {"uid": 0, "gid": 0},
    "args": ["true"],
    "env": ["PATH=/bin"],
    "cwd": "/",
}


@pytest.fixture
def container(runtime: Runtime, bundle: MakeBundle) -> Container:
    """A running container."""
    return runtime.start(bundle(*SLEEP, env=["FROM=config"]))


def test_exec_runs_a_command(container: Container) -> None:
    """cli.md 2, exec: three streams and an exit status."""
    ran = container.exec("sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "out\n", "err\n")


def test_exec_forwards_stdin(container: Container) -> None:
    """cli.md 2, exec."""
    given = container.runtime.scratch / "given"
    given.write_text("hello\n")
    assert container.exec("cat", stdin=given).stdout == "hello\n"


def test_options_end_at_the_id(container: Container) -> None:
    """cli.md 1: `exec ID ls -la`."""
    assert container.exec("echo", "-n", "--user", "5").stdout == "--user 5"


def test_exec_exits_with_128_and_the_signal(container: Container) -> None:
    """cli.md 1.3."""
    assert container.exec("sh", "-c", "kill -KILL $$").code == 137


@pytest.mark.parametrize("name", ["TERM", "USR1", "INT"])
def test_exec_forwards_signals(container: Container, name: str) -> None:
    """cli.md 4, buildkit: signals to the runtime are the process's."""
    script = f"trap 'echo got; exit 3' {name}; echo ready; while :; do sleep 0.05; done"
    running = container.runtime.spawn("exec", container.id, "sh", "-c", script)
    until(lambda: text(running.out) == "ready\n", "it runs")
    running.signal(signal.Signals[f"SIG{name}"])
    ran = running.wait()
    assert (ran.code, ran.stdout) == (3, "ready\ngot\n")


def test_exec_into_a_created_container(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, exec: allowed; but init is not dumpable until execve, and an ordinary user has to wait."""
    created = runtime.create(bundle(*SLEEP))
    ran = created.exec("echo", "ran")
    if os.geteuid() != 0 and runtime.name == "pyoci":
        assert ran.code == 255
        assert "closed to an ordinary user until its program runs" in ran.message
        created.start()
        ran = created.exec("echo", "ran")
    else:
        assert created.status == "created"
    assert (ran.code, ran.stdout) == (0, "ran\n"), ran


def test_exec_into_a_stopped_container_is_refused(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, exec: runc's words and 255."""
    stopped = runtime.start(bundle("true"))
    stopped.wait()
    ran = stopped.exec("true")
    assert ran.code == 255
    assert "cannot exec in a stopped container" in ran.message


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("/no/such", 'exec: "/no/such": stat /no/such: no such file or directory'),
        ("nosuch", 'exec: "nosuch": executable file not found in $PATH'),
        ("/etc/passwd", "permission denied"),
    ],
)
def test_a_program_that_cannot_run_is_255(container: Container, command: str, words: str) -> None:
    """cli.md 1.3 and 5: engines turn these words into 126 and 127."""
    ran = container.exec(command)
    assert ran.code == 255
    assert words in ran.message
    assert "exec failed: " in ran.message


@pytest.mark.expect_fail_on("runc", "runc 1.1 exits with 1")
def test_exec_without_a_command_is_refused(container: Container) -> None:
    """cli.md 2, exec: `exec args cannot be empty`."""
    ran = container.runtime("exec", container.id)
    assert ran.code == 255
    assert "exec args cannot be empty" in ran.message


def test_the_environment_is_the_configured_one_and_the_flags(container: Container) -> None:
    """cli.md 2, exec --env: appended."""
    out = container.exec("--env", "A=1", "--env", "B=2,3", "--env=C=4", "--", "env").stdout
    names = dict(line.split("=", 1) for line in out.splitlines())
    assert names["FROM"] == "config"
    assert (names["A"], names["B"], names["C"]) == ("1", "2,3", "4")
    assert names["HOME"] == "/root"


def test_the_callers_environment_is_not_passed(container: Container) -> None:
    """cli.md 3.4."""
    out = container.exec("env", env={"PATH": os.environ["PATH"], "SECRET": "1"}).stdout
    assert "SECRET" not in out


def test_the_working_directory_can_be_chosen(container: Container) -> None:
    """cli.md 2, exec --cwd."""
    assert container.exec("--cwd", "/etc", "--", "pwd").stdout == "/etc\n"


def test_a_missing_working_directory_is_an_error_or_made(container: Container) -> None:
    """cli.md 2, exec --cwd: never another directory."""
    ran = container.exec("--cwd", "/not/there", "--", "pwd")
    assert ran.code == 255 or ran.stdout == "/not/there\n"


@pytest.mark.parametrize(
    ("user", "uid", "gid"),
    [("0", "0", "0"), ("1", "1", "0"), ("1:2", "1", "2"), ("1000:1000", "1000", "1000")],
)
def test_the_user_can_be_chosen(container: Container, user: str, uid: str, gid: str) -> None:
    """cli.md 2, exec --user: numbers."""
    out = container.exec("--user", user, "--", "sh", "-c", "id -u; id -g").stdout
    assert out.split() == [uid, gid]


def test_additional_groups_can_be_given(container: Container) -> None:
    """cli.md 2, exec --additional-gids."""
    command = ["--", "grep", "Groups", "/proc/self/status"]
    out = container.exec("--user", "1:2", "-g", "5", "-g", "29", *command).stdout
    assert out.split() == ["Groups:", "5", "29"]


def test_home_follows_the_user(container: Container) -> None:
    """cli.md 2, exec: HOME from the container's passwd."""
    out = container.exec("--user", "1000", "--", "sh", "-c", "echo $HOME").stdout
    assert out == "/home/alice\n"


def test_a_capability_can_be_added(container: Container) -> None:
    """cli.md 2, exec --cap: bounding, effective, permitted."""
    out = container.exec("--cap", "CAP_CHOWN", "--", "cat", "/proc/self/status").stdout
    masks = dict(line.split(":\t") for line in out.splitlines() if line.startswith("Cap"))
    for name in ("CapBnd", "CapEff", "CapPrm"):
        assert int(masks[name], 16) & 1
    assert int(masks["CapInh"], 16) == 0


def test_capabilities_are_the_configured_ones(container: Container) -> None:
    """cli.md 2, exec: config.json's process."""
    ours = container.exec("grep", "Cap", "/proc/self/status").stdout
    assert ours == container.exec("grep", "Cap", "/proc/1/status").stdout


def test_no_new_privileges_can_be_asked_for(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, exec --no-new-privs."""
    container = runtime.start(bundle(*SLEEP, noNewPrivileges=False))
    command = ["--", "grep", "NoNewPrivs", "/proc/self/status"]
    assert container.exec(*command).stdout.split()[1] == "0"
    assert container.exec("--no-new-privs", *command).stdout.split()[1] == "1"


def test_exec_detached_returns_at_once(container: Container) -> None:
    """cli.md 2, exec --detach --pid-file: the host's pid, a child of the caller's subreaper."""
    path = container.runtime.scratch / "pid"
    ran = container.exec("--detach", "--pid-file", str(path), "--", *SLEEP)
    assert (ran.code, ran.stdout) == (0, "")
    pid = int(path.read_text())
    assert path.read_text() == str(pid)
    assert text(f"/proc/{pid}/cmdline") == "sleep\0" + "1000\0"
    assert status_of(pid)[1] == os.getpid()


def test_a_pid_file_appears_in_the_foreground_too(container: Container) -> None:
    """cli.md 4, buildkit: polled while the exec runs."""
    path = container.runtime.scratch / "pid"
    running = container.runtime.spawn("exec", "--pid-file", str(path), container.id, *SLEEP)
    until(path.exists, "the pid file is there")
    os.kill(int(path.read_text()), signal.SIGTERM)
    assert running.wait().code == 128 + signal.SIGTERM


def test_a_pid_file_in_a_missing_directory_is_255(container: Container) -> None:
    """cli.md 1.3."""
    path = container.runtime.scratch / "nothere/pid"
    assert container.exec("--pid-file", str(path), "--", "true").code == 255


def test_process_json_is_the_whole_process(container: Container) -> None:
    """cli.md 2, exec --process."""
    given = PROCESS | {
        "args": [
            "sh",
            "-c",
            "id -u; id -g; pwd; echo $X; ulimit -n; grep -E 'Cap|NoNew' /proc/self/status",
        ],
        "env": ["PATH=/bin", "X=y"],
        "cwd": "/tmp",
        "user": {"uid": 5, "gid": 6},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}],
        "noNewPrivileges": True,
        "capabilities": {"bounding": ["CAP_KILL"], "effective": [], "permitted": []},
    }
    lines = container.exec_process(given).stdout.splitlines()
    assert lines[:5] == ["5", "6", "/tmp", "y", "77"]
    assert lines[5:] == [
        "CapInh:\t0000000000000000", "CapPrm:\t0000000000000000", "CapEff:\t0000000000000000",
        "CapBnd:\t0000000000000020", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1",
    ]  # fmt: skip


def test_process_json_may_be_a_pipe(container: Container) -> None:
    """cli.md 2, exec --process: /dev/fd/63 or a fifo."""
    path = container.runtime.scratch / "p.json"
    path.write_text(
        '{"args":["echo","ran"],"cwd":"/","env":["PATH=/bin"],"user":{"uid":0,"gid":0}}'
    )
    wrap = ["bash", "-c", f'"$@" --process <(cat {path}) {container.id}', "bash"]
    assert container.runtime("exec", wrap=wrap).stdout == "ran\n"


def test_a_process_json_that_is_none_is_255(container: Container) -> None:
    """cli.md 1.3."""
    path = container.runtime.scratch / "bad.json"
    path.write_text("{")
    assert container.runtime("exec", "--process", str(path), container.id).code == 255
    missing = container.runtime.scratch / "nothere.json"
    assert container.runtime("exec", "--process", str(missing), container.id).code == 255


@pytest.mark.expect_fail_on("runc", "runc 1.1 takes the caller's")
def test_the_umask_is_the_containers(runtime: Runtime, bundle: MakeBundle, probe: Path) -> None:
    """cli.md 2, exec: umask: the container's configured one."""
    user = {"uid": 0, "gid": 0, "umask": 0o077}
    mounts = [bind(probe, "/probe", "bind", "ro")]
    container = runtime.start(bundle(*SLEEP, user=user, mounts=mounts))
    assert container.exec("/probe", "umask").stdout == "77\n"


def test_exec_is_in_the_containers_cgroup(container: Container) -> None:
    """cli.md 2, exec: every hierarchy."""
    path = container.runtime.scratch / "pid"
    container.exec("--detach", "--pid-file", str(path), "--", *SLEEP)
    pid = int(path.read_text())
    assert text(f"/proc/{pid}/cgroup") == text(f"/proc/{container.pid}/cgroup")


def test_exec_has_only_three_files(container: Container) -> None:
    """Case 30."""
    assert container.exec("ls", "/proc/self/fd").stdout.split() == ["0", "1", "2", "3"]


def test_exec_ends_with_the_container(container: Container) -> None:
    """Case 76: an exec'd process never survives."""
    path = container.runtime.scratch / "pid"
    container.exec("--detach", "--pid-file", str(path), "--", *SLEEP)
    container.delete("--force")
    until(lambda: not is_alive(int(path.read_text())), "the process is dead")


@pytest.mark.root("gives files to the ids of the container")
def test_exec_in_a_user_namespace(runtime: Runtime, bundle: MakeBundle) -> None:
    """cli.md 2, exec: joins the user namespace."""
    made = bundle(*SLEEP)
    made.map_users()
    container = runtime.start(made.write())
    out = container.exec(
        "--user", "5:6", "--", "sh", "-c", "id -u; id -g; cat /proc/self/uid_map"
    ).stdout
    assert out.split() == ["5", "6", "0", "100000", "65536"]


@pytest.mark.expect_fail_on("runc", "runc 1.1 does not set it in exec")
def test_exec_keeps_oom_score_adj_of_process_json(container: Container) -> None:
    """spec.md 0.2: oom_score_adj of process.json is applied."""
    given = PROCESS | {"args": ["cat", "/proc/self/oom_score_adj"], "oomScoreAdj": 321}
    assert container.exec_process(given).stdout == "321\n"


def test_many_execs_leave_nothing(container: Container) -> None:
    """Case 111, small: only init is left in the container."""
    for _ in rounds(20):
        assert container.exec("true").code == 0
    ran = container.runtime("ps", "--format", "json", container.id)
    assert ran.stdout in (f"[{container.pid}]\n", f"[{container.pid}]")


def test_exec_into_a_frozen_container_is_refused(container: Container) -> None:
    """Case 79: runc's words, and never a hang."""
    freezer = Path("/sys/fs/cgroup/freezer")
    if not freezer.is_dir():
        pytest.skip("no v1 freezer here")
    path = next(
        line.split(":", 2)[2]
        for line in text(f"/proc/{container.pid}/cgroup").splitlines()
        if ":freezer:" in line
    )
    control = Path(f"{freezer}{path}/freezer.state")
    control.write_text("FROZEN")
    until(lambda: control.read_text() == "FROZEN\n", "it is frozen")
    assert container.status == "paused"
    ran = container.exec("true", seconds=5)
    assert ran.code == 255
    assert "cannot exec in a paused container" in ran.message
    assert container.runtime("delete", container.id, seconds=5).code == 1
    container.delete("--force")
