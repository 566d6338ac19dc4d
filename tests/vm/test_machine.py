# SPDX-License-Identifier: Apache-2.0
"""A machine, driven from outside: what of a command comes back, and what is left of it. Run by `make test-vm`."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox.processes import Ran, until

RUN = Path(__file__).resolve().parent / "run"
SECONDS = 300.0  # a machine that was never booted boots first


def run(*words: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Ran:
    """Run tests/vm/run to its end."""
    done = subprocess.run(
        [RUN, *words], input=stdin, capture_output=True, timeout=SECONDS, env=env, check=False
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


def below(pid: int) -> list[int]:
    """Return the pids of all processes below a process."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *below(int(child))]
    return found


@pytest.fixture
def begun(tmp_path: Path) -> Callable[..., subprocess.Popen[bytes]]:
    """Start a command that says "here" and then sleeps, and return when it has said so."""

    def start(*words: str) -> subprocess.Popen[bytes]:
        env = os.environ | {"TMPDIR": str(tmp_path)}
        command = [
            RUN,
            *words,
            "--",
            "sh",
            "-c",
            "trap 'echo interrupted; exit 3' INT; echo here; sleep 1000 & wait",
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, env=env)
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        return process

    return start


def test_output_and_status_come_back() -> None:
    ran = run("--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (ran.code, ran.stdout, ran.stderr) == (7, "out\n", "err\n")


def test_a_signal_and_a_missing_program_are_told_as_a_shell_does() -> None:
    assert run("--", "sh", "-c", "kill -9 $$").code == 137
    assert run("--", "no-such-program").code == 127


def test_a_command_that_takes_too_long_is_ended() -> None:
    ran = run("--timeout", "1", "--", "sleep", "1000")
    assert ran.code == 124
    assert "took longer than 1 s" in ran.stderr


def test_standard_input_is_passed_on() -> None:
    data = os.urandom(3 << 20).hex().encode()
    ran = run("--stdin", "--", "wc", "-c", stdin=data)
    assert (ran.code, ran.stdout) == (0, f"{len(data)}\n")


def test_a_shared_directory_is_a_copy_and_out_comes_back(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "file").write_text("before")
    (shared / "file").chmod(0o640)
    os.chown(shared / "file", 1000, 1000)
    (shared / "link").symlink_to("file")
    out = tmp_path / "out"
    script = "stat -c '%u:%g %a' file; readlink link; echo after >file; cp file /out/; ls"
    ran = run("--share", f"{shared}:/there", "--out", str(out), "--", "sh", "-c", script)
    assert ran.stdout.split() == ["1000:1000", "640", "file", "file", "link"], ran
    assert (shared / "file").read_text() == "before"
    assert (out / "file").read_text() == "after\n"


def test_nothing_lasts() -> None:
    assert run("--", "sh", "-c", "touch /root/mark").code == 0
    assert run("--", "test", "-e", "/root/mark").code == 1


def test_the_machine_has_what_the_host_lacks() -> None:
    """cgroup v2 alone, systemd as pid 1, AppArmor in force, and the wall clock right."""
    script = "stat -fc %T /sys/fs/cgroup; cat /proc/1/comm /sys/module/apparmor/parameters/enabled; date +%s"
    kind, first, apparmor, now = run("--", "sh", "-c", script).stdout.split()
    assert (kind, first, apparmor) == ("cgroup2fs", "systemd", "Y")
    assert abs(time.time() - int(now)) < 60


def test_a_users_cgroup_is_delegated() -> None:
    script = 'd=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup); id -u; cat "$d/cgroup.controllers"; test -w "$d/cgroup.procs"'
    ran = run("--user", "tester", "--", "sh", "-c", script)
    assert ran.code == 0, ran
    assert ran.stdout.split() == ["1000", "cpuset", "cpu", "io", "memory", "pids"]


def test_an_interrupt_goes_to_the_command(begun: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = begun()
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (3, b"interrupted\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_emulator_outlives_its_run(
    begun: Callable[..., subprocess.Popen[bytes]], tmp_path: Path, number: int
) -> None:
    """Whatever ends it; the files of one that was killed go with the next."""
    process = begun()
    pids = below(process.pid)
    assert pids
    process.send_signal(number)
    process.communicate(timeout=SECONDS)
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids), "qemu is gone", 10)
    assert run("--", "true", env=os.environ | {"TMPDIR": str(tmp_path)}).code == 0
    assert not list(tmp_path.iterdir())


def test_two_machines_run_at_once(begun: Callable[..., subprocess.Popen[bytes]]) -> None:
    process = begun()
    assert run("--", "echo", "other").stdout == "other\n"
    process.terminate()
    process.communicate(timeout=SECONDS)


def test_what_is_not_there_is_said() -> None:
    ran = run("--share", "/no/such/place", "--", "true")
    assert ran.code == 125
    assert ran.stderr == "vm: --share: no such directory: /no/such/place\n"
