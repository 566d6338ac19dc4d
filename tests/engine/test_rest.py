# SPDX-License-Identifier: Apache-2.0
"""Monitors at rest (ADR 0017): one with nothing to do is its launcher until something happens, and nobody sees a difference."""

import json
import os
import signal
from pathlib import Path

import pytest
from blackbox.processes import until
from sides import IMAGE, Pypod
from topology import HOST_ADDRESS, Topology

from pyoci.engine.monitor.rest import rest, state_of
from pyoci.engine.monitor.watch import Watch

pytestmark = pytest.mark.root
REST_SECONDS = 15.0  # it rests after five
WAIT = "until test -e {}; do sleep 0.1; done"


def rests(pypod: Pypod) -> bool:
    """Tell whether the one monitor rests; in the middle of execve(2) it has no words."""
    lines = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pypod.monitors()]
    return any(b"\0rest\0" in line for line in lines)


def await_rest(pypod: Pypod) -> int:
    """Wait until the one monitor rests; returns its pid."""
    until(lambda: rests(pypod), "the monitor rests", REST_SECONDS)
    (monitor,) = pypod.monitors()
    return monitor


def touch(pypod: Pypod, name: str, path: str) -> None:
    """Make a file in a container, of which its monitor hears nothing."""
    pypod.output("exec", name, "touch", path)


def test_a_monitor_at_rest_costs_next_to_nothing(pypod: Pypod) -> None:
    """Issue 6: less than conmon, which has 344 kB of its own."""
    pypod.start("idle", "exec sleep 1000")
    monitor = await_rest(pypod)
    lines = Path(f"/proc/{monitor}/smaps_rollup").read_text().splitlines()
    assert sum(int(line.split()[1]) for line in lines if line.startswith("Private_Dirty")) <= 200


def test_a_line_that_was_begun_before_a_rest_ends_after_it(pypod: Pypod) -> None:
    script = f"printf 'a\\377b '; {WAIT.format('/go')}; echo end; {WAIT.format('/out')}; exit 7"
    pypod.start("speaker", script, "--restart", "on-failure:1")
    monitor = await_rest(pypod)
    touch(pypod, "speaker", "/go")
    until(lambda: pypod.output("logs", "speaker") == "a\ufffdb end\n", "the line is logged")
    assert pypod.monitors() == [monitor]
    await_rest(pypod)
    touch(pypod, "speaker", "/out")
    pypod.await_field("speaker", "{{.State.Status}} {{.State.ExitCode}}", "exited 7")
    assert pypod.field("speaker", "{{.RestartCount}}") == "1"


def test_who_attaches_wakes_it_terminal_and_input_included(pypod: Pypod) -> None:
    pypod.output("run", "-dit", "--name", "shell", "--network", "none", IMAGE, "sh")
    await_rest(pypod)
    client = pypod.terminal("attach", "shell")
    try:
        client.write("echo $((6*7)); stty size\n")
        client.read_until("42\r\n33 99\r\n")
        client.write("exit 3\n")
        assert client.wait() == 3
    finally:
        client.close()


def test_a_want_of_memory_is_told_from_a_rest(pypod: Pypod) -> None:
    """One with a limit listens to its cgroup, which is one descriptor more to be kept."""
    script = f"{WAIT.format('/go')}; head -c 60m /dev/zero | tail; exec sleep 1000"
    pypod.start("glutton", script, "-m", "20m")
    await_rest(pypod)
    told = pypod.spawn("events", "--filter", "event=oom", "--format", "{{.Action}}")
    touch(pypod, "glutton", "/go")
    until(lambda: "oom" in told.out.read_text(), "want of memory is told", 20)
    told.end()
    assert pypod.field("glutton", "{{.State.Running}}") == "true"


def test_health_is_checked_between_rests(pypod: Pypod) -> None:
    options = ("--health-cmd", "test -e /well", "--health-interval", "7s", "--health-retries", "1")
    pypod.start("patient", "exec sleep 1000", *options)
    await_rest(pypod)
    pypod.await_field("patient", "{{.State.Health.Status}}", "unhealthy", 20)
    await_rest(pypod)
    touch(pypod, "patient", "/well")
    pypod.await_field("patient", "{{.State.Health.Status}}", "healthy", 20)
    assert pypod.field("patient", "{{len .State.Health.Log}}") == "2"


def test_what_is_served_is_served_from_a_rest(networked: Pypod, topology: Topology) -> None:
    networked.output("network", "create", "one")
    server = "while true; do echo hello | nc -l -p 80; done"
    given = ("--network", "one", "-p", "8080:80", "--name", "server")
    networked.output("run", "-d", *given, IMAGE, "sh", "-c", server)
    for _ in range(2):
        await_rest(networked)
        assert topology.host.hears("127.0.0.1", 8080) == "hello\n"
        assert networked("exec", "server", "nslookup", "-type=a", "server").code == 0
        assert topology.neighbour.hears(HOST_ADDRESS, 8080) == "hello\n"


def test_one_that_is_killed_at_rest_is_replaced(pypod: Pypod) -> None:
    script = f"{WAIT.format('/go')}; echo after; exit 7"
    pypod.start("survivor", script)
    os.kill(await_rest(pypod), signal.SIGKILL)
    until(lambda: not pypod.monitors(), "the monitor is dead")
    touch(pypod, "survivor", "/go")
    assert pypod.output("wait", "survivor") == "7\n"
    assert pypod.output("logs", "survivor") == "after\n"


def test_one_whose_launcher_is_gone_stays_awake(tmp_path: Path) -> None:
    """A program that was removed meanwhile costs memory, and no container; nothing is inherited that was not before."""
    settings = {
        "id": "one",
        "directory": str(tmp_path),
        "tty": False,
        "open_stdin": False,
        "pypod": "/nowhere/pypod",
        "log": {
            "driver": "none",
            "path": "",
            "max_size": 0,
            "max_file": 1,
            "compressor": "",
            "attributes": {},
        },
        "limited": False,
        "restart": {"Name": "no", "MaximumRetryCount": 0},
        "health": None,
        "network": {"own": False},
    }
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    for name in ("stdout", "stderr"):
        os.mkfifo(tmp_path / name)
    watch = Watch(str(tmp_path))
    watch.streams.open(-1)
    watch.pidfd = os.pidfd_open(os.getpid())
    watch.watch(watch.pidfd, watch.ended)
    before = os.listdir("/proc/self/fd")
    rest(watch)
    assert os.listdir("/proc/self/fd") == before
    assert watch.lock is not None
    assert not any(os.get_inheritable(fd) for fd in (watch.lock, *watch.handlers))
    assert state_of(watch) is not None
    for fd in [*watch.handlers]:
        watch.unwatch(fd)
    watch.clients.listener.close()
    watch.poll.close()
    os.close(watch.lock)
