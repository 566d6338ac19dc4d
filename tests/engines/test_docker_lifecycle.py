# SPDX-License-Identifier: Apache-2.0
"""Docker's commands on a container that is there: exec, stop, kill, logs, wait, top, restart, rm."""

import os
import signal
import time
from pathlib import Path

import pytest
from blackbox.processes import is_alive, text, until
from engines.docker import Docker

SLEEP = ["--", "sleep", "1000"]
COUNT = "while :; do echo >> /there/count; usleep 20000; done"
# As process 1, a shell that does what `body` says on SIGTERM, and says when it is ready.
TRAP = "trap '{body}' TERM; echo ready; while :; do usleep 10000; done"


def trapping(docker: Docker, body: str, *options: str) -> str:
    """Start a container that handles SIGTERM, and wait until it does."""
    script = TRAP.format(body=body)
    name = docker.start_container(*options, "--", "sh", "-c", script)
    docker.logged(name, "ready")
    return name


def test_exec(docker: Docker) -> None:
    """docker exec: output, standard error, exit code; the container's view of things."""
    name = docker.start_container("--hostname", "here", *SLEEP)
    ran = docker("exec", name, "sh", "-c", "hostname; cat /proc/1/comm; echo error >&2; exit 3")
    assert (ran.code, ran.stdout, ran.stderr) == (3, "here\nsleep\n", "error\n")


def test_exec_has_the_container_s_restrictions(docker: Docker) -> None:
    """exec joins cgroups and namespaces and gets the same filter and capabilities."""
    options = ["--cap-drop", "ALL", "--cap-add", "KILL", "--pids-limit", "50"]
    name = docker.start_container(*options, *SLEEP)
    fields = "^(Cap|Seccomp|NoNew)"
    show = f"grep -E '{fields}' /proc/$n/status; cat /proc/$n/cgroup; ls -l /proc/$n/ns"
    init = docker.output("exec", name, "sh", "-c", f"n=1; {show}")
    own = docker.output("exec", name, "sh", "-c", f"n=$$; {show}")
    for before, after in zip(init.splitlines(), own.splitlines(), strict=True):
        assert before.split()[-1] == after.split()[-1]


def test_exec_options(docker: Docker) -> None:
    """docker exec -u -w -e."""
    name = docker.start_container("-e", "BASE=kept", *SLEEP)
    options = ["-u", "user", "-w", "/tmp", "-e", "OWN=a b"]
    ran = docker("exec", *options, name, "sh", "-c", "id; pwd; echo $BASE $OWN $HOME")
    groups = "groups=1000(user),2000(extra)"
    assert ran.stdout == f"uid=1000(user) gid=1000(user) {groups}\n/tmp\nkept a b /home\n"


def test_exec_reads_its_input(docker: Docker, root_archive: Path) -> None:
    """docker exec -i: half a megabyte and more, and its end."""
    name = docker.start_container(*SLEEP)
    size = os.stat(root_archive).st_size
    ran = docker("exec", "-i", name, "wc", "-c", stdin=root_archive)
    assert (ran.code, ran.stdout) == (0, f"{size}\n")


def test_exec_in_the_background(docker: Docker) -> None:
    """docker exec -d."""
    name = docker.start_container(*SLEEP)
    docker.output("exec", "-d", name, "sh", "-c", "echo done > /tmp/file")
    until(lambda: docker("exec", name, "cat", "/tmp/file").stdout == "done\n", "it ran")


def test_exec_privileged(docker: Docker) -> None:
    """docker exec --privileged: more capabilities than the container has."""
    name = docker.start_container("--cap-drop", "SYS_ADMIN", *SLEEP)
    ran = docker("exec", "--privileged", name, "grep", "CapEff", "/proc/self/status")
    if "operation not permitted" in ran.stdout + ran.stderr:
        pytest.skip("the tests themselves lack a capability")
    assert int(ran.stdout.split()[1], 16) & 1 << 21


@pytest.mark.parametrize(
    ("command", "codes", "words"),
    [
        ("nosuch", {126, 127}, "executable file not found in $PATH"),
        ("/no/such", {126, 127}, "no such file or directory"),
        ("/bin/not-executable", {126}, "permission denied"),
    ],
)
def test_exec_of_nothing(docker: Docker, command: str, codes: set[int], words: str) -> None:
    """cli.md 4, moby: exit code and words."""
    name = docker.start_container(*SLEEP)
    ran = docker("exec", name, command)
    assert ran.code in codes, ran  # 127 only from newer clients
    assert words in ran.stdout + ran.stderr
    assert docker.state(name)["Running"]


def test_exec_in_a_stopped_container_is_refused(docker: Docker) -> None:
    """docker exec: only in a running container."""
    name = docker.start_container("--", "true")
    docker.output("wait", name)
    ran = docker("exec", name, "true")
    assert ran.code == 1
    assert "is not running" in ran.stderr


def test_many_execs_at_once(docker: Docker) -> None:
    """Twelve processes at the same time, none of which may disturb another."""
    name = docker.start_container(*SLEEP)
    running = [docker.spawn("exec", name, "sh", "-c", f"exit {n}") for n in range(12)]
    assert [each.wait().code for each in running] == list(range(12))


def test_many_containers_at_once(docker: Docker) -> None:
    """Eight containers at the same time."""
    running = [docker.spawn("run", "--rm", "box", "sh", "-c", f"exit {n}") for n in range(8)]
    assert [each.wait().code for each in running] == list(range(8))


def test_stop_is_a_request(docker: Docker) -> None:
    """docker stop: SIGTERM first, and the process's own exit code."""
    name = trapping(docker, "exit 12")
    docker.output("stop", name)
    assert docker.state(name)["ExitCode"] == 12


def test_stop_insists(docker: Docker) -> None:
    """docker stop -t: SIGKILL when the request was not heard."""
    name = trapping(docker, "echo no")
    started = time.monotonic()
    docker.output("stop", "-t", "1", name)
    assert time.monotonic() - started >= 1
    assert docker.state(name)["ExitCode"] == 137
    docker.logged(name, "no\n")


def test_stop_with_a_signal_of_the_container(docker: Docker) -> None:
    """docker run --stop-signal."""
    script = "trap 'exit 13' USR2; echo ready; while :; do usleep 10000; done"
    name = docker.start_container("--stop-signal", "USR2", "--", "sh", "-c", script)
    docker.logged(name, "ready")
    docker.output("stop", name)
    assert docker.state(name)["ExitCode"] == 13


def test_kill_sends_any_signal(docker: Docker) -> None:
    """docker kill -s: by name, and the container goes on."""
    name = trapping(docker, "echo got-it")
    docker.output("kill", "-s", "TERM", name)
    docker.logged(name, "got-it")
    assert docker.state(name)["Running"]


def test_kill_kills(docker: Docker) -> None:
    """docker kill: SIGKILL, 137, and all processes are gone."""
    name = docker.start_container("--", "sh", "-c", "sleep 1000 & echo ready; wait")
    docker.logged(name, "ready")
    pid = docker.state(name)["Pid"]
    docker.output("kill", name)
    assert docker.output("wait", name) == "137\n"
    until(lambda: not is_alive(pid), "init is dead")


def test_kill_of_a_stopped_container_is_refused(docker: Docker) -> None:
    """docker kill: nobody is there."""
    name = docker.start_container("--", "true")
    docker.output("wait", name)
    ran = docker("kill", name)
    assert ran.code == 1
    assert "is not running" in ran.stderr


def test_a_container_with_the_host_s_pids_ends_whole(docker: Docker) -> None:
    """cli.md 4, containerd: `kill --all` when there is no pid namespace to end the others."""
    script = "sleep 1000 & echo child-$!; wait"
    name = docker.start_container("--pid=host", "--", "sh", "-c", script)
    child = int(docker.logged(name, "child-").partition("-")[2])
    assert is_alive(child)
    docker.output("kill", name)
    until(lambda: not is_alive(child), "the other process is dead")


def test_logs(docker: Docker) -> None:
    """docker logs: both streams, and -f ends with the container."""
    script = "echo out; echo error >&2; until [ -e /tmp/go ]; do usleep 10000; done; echo end"
    name = docker.start_container("--", "sh", "-c", script)
    following = docker.spawn("logs", "-f", name)
    docker.logged(name, "out")
    docker.output("exec", name, "touch", "/tmp/go")
    ran = following.wait()
    assert (ran.stdout, ran.stderr) == ("out\nend\n", "error\n")


def test_wait(docker: Docker) -> None:
    """docker wait: blocks, then the exit code."""
    name = trapping(docker, "exit 21")
    waiting = docker.spawn("wait", name)
    assert waiting.is_running()
    docker.output("kill", "-s", "TERM", name)
    assert waiting.wait().stdout == "21\n"


def test_top(docker: Docker) -> None:
    """docker top: `ps` of the runtime gives the pids, of the host."""
    name = docker.start_container("--", "sh", "-c", "sleep 1000 & sleep 1001; wait")
    docker.output("exec", "-d", name, "sleep", "1002")
    wanted = ["sleep 1000", "sleep 1001", "sleep 1002"]

    def commands() -> list[str]:
        return [line.split(maxsplit=1)[1] for line in rows() if "sh -c" not in line]

    def rows() -> list[str]:
        return docker.output("top", name, "-o", "pid,args").splitlines()[1:]

    until(lambda: sorted(commands()) == wanted, "all of them are shown")
    assert all(is_alive(int(line.split()[0])) for line in rows())


def test_the_pid_is_the_init_s(docker: Docker) -> None:
    """docker inspect: the pid of the host; a child of nobody but the shim."""
    name = docker.start_container(*SLEEP)
    pid = docker.state(name)["Pid"]
    assert text(f"/proc/{pid}/cmdline").split("\0")[:2] == ["sleep", "1000"]
    os.kill(pid, signal.SIGKILL)
    assert docker.output("wait", name) == "137\n"


def test_statistics(docker: Docker, limits: None) -> None:
    """docker stats: read from the cgroup that the runtime has made."""
    name = docker.start_container("-m", "64m", *SLEEP)
    shown = docker.output("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", name)
    assert "64MiB" in shown
    assert shown.split()[-1] == "1"


def test_create_start_and_start_again(docker: Docker) -> None:
    """docker create, start -a: the same container, made anew by the runtime each time."""
    docker.output("create", "--name", "twice", "box", "sh", "-c", "echo x >> /f; cat /f; exit 2")
    first = docker("start", "-a", "twice")
    second = docker("start", "-a", "twice")
    assert (first.code, first.stdout) == (2, "x\n")
    assert (second.code, second.stdout) == (2, "x\nx\n")


def test_restart(docker: Docker) -> None:
    """docker restart: another process, the same container."""
    name = trapping(docker, "exit 0")
    before = docker.state(name)["Pid"]
    docker.output("restart", name)
    assert docker.state(name)["Pid"] not in (0, before)
    assert docker.output("logs", name).count("ready") >= 1


def test_restart_on_failure(docker: Docker) -> None:
    """docker run --restart on-failure:2: the daemon starts it again, twice."""
    script = "echo run; exit 3"
    name = docker.start_container("--restart", "on-failure:2", "--", "sh", "-c", script)
    until(lambda: docker.output("logs", name).count("run") == 3, "it ran three times", 10)
    until(lambda: not docker.state(name)["Running"], "it is given up")
    assert docker.inspect(name)["RestartCount"] == 2


def test_remove_by_force(docker: Docker) -> None:
    """docker rm -f: a running container and all that it has, which the fixture checks."""
    name = docker.start_container("--", "sh", "-c", "sleep 1000 & sleep 1000")
    pid = docker.state(name)["Pid"]
    docker.output("rm", "-f", name)
    until(lambda: not is_alive(pid), "init is dead")
    assert name not in docker.output("ps", "--all")


def test_health_check(docker: Docker) -> None:
    """docker run --health-cmd: the daemon's own execs."""
    options = ["--health-cmd", "test -e /tmp/well", "--health-interval", "100ms"]
    name = docker.start_container(*options, *SLEEP)
    docker.output("exec", name, "touch", "/tmp/well")
    until(lambda: docker.state(name)["Health"]["Status"] == "healthy", "it is healthy", 10)


def test_nothing_runs_while_it_is_paused(docker: Docker, scratch: Path) -> None:
    """docker pause, unpause: what it counts stands still, and goes on. A log may come later: it counts in a file."""
    name = docker.start_container(f"--volume={scratch}:/there", "--", "sh", "-c", COUNT)
    until(lambda: size(scratch) > 3, "it counts")
    docker.output("pause", name)
    before = size(scratch)
    docker.output("stats", "--no-stream", name)  # takes a second
    assert size(scratch) == before
    docker.output("unpause", name)
    until(lambda: size(scratch) > before, "it counts on")


def size(directory: Path) -> int:
    """Return how far a container has counted."""
    path = directory / "count"
    return path.stat().st_size if path.exists() else 0


def test_update(docker: Docker, limits: None) -> None:
    """docker update: new limits of a running container, in force at once."""
    name = docker.start_container("-m", "64m", *SLEEP)
    options = ["--memory", "32m", "--memory-swap", "32m", "--cpus", "0.5", "--pids-limit", "33"]
    docker.output("update", *options, name)
    names = "memory.max memory/memory.limit_in_bytes pids.max pids/pids.max cpu.max cpu/cpu.cfs_quota_us"
    script = f"cd /sys/fs/cgroup; for n in {names}; do cat $n 2>/dev/null; done; true"
    shown = docker.output("exec", name, "sh", "-c", script).split()
    assert shown[:3] == [str(32 << 20), "33", "50000"]
    assert docker.output("exec", name, "cat", "/proc/1/comm") == "sleep\n"


def test_update_of_what_cannot_be_is_refused(docker: Docker, limits: None) -> None:
    """docker update: the old limit stays."""
    name = docker.start_container("--cpuset-cpus", "0", *SLEEP)
    assert docker("update", "--cpuset-cpus", "999", name).code == 1
    assert docker.output("exec", name, "nproc") == "1\n"


def test_files_are_copied(docker: Docker, scratch: Path) -> None:
    """docker cp, into a running container and out of it."""
    name = docker.start_container(*SLEEP)
    (scratch / "file").write_text("from the host\n")
    docker.output("cp", f"{scratch}/file", f"{name}:/tmp/file")
    assert docker.output("exec", name, "cat", "/tmp/file") == "from the host\n"
    docker.output("cp", f"{name}:/etc/kept", f"{scratch}/kept")
    assert text(scratch / "kept") == "from the image\n"


def test_pause_and_unpause(docker: Docker) -> None:
    """docker pause, unpause: the engine's state, and exec refused meanwhile."""
    name = docker.start_container(*SLEEP)
    docker.output("pause", name)
    assert docker.state(name)["Paused"]
    assert docker("exec", name, "true").code != 0
    docker.output("unpause", name)
    assert not docker.state(name)["Paused"]
    assert docker("exec", name, "true").code == 0


@pytest.mark.parametrize("command", [["kill"], ["rm", "-f"]], ids=["kill", "rm"])
def test_what_is_paused_can_be_ended(docker: Docker, command: list[str]) -> None:
    """docker kill and rm -f of a paused container."""
    name = docker.start_container(*SLEEP)
    pid = docker.state(name)["Pid"]
    docker.output("pause", name)
    docker.output(*command, name)
    until(lambda: not is_alive(pid), "its process is dead")
