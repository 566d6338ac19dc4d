# SPDX-License-Identifier: Apache-2.0
"""The command line from outside: words, exit statuses, help, one line for every failure (cli.md sections 1 and 5)."""

import errno
import json
import os
import posix
import subprocess
import sys
from pathlib import Path

import pytest

import pyoci
from pyoci import cli, log
from pyoci.checkpoint import criu
from pyoci.commands import delete, state
from pyoci.commands.settings import FLAGS, Settings
from pyoci.errors import StateError, StepError, UsageError
from pyoci.flags import parse

LIBRARY = str(Path(pyoci.__file__).resolve().parent.parent)
ENTRY = f"""
import sys
sys.argv[0] = sys.argv.pop(1)
sys.path.append({LIBRARY!r})
from pyoci.cli import main
sys.exit(main())
"""
SECONDS = 30


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_log", log.Log())


class Result:
    """What a call left."""

    def __init__(self, ran: "subprocess.CompletedProcess[str]") -> None:
        self.status = ran.returncode
        self.out = ran.stdout
        self.err = ran.stderr

    def message(self) -> str:
        """Return the message of the only line on stderr."""
        (line,) = self.err.splitlines()
        text = line.partition(" msg=")[2]
        return str(json.loads(text)) if text.startswith('"') else text


def call(*words: str, name: str = "pyoci", env: dict[str, str] | None = None) -> Result:
    """Run the command line as the launcher starts it."""
    return Result(
        subprocess.run(
            [sys.executable, "-I", "-S", "-X", "utf8", "-c", ENTRY, name, *words],
            capture_output=True,
            text=True,
            env=env or {},
            timeout=SECONDS,
            check=False,
        )
    )


def settings(*words: str, program: str = "pyoci") -> Settings:
    return Settings(parse(words, FLAGS, ordered=True)[0], program)


@pytest.mark.parametrize(
    ("argv0", "program"),
    [("pyoci", "pyoci"), ("/usr/bin/runc", "runc"), ("runc", "runc"), ("/x/docker-runc", "pyoci")],
)
@pytest.mark.parametrize("flag", ["--version", "-v", "-version"])
def test_the_version_as_engines_read_it(argv0: str, program: str, flag: str) -> None:
    """cli.md 1.1: go-runc and moby; only one line may hold the word."""
    ran = call(flag, name=argv0)
    lines = ran.out.splitlines()
    assert ran.status == 0
    assert lines[0] == f"{program} version {pyoci.__version__}"
    assert lines[1].startswith("commit: ")
    assert lines[2] == f"spec: {pyoci.SPEC_VERSION}"
    assert ["version" in line for line in lines].count(True) == 1


@pytest.mark.parametrize("words", [[], ["-h"], ["--help"], ["help"], ["h"]])
def test_the_help_of_the_program(words: list[str]) -> None:
    ran = call(*words, name="/usr/bin/runc")
    assert ran.status == 0
    lines = ran.out.splitlines()
    assert lines[:2] == ["NAME:", "   runc - Open Container Initiative runtime"]
    for name in cli.COMMANDS:
        assert f"\n   {name} " in ran.out


@pytest.mark.parametrize("name", sorted(cli.COMMANDS))
def test_the_help_of_each_command(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(criu, "find", lambda: "/usr/sbin/criu")
    for words in (["--help"], ["-h"], ["--bundle=x", "--help"][-1:]):
        assert cli.main(["pyoci", name, *words]) == 0
        out = capfd.readouterr().out
        assert out.splitlines()[:2] == ["NAME:", f"   pyoci {name} - {cli.COMMANDS[name][1]}"]
        for flag in cli.load(name)[0]:
            assert f"--{flag[0]}" in out
    assert cli.main(["pyoci", "help", name]) == 0
    assert capfd.readouterr().out.startswith(f"NAME:\n   pyoci {name} ")


@pytest.mark.parametrize("name", ["checkpoint", "restore"])
def test_their_help_fails_without_criu(
    name: str, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """cli.md 1: by that podman and cri-o ask whether there is checkpoint and restore."""
    monkeypatch.setattr(criu, "_PLACES", ("/nowhere",))
    assert cli.main(["pyoci", name, "--help"]) == 1
    assert "need the program criu" in capfd.readouterr().err


@pytest.mark.parametrize("words", [["foo"], ["foo", "-h"], ["help", "foo"], [""], ["../state"]])
def test_an_unknown_command(words: list[str]) -> None:
    """help.bats."""
    ran = call(*words)
    assert ran.status != 0
    assert ran.message() == f"No help topic for '{words[-1] if words[0] == 'help' else words[0]}'"


def test_a_missing_value_shows_the_help_and_runcs_words() -> None:
    ran = call("create", "--bundle")
    assert ran.status == 1
    assert ran.out.startswith(
        "Incorrect Usage: flag needs an argument: --bundle\n\nNAME:\n   pyoci create"
    )
    assert ran.message() == "flag needs an argument: --bundle"


def test_an_unknown_global_flag() -> None:
    ran = call("--nope", "state", "x")
    assert ran.status == 1
    assert ran.out.startswith("Incorrect Usage: flag provided but not defined: -nope\n\nNAME:")
    assert ran.message() == "flag provided but not defined: -nope"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["state"], '"state" requires exactly 1 argument(s)'),
        (["state", "a", "b"], '"state" requires exactly 1 argument(s)'),
        (["features", "a"], '"features" requires exactly 0 argument(s)'),
        (["kill"], '"kill" requires a minimum of 1 argument(s)'),
        (["kill", "a", "b", "c"], '"kill" requires a maximum of 2 argument(s)'),
        (["exec"], '"exec" requires a minimum of 1 argument(s)'),
    ],
)
def test_a_wrong_number_of_arguments(words: list[str], message: str) -> None:
    ran = call(*words, name="/usr/bin/runc")
    assert ran.status == 1
    assert ran.out.startswith(f"Incorrect Usage.\n\nNAME:\n   runc {words[0]} - ")
    assert ran.message() == f"/usr/bin/runc: {message}"


NO_BUNDLE = "a/b/ is no bundle either: there is no a/b/config.json"


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["state", "x"], 1, "container does not exist"),
        (["start", "x"], 1, "container does not exist"),
        (["kill", "x"], 1, "container does not exist"),
        (["delete", "x"], 1, "container does not exist"),
        (["ps", "x"], 1, "container does not exist"),
        (["exec", "x", "true"], 255, "exec failed: container does not exist"),
        (["exec", "x"], 255, "exec failed: exec args cannot be empty"),
        (["create", "a/b"], 1, "pyoci create failed: invalid container ID format"),
        (["run", "a/b/"], 1, f"pyoci run failed: invalid container ID format: {NO_BUNDLE}"),
        (["create", ""], 1, "pyoci create failed: container id cannot be empty"),
        (["state", ".."], 1, "invalid container ID format"),
        (["kill", "x", "NOSUCH"], 1, 'unknown signal "NOSUCH"'),
        (["list", "-f", "yaml"], 1, "invalid format option"),
    ],
)
def test_a_failure_is_one_line(words: list[str], status: int, message: str, tmp_path: Path) -> None:
    """cli.md 1.3 and 5."""
    (tmp_path / "root").mkdir()
    ran = call("--root", f"{tmp_path}/root", *words)
    assert (ran.status, ran.message(), ran.out) == (status, message, "")


def test_a_failure_goes_to_the_log_and_to_stderr(tmp_path: Path) -> None:
    """For conmon and cri-o, which read stderr only, and containerd, which reads the log only."""
    ran = call("--log", f"{tmp_path}/log", "--log-format", "json", "--criu=x", "state", "x")
    entry = json.loads((tmp_path / "log").read_text())
    assert entry["msg"] == "container does not exist"
    assert ran.err == "container does not exist\n"


def test_a_log_that_cannot_be_opened() -> None:
    ran = call("--log", "/nonexistent/log", "state", "x")
    assert (ran.status, ran.message()) == (1, "/nonexistent/log: no such file or directory")


def test_a_wrong_log_format() -> None:
    assert call("--log-format=yaml", "state", "x").message() == "invalid log-format: yaml"


def test_criu_is_ignored_with_a_warning() -> None:
    ran = call("--criu", "/usr/sbin/criu", "spec", "-h")
    assert ran.status == 0
    assert "level=warning" in ran.err


def test_other_commands_do_not_mind_systemd_cgroups(tmp_path: Path) -> None:
    """For containerd, which passes it always."""
    ran = call("--systemd-cgroup", "--root", str(tmp_path), "list", "-q")
    assert (ran.status, ran.out, ran.err) == (0, "", "")


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (StateError("gone"), 1, "gone"),
        (PermissionError(errno.EACCES, "Permission denied", "/x"), 1, "/x: permission denied"),
        (OSError(errno.EIO, "Input/output error"), 1, "input/output error"),
        (OSError("odd"), 1, "oserror"),
        (FileNotFoundError(errno.ENOENT, "No such", b"/\xff"), 1, "/\udcff: no such"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_every_error_ends_here(
    error: BaseException, status: int, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(log, "error", said.append)

    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(state, "run", fail)
    assert cli.main(["pyoci", "state", "x"]) == status
    assert said == [message]


@pytest.mark.parametrize("kind", [ValueError, RecursionError, MemoryError, AssertionError])
def test_a_bug_is_a_line_too(
    kind: type[Exception], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise kind("why\nso")

    monkeypatch.setattr(delete, "run", fail)
    assert cli.main(["pyoci", "delete", "x"]) == 1
    err = capfd.readouterr().err
    assert err.count("\n") == 1
    assert f'msg="internal error: {kind.__name__}: why\\nso (' in err
    assert "test_cli.py:" in err
    assert "Traceback" not in err


def test_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object) -> int:
        raise StepError("no")

    monkeypatch.setattr(state, "run", fail)
    assert cli.main(["pyoci", "--debug", "state", "x"]) == 1
    assert "Traceback" in capfd.readouterr().err


def test_a_full_disk_behind_stdout_is_an_error() -> None:
    with open("/dev/full", "wb") as full:
        ran = subprocess.run(
            [sys.executable, "-I", "-S", "-c", ENTRY, "pyoci", "features"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    assert ran.returncode == 1
    assert "no space left on device" in Result(ran).message()


@pytest.mark.parametrize("words", [["--help"], ["features"]])
def test_a_reader_that_goes_ends_us_quietly(words: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", ENTRY, "pyoci", *words],
        stdout=write,
        stderr=subprocess.PIPE,
        timeout=SECONDS,
        check=False,
    )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (-13, b"")


@pytest.mark.parametrize(
    ("root", "absolute"),
    [("/a/b", "/a/b"), ("/a//b/../c/.", "/a/c"), ("x", "{cwd}/x"), ("", "{cwd}"), (".", "{cwd}")],
)
def test_a_named_root_is_absolute_and_clean(
    root: str, absolute: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert settings("--root", root).root() == absolute.format(cwd=tmp_path)


@pytest.mark.parametrize("root", ["/", "//", "/..", "/a/.."])
def test_the_root_is_not_everything(root: str) -> None:
    with pytest.raises(UsageError, match="Option --root argument should not be set to /"):
        settings("--root", root).root()


@pytest.mark.parametrize("program", ["pyoci", "runc"])
@pytest.mark.parametrize(
    ("euid", "in_namespace", "user", "xdg", "own"),
    [
        (0, False, "root", "set", False),
        (0, False, "x", "set", False),
        (0, True, "root", "set", False),
        (0, True, "x", "set", True),
        (0, True, "", "set", True),
        (1000, False, "x", "set", True),
        (1000, False, "root", "set", True),
        (1000, False, "x", "", False),
        (1000, False, "x", None, False),
    ],
)
def test_the_default_root(
    euid: int,
    in_namespace: bool,
    user: str,
    xdg: str | None,
    own: bool,
    program: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """cli.md 1: XDG_RUNTIME_DIR may be set but empty."""
    directory = f"{tmp_path}/run/1000"
    environment = {b"USER": user.encode()}
    if xdg is not None:
        environment[b"XDG_RUNTIME_DIR"] = directory.encode() if xdg else b""
    monkeypatch.setattr(posix, "environ", environment)
    monkeypatch.setattr(posix, "geteuid", lambda: euid)
    monkeypatch.setattr("pyoci.commands.settings._is_in_user_namespace", lambda: in_namespace)
    root = settings(program=program).root()
    assert root == (f"{directory}/{program}" if own else f"/run/{program}")
    if own:
        assert os.stat(root).st_mode & 0o7777 == 0o1700
        assert os.stat(directory).st_mode & 0o7777 == 0o700
        assert settings(program=program).root() == root


@pytest.mark.parametrize(
    ("word", "euid", "in_namespace", "rootless"),
    [
        ("true", 0, False, True),
        ("1", 0, False, True),
        ("false", 1000, True, False),
        ("auto", 0, False, False),
        ("auto", 0, True, True),
        ("auto", 1000, False, True),
    ],
)
def test_rootless(
    word: str, euid: int, in_namespace: bool, rootless: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posix, "geteuid", lambda: euid)
    monkeypatch.setattr("pyoci.commands.settings._is_in_user_namespace", lambda: in_namespace)
    assert settings(f"--rootless={word}").is_rootless() is rootless


def test_a_wrong_word_for_rootless() -> None:
    with pytest.raises(UsageError, match='invalid value "maybe" for --rootless'):
        settings("--rootless=maybe").is_rootless()


def test_our_own_namespace_is_the_hosts_or_not() -> None:
    from pyoci.commands import settings as module

    with open("/proc/self/uid_map", encoding="ascii") as file:
        host = file.read().split() == ["0", "0", "4294967295"]
    assert module._is_in_user_namespace() is not host


def test_a_slow_reader_gets_everything() -> None:
    """A pipe that does not block, as event loops make theirs."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    script = (
        f"import sys; sys.path.append({LIBRARY!r})\n"
        "from pyoci.commands.output import write\n"
        "write('x' * 300000)\n"
    )
    process = subprocess.Popen([sys.executable, "-I", "-c", script], stdout=write)
    os.close(write)
    size = 0
    while chunk := os.read(read, 4096):
        size += len(chunk)
    os.close(read)
    assert (process.wait(SECONDS), size) == (0, 300_000)
