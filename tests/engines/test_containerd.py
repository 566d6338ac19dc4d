# SPDX-License-Identifier: Apache-2.0
"""`ctr run --runc-binary`: containerd's shim drives the runtime under test."""

import os
import re
from pathlib import Path

import pytest
from blackbox.console import Foreground, resize, resize_until
from blackbox.processes import Running, is_alive, text, until
from engines.containerd import Containerd
from engines.failures import EAT, FAILURES, GATE, same

SLEEP = ["--", "sleep", "1000"]
MEMORY = ("memory/memory.limit_in_bytes", "memory.max")


def test_output_and_exit_code_come_back(containerd: Containerd) -> None:
    """Design, Engines: standard output, standard error and the exit code are the process's own."""
    ran = containerd.run("--", "sh", "-c", "echo out; echo error >&2; exit 7")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "out\n", "error\n")


def test_a_long_output_is_complete(containerd: Containerd) -> None:
    """What was written before the end of the process arrives, however much it is."""
    assert containerd.says("--", "seq", "20000").split() == [str(n) for n in range(1, 20001)]


@pytest.mark.parametrize("name", [name for name in FAILURES if not FAILURES[name][0]])
def test_a_failure_reads_the_same(
    containerd: Containerd, runc: str, program: str, name: str
) -> None:
    """cli.md 4, containerd: exit code, and the words of the log's last line."""
    command = FAILURES[name][1]
    same(*(containerd.run("--", *command, program=one) for one in (runc, program)))


def test_options_of_the_process(containerd: Containerd) -> None:
    """ctr run --env --cwd."""
    script = "pwd; echo $FROM $OWN"
    assert containerd.shell(script, "--env", "OWN=value", "--cwd", "/tmp") == "/tmp\nimage value\n"


def test_a_user(containerd: Containerd) -> None:
    """config.md#posix-platform-user; ctr exec --user takes a name."""
    name = containerd.start_container(*SLEEP)
    assert containerd.exec(name, "id", "-u", options=("--user", "user")).stdout == "1000\n"
    assert containerd.exec(name, "id", "-u", options=("--user", "7:8")).stdout == "7\n"


def test_a_terminal(containerd: Containerd) -> None:
    """ctr run --tty: the size of the user's terminal, and its changes."""
    terminal = containerd.interactive("--", "sh")
    has_size(terminal, 33, 99)
    has_size(terminal, 21, 55)
    terminal.write("exit 9\n")
    assert terminal.wait() == 9


def has_size(terminal: Foreground, rows: int, columns: int) -> None:
    """Resize a terminal until the shell in it sees the size, and the client so is known to pass it on."""
    size = f"{rows} {columns}"
    wait = "until [ \"$(stty size)\" = '{}' ]; do usleep 10000; done; echo seen-$((6 * {}))\n"
    terminal.write(wait.format(size, rows))
    resize_until(terminal.master, rows, columns, f"seen-{6 * rows}")


def test_exec_in_a_terminal(containerd: Containerd) -> None:
    """ctr task exec --tty."""
    name = containerd.start_container(*SLEEP)
    fifos = ["--fifo-dir", str(containerd.directory / "fifos")]
    options = ["--exec-id", "second", "--tty", *fifos]
    terminal = containerd.terminal("task", "exec", *options, name, "sh")
    terminal.write("tty; exit 5\n")
    terminal.read_until("/dev/pts/0")
    assert terminal.wait() == 5


def ended_with(containerd: Containerd, name: str) -> int:
    """Remove a stopped task and return the exit code that containerd tells."""
    told = containerd("task", "rm", name).stderr
    found = re.search(r"non-zero exit code (\d+)", told)
    assert found is not None, told
    return int(found[1])


def test_a_task_s_life(containerd: Containerd) -> None:
    """ctr run -d, task ls, exec, kill, rm: created, running, stopped, gone."""
    name = containerd.start_container(*SLEEP)
    assert containerd.status(name) == "RUNNING"
    ran = containerd.exec(name, "sh", "-c", "cat /proc/1/comm; exit 4")
    assert (ran.code, ran.stdout) == (4, "sleep\n")
    containerd.output("task", "kill", "--signal", "KILL", name)
    containerd.wait(name, "STOPPED")
    assert ended_with(containerd, name) == 137
    assert containerd.status(name) == ""
    containerd.output("container", "rm", name)


def test_a_signal_is_handled(containerd: Containerd) -> None:
    """ctr task kill sends SIGTERM; the exit code is the handler's."""
    script = "trap 'exit 12' TERM; touch /tmp/ready; while :; do usleep 10000; done"
    name = containerd.start_container("--", "sh", "-c", script)
    until(lambda: containerd.exec(name, "test", "-e", "/tmp/ready").code == 0, "it is ready")
    containerd.output("task", "kill", name)
    containerd.wait(name, "STOPPED")
    assert ended_with(containerd, name) == 12


def test_a_process_of_exec_is_killed(containerd: Containerd) -> None:
    """cli.md 4: the shim kills it by the pid in the pid file."""
    name = containerd.start_container(*SLEEP)
    running = containerd.spawn(
        "task",
        "exec",
        "--exec-id",
        "victim",
        "--fifo-dir",
        f"{containerd.directory}/fifos",
        name,
        "sleep",
        "1001",
    )
    kill = ["task", "kill", "--exec-id", "victim", "--signal", "KILL", name]
    until(lambda: containerd(*kill).code == 0, "it is killed")
    assert running.wait().code == 137
    assert containerd.status(name) == "RUNNING"


def test_kill_of_a_stopped_task_says_so(containerd: Containerd) -> None:
    """cli.md 4: `container not running` or the like becomes containerd's own "not found"."""
    name = containerd.start_container("--", "true")
    containerd.wait(name, "STOPPED")
    ran = containerd("task", "kill", name)
    assert ran.code == 1
    assert "process already finished: not found" in ran.stderr


def test_removal_by_force(containerd: Containerd) -> None:
    """ctr task rm --force: `delete --force` of the runtime."""
    name = containerd.start_container("--", "sh", "-c", "sleep 1000 & sleep 1000")
    pid = int(task_pid(containerd, name))
    containerd("task", "rm", "--force", name)
    until(lambda: not is_alive(pid), "init is dead")
    assert containerd.status(name) == ""


def task_pid(containerd: Containerd, name: str) -> str:
    """Return the pid of a task's init."""
    lines = [line.split() for line in containerd.output("task", "ls").splitlines()]
    return next(line[1] for line in lines if line[0] == name)


def test_the_pid_file(containerd: Containerd, scratch: Path) -> None:
    """ctr run --pid-file: the pid that the runtime's pid file told the shim."""
    name = containerd.start_container("--pid-file", str(scratch / "pid"), *SLEEP)
    assert text(scratch / "pid") == task_pid(containerd, name)
    assert text(f"/proc/{text(scratch / 'pid')}/cmdline") == "sleep\x001000\x00"


def test_memory_limit(containerd: Containerd) -> None:
    """ctr run --memory-limit: in the cgroup of init, where containerd looks for it."""
    name = containerd.start_container("--memory-limit", str(32 << 20), *SLEEP)
    below = f"{containerd.cgroup}/{name}"
    files = [f"/sys/fs/cgroup/memory/{below}/{MEMORY[0]}".replace("memory/memory.", "memory.")]
    files.append(f"/sys/fs/cgroup/{below}/{MEMORY[1]}")
    found = [path for path in files if os.path.exists(path)]
    assert text(found[0]) == f"{32 << 20}\n"
    assert str(32 << 20) in containerd.output("task", "metrics", name)


def test_the_events_of_a_container_out_of_memory(containerd: Containerd, scratch: Path) -> None:
    """ctr events: containerd watches the cgroup in which init is right after create."""
    watching = containerd.spawn("events")
    gate = ("--mount", f"type=bind,src={scratch},dst={GATE},options=rbind:ro")
    limit = ("--memory-limit", str(16 << 20))
    until(lambda: told_of_a_start(containerd, watching), "events come")
    name = containerd.start_container(*limit, *gate, "--", *EAT)
    (scratch / "open").touch()
    until(lambda: f'/tasks/oom {{"container_id":"{name}"}}' in text(watching.out), "it is told")
    containerd.wait(name, "STOPPED")
    assert ended_with(containerd, name) == 137


def told_of_a_start(containerd: Containerd, watching: Running) -> bool:
    """Start a container and tell whether a watcher has heard of one."""
    containerd.start_container("--", "true")
    return "/tasks/start" in text(watching.out)


def test_pause_and_resume(containerd: Containerd) -> None:
    """ctr task pause, resume."""
    name = containerd.start_container(*SLEEP)
    containerd.output("task", "pause", name)
    assert containerd.status(name) == "PAUSED"
    assert containerd.exec(name, "true").code == 1
    containerd.output("task", "resume", name)
    assert containerd.status(name) == "RUNNING"
    assert containerd.exec(name, "echo", "again").stdout == "again\n"


def test_attach(containerd: Containerd) -> None:
    """ctr task attach: a second client on the terminal of a task."""
    first = containerd.interactive("--", "sh")
    has_size(first, 33, 99)
    name = containerd.output("task", "ls", "--quiet").split()[0]
    second = containerd.terminal("task", "attach", name)
    # Output goes to the one or the other: that it listens shows in the size. Before, it waits for no end.
    until(lambda: passes_size(containerd, name, second), "the second client passes its size on")
    second.write("exit 3\n")
    first.wait()  # both clients delete the task at its end, and this one says 1 where it came second
    assert second.wait() == 3


def passes_size(containerd: Containerd, name: str, client: Foreground) -> bool:
    """Resize a client's terminal and tell whether the task's has its size."""
    for columns in (54, 55):
        resize(client.master, 21, columns)
    shown = containerd.exec(name, "stty", "-F", "/dev/pts/0", "size").stdout
    return shown == "21 55\n"


def test_statistics(containerd: Containerd) -> None:
    """ctr task metrics: read from /proc/PID/cgroup of init, so init must be in its own."""
    name = containerd.start_container(*SLEEP)
    assert "pids.current" in containerd.output("task", "metrics", name)
    mine = [
        line.split(":")[2] for line in text(f"/proc/{task_pid(containerd, name)}/cgroup").split()
    ]
    assert set(mine) == {f"/{containerd.cgroup}/{name}"}


def test_the_default_seccomp_profile(containerd: Containerd) -> None:
    """ctr run --seccomp: mode 2, and a call that it denies."""
    assert "Seccomp:\t2\n" in containerd.says("--seccomp", "--", "cat", "/proc/self/status")
    assert "Seccomp:\t0\n" in containerd.says("--", "cat", "/proc/self/status")
    ran = containerd.run("--seccomp", "--", "unshare", "-U", "true")
    assert ran.code == 1
    assert "Operation not permitted" in ran.stderr


def test_a_read_only_root(containerd: Containerd) -> None:
    """ctr run --read-only."""
    ran = containerd.run("--read-only", "--", "touch", "/file")
    assert ran.code == 1
    assert "Read-only file system" in ran.stderr


def test_a_mount(containerd: Containerd, scratch: Path) -> None:
    """ctr run --mount."""
    (scratch / "file").write_text("bound\n")
    mount = f"type=bind,src={scratch},dst=/there,options=rbind:ro"
    ran = containerd.run("--mount", mount, "--", "sh", "-c", "cat /there/file; touch /there/new")
    assert (ran.code, ran.stdout) == (1, "bound\n")
    assert "Read-only file system" in ran.stderr


def test_a_user_namespace(containerd: Containerd) -> None:
    """ctr run --uidmap --gidmap."""
    maps = ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"]
    shown = containerd.shell("cat /proc/self/uid_map; id -u; stat -c %u:%g /etc/kept", *maps)
    assert shown.split() == ["0", "100000", "65536", "0", "0:0"]


def test_namespaces_of_the_host(containerd: Containerd) -> None:
    """ctr run --net-host, --with-ns."""
    own = os.readlink("/proc/self/ns/net")
    assert containerd.says("--net-host", "--", "readlink", "/proc/self/ns/net").strip() == own
    other = containerd.start_container(*SLEEP)
    path = f"/proc/{task_pid(containerd, other)}/ns/ipc"
    joined = containerd.says("--with-ns", f"ipc:{path}", "--", "readlink", "/proc/self/ns/ipc")
    assert joined.strip() == os.readlink(path)


def test_no_pivot(containerd: Containerd) -> None:
    """ctr run --no-pivot: cli.md 2, create --no-pivot."""
    assert containerd.says("--no-pivot", "--", "cat", "/etc/kept") == "from the image\n"


def test_many_containers_at_once(containerd: Containerd) -> None:
    """Eight containers at the same time."""
    commands = [containerd.command("--rm", "--", "sh", "-c", f"exit {n}")[1] for n in range(8)]
    running = [containerd.spawn(*command) for command in commands]
    assert [each.wait().code for each in running] == list(range(8))
