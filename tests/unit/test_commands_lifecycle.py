# SPDX-License-Identifier: Apache-2.0
"""What create, run, start, kill, delete, state and exec hand to the life cycle."""

import os
from pathlib import Path
from typing import Any

import pytest

from pyoci import cli, container, execution, log
from pyoci.commands import exec as exec_command
from pyoci.commands import run as run_command
from pyoci.flags import parse
from pyoci.linux.signals import SIGNALS, number_of


class Calls:
    """Stands for the life cycle and remembers what it was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.name = ""
        self.positional: tuple[Any, ...] = ()
        self.named: dict[str, Any] = {}
        self.answer: Any = 0
        for name in ("create", "run", "start", "kill", "delete", "state"):
            monkeypatch.setattr(container, name, self.of(name))
        monkeypatch.setattr(execution, "exec_process", self.of("exec"))

    def of(self, name: str) -> Any:
        def called(*positional: Any, **named: Any) -> Any:
            self.name, self.positional, self.named = name, positional, named
            return self.answer

        return called

    @property
    def options(self) -> dict[str, Any]:
        return vars(self.positional[0])


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Calls:
    monkeypatch.setattr(log, "_log", log.Log())
    monkeypatch.chdir(tmp_path)
    return Calls(monkeypatch)


def main(*words: str) -> int:
    return cli.main(["pyoci", "--root", "/r", *words])


def test_create_without_flags(calls: Calls, tmp_path: Path) -> None:
    assert main("create", "x") == 0
    assert calls.name == "create"
    assert calls.options == {
        "root": "/r",
        "id": "x",
        "bundle": str(tmp_path),
        "console_socket": "",
        "pidfd_socket": "",
        "pid_file": "",
        "no_pivot": False,
        "no_new_keyring": False,
        "preserve_fds": 0,
        "systemd_cgroup": False,
        "rootless": os.geteuid() != 0,
    }


def test_create_with_every_flag_after_the_id(calls: Calls, tmp_path: Path) -> None:
    """create.bats, "new CWD": a relative pid file is below the caller's directory."""
    words = "--bundle b --console-socket s --pidfd-socket p --pid-file f --no-pivot"
    assert main("create", "x", *words.split(), "--no-new-keyring", "--preserve-fds=3") == 0
    assert calls.options | {"rootless": False} == {
        "root": "/r",
        "id": "x",
        "bundle": f"{tmp_path}/b",
        "console_socket": f"{tmp_path}/s",
        "pidfd_socket": f"{tmp_path}/p",
        "pid_file": f"{tmp_path}/f",
        "no_pivot": True,
        "no_new_keyring": True,
        "preserve_fds": 3,
        "systemd_cgroup": False,
        "rootless": False,
    }


def test_run_returns_the_status_of_the_program(calls: Calls) -> None:
    calls.answer = 137
    assert main("run", "-d", "--keep", "--no-subreaper", "-b", "/b", "x") == 137
    assert (calls.options["bundle"], calls.options["id"]) == ("/b", "x")
    assert calls.named == {"detach": True, "keep": True}


@pytest.mark.parametrize("spelling", ["./hello", "hello/", "{cwd}/hello", "../{name}/hello"])
def test_run_takes_a_bundle_for_an_id(calls: Calls, tmp_path: Path, spelling: str) -> None:
    """`pyoci run bundle/`."""
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/config.json").write_text("{}")
    assert main("run", spelling.format(cwd=tmp_path, name=tmp_path.name)) == 0
    assert calls.options["bundle"] == f"{tmp_path}/hello"
    assert calls.options["id"].startswith("hello-")


def test_run_takes_the_current_directory(
    calls: Calls, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/config.json").write_text("{}")
    monkeypatch.chdir(tmp_path / "here")
    assert main("run", ".") == 0
    assert calls.options["id"].startswith("here-")


def test_a_name_without_a_slash_is_an_id(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "hello").mkdir()
    (tmp_path / "hello/config.json").write_text("{}")
    assert main("run", "hello") == 0
    assert (calls.options["id"], calls.options["bundle"]) == ("hello", str(tmp_path))


def test_with_a_bundle_the_argument_is_an_id(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert main("run", "-b", str(tmp_path), f"{tmp_path}/") == 1
    assert calls.name == ""


@pytest.mark.parametrize("argument", ["x", "a/b", "/nonexistent", "a\0/b"])
def test_what_is_no_bundle(argument: str) -> None:
    assert not run_command.is_bundle(argument)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", "a\nb", "ü", "x" * 256])
@pytest.mark.parametrize("command", ["create", "run", "exec"])
def test_a_bad_id_reaches_nobody(calls: Calls, name: str, command: str) -> None:
    """security.md, case 49."""
    assert main(command, "--", name, "true") != 0 if command == "exec" else main(command, name)
    assert calls.name == ""


@pytest.mark.parametrize(
    ("words", "signal", "everything"),
    [
        (["x"], 15, False),
        (["x", "KILL"], 9, False),
        (["--all", "x", "9"], 9, True),
        (["-a", "x", "SIGTERM"], 15, True),
        (["x", "0"], 0, False),
    ],
)
def test_kill(calls: Calls, words: list[str], signal: int, *, everything: bool) -> None:
    assert main("kill", *words) == 0
    assert (calls.positional, calls.named) == (("/r", "x", signal), {"everything": everything})


@pytest.mark.parametrize(
    ("text", "number"),
    [("hup", 1), ("SIGHUP", 1), ("sigKill", 9), ("31", 31), ("064", 64), ("CLD", 17), ("IOT", 6)],
)
def test_names_and_numbers_of_signals(text: str, number: int) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(("text", "number"), [("RTMIN", 34), ("SIGRTMIN+3", 37), ("rtmax-1", 63)])
def test_real_time_signals(text: str, number: int) -> None:
    assert number_of(text) == number


@pytest.mark.parametrize(
    "text",
    ["", "SIG", "NOSUCH", "-1", "65", "99999999999", "²", " 9", "9 ", "1e0", "0x9", "SIG9"],
)
def test_what_is_no_signal(text: str) -> None:
    """security.md, case 82."""
    assert number_of(text) is None


@pytest.mark.parametrize("text", ["RTMIN+31", "RTMAX-31", "RTMIN+", "RTMAX+1", "KILL+1", "RTMIN-1"])
def test_what_is_no_real_time_signal(text: str) -> None:
    assert number_of(text) is None


def test_the_table_of_signals_is_the_kernels() -> None:
    import signal

    for name, number in SIGNALS.items():
        if not name.startswith("RT") and hasattr(signal, f"SIG{name}"):
            assert getattr(signal, f"SIG{name}") == number


@pytest.mark.parametrize("words", [["-f", "x"], ["x", "-f"], ["--force=true", "x"]])
def test_delete(calls: Calls, words: list[str]) -> None:
    assert main("delete", *words) == 0
    assert (calls.positional, calls.named) == (("/r", "x"), {"force": True})


def test_start(calls: Calls) -> None:
    assert main("start", "x") == 0
    assert (calls.name, calls.positional) == ("start", ("/r", "x"))


def test_the_bytes_of_state(calls: Calls, capfd: pytest.CaptureFixture[str]) -> None:
    """cli.md, state: two spaces, no newline at the end."""
    calls.answer = {"ociVersion": "1.3.0", "id": "x", "annotations": {"a": "<b>"}, "owner": ""}
    assert main("state", "x") == 0
    assert capfd.readouterr().out == (
        '{\n  "ociVersion": "1.3.0",\n  "id": "x",\n  "annotations": {\n    "a": "\\u003cb\\u003e"\n'
        '  },\n  "owner": ""\n}'
    )


def test_exec_leaves_the_commands_flags_alone(calls: Calls) -> None:
    """`exec ID ls -la`."""
    calls.answer = 3
    assert main("exec", "-t", "x", "ls", "-la", "--", "--help") == 3
    assert calls.options["args"] == ["ls", "-la", "--", "--help"]
    assert calls.options["tty"] is True


def test_exec_with_every_flag(calls: Calls, tmp_path: Path) -> None:
    words = (
        "--console-socket s --pidfd-socket p --cwd /c -e A=1,2 --env B= -u 1:2 -g 3 -g 4 -d "
        "--pid-file f --process-label l --apparmor a --no-new-privs -c CAP_KILL --cap CAP_CHOWN "
        "--preserve-fds 2 --cgroup cpu,cpuacct:sub --cgroup y --ignore-paused"
    )
    assert main("exec", *words.split(), "x", "true") == 0
    assert calls.options == {
        "root": "/r",
        "id": "x",
        "process": None,
        "args": ["true"],
        "cwd": "/c",
        "env": ["A=1,2", "B="],
        "tty": False,
        "user": "1:2",
        "additional_gids": [3, 4],
        "process_label": "l",
        "apparmor": "a",
        "no_new_privs": True,
        "caps": ["CAP_KILL", "CAP_CHOWN"],
        "detach": True,
        "pid_file": f"{tmp_path}/f",
        "console_socket": f"{tmp_path}/s",
        "pidfd_socket": f"{tmp_path}/p",
        "preserve_fds": 2,
        "cgroup": ["cpu,cpuacct:sub", "y"],
        "ignore_paused": True,
        "take_terminal": None,
    }


def test_exec_with_a_process_file(calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "p.json").write_text('{"args": ["true"], "cwd": "/", "user": {"uid": 5, "gid": 0}}')
    assert main("exec", "--process", "p.json", "x") == 0
    assert calls.options["process"]["args"] == ["true"]
    assert calls.options["process"]["user"]["uid"] == 5


@pytest.mark.parametrize("user", ["1", "0:0", "4294967294:4294967294", "007"])
def test_a_user_of_numbers(calls: Calls, user: str) -> None:
    assert main("exec", "-u", user, "x", "true") == 0
    assert calls.options["user"] == user


@pytest.mark.parametrize(
    "user",
    ["", "-1", "1x", "4294967295", "4294967296", " 1", "1 ", "root", "1:", ":1", "1:2:3", "1:-1"],
)
def test_any_other_user_is_refused(calls: Calls, user: str) -> None:
    """security.md, R1, C8 and case 35."""
    assert main("exec", f"--user={user}", "x", "true") == 255
    assert calls.name == ""


@pytest.mark.parametrize("gid", ["", "-1", "wheel", "4294967295", "9" * 5000])
def test_a_wrong_group_is_refused(calls: Calls, gid: str) -> None:
    assert main("exec", f"--additional-gids={gid}", "x", "true") == 255
    assert calls.name == ""


def test_the_flags_of_exec_are_ordered() -> None:
    flags, arguments = parse(["-u=1", "x", "-u", "2"], exec_command.FLAGS, ordered=True)
    assert (flags.text("user"), arguments) == ("1", ["x", "-u", "2"])
