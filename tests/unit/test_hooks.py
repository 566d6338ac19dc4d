# SPDX-License-Identifier: Apache-2.0
"""Hooks of the runtime's namespace, with real programs."""

import os
import time

import pytest

from pyoci import hooks
from pyoci.errors import HookError

STATE = b'{"id":"box"}'


def hook(script: str, timeout: int | None = None, env: list[str] | None = None) -> "dict":
    return {"path": "/bin/sh", "args": ["sh", "-c", script], "env": env, "timeout": timeout}


def test_the_state_is_on_stdin(tmp_path: "os.PathLike[str]") -> None:
    """runtime.md#state: the state MUST be passed to hooks over stdin."""
    hooks.run("prestart", [hook(f"cat > {tmp_path}/state")], STATE)
    with open(f"{tmp_path}/state", "rb") as file:
        assert file.read() == STATE


def test_args_are_the_whole_argv_and_default_to_the_path() -> None:
    hooks.run("prestart", [{"path": "/bin/true", "args": [], "env": None, "timeout": None}], STATE)


def test_the_environment_is_exactly_what_is_asked_for(tmp_path: "os.PathLike[str]") -> None:
    """config.md#posix-platform-hooks: env has the semantics of environ(7); Python's own LC_CTYPE must not leak."""
    hooks.run("prestart", [hook(f"/usr/bin/env > {tmp_path}/env", env=["A=1", "B=x=y"])], STATE)
    with open(f"{tmp_path}/env", encoding="utf-8") as file:
        found = {line.partition("=")[0]: line.rstrip() for line in file}
    assert found["A"] == "A=1"
    assert found["B"] == "B=x=y"
    assert not set(found) - {"A", "B", "PWD", "_", "SHLVL", "OLDPWD"}


def test_a_failure_names_the_hook_its_status_and_keeps_its_output() -> None:
    with pytest.raises(HookError) as caught:
        hooks.run("createRuntime", [hook("exit 0"), hook("echo out; echo err >&2; exit 7")], STATE)
    text = "error running createRuntime hook #1: exit status 7, stdout: out, stderr: err"
    assert str(caught.value) == text


def test_hooks_after_a_failed_one_do_not_run(tmp_path: "os.PathLike[str]") -> None:
    with pytest.raises(HookError):
        hooks.run("prestart", [hook("exit 1"), hook(f"touch {tmp_path}/ran")], STATE)
    assert not os.path.exists(f"{tmp_path}/ran")


def test_a_signal_is_named() -> None:
    with pytest.raises(HookError, match="hook #0: signal 15"):
        hooks.run("prestart", [hook("kill -TERM $$")], STATE)


def test_a_missing_hook_is_named() -> None:
    with pytest.raises(HookError, match="/no/such: no such file or directory"):
        hooks.run(
            "prestart", [{"path": "/no/such", "args": [], "env": None, "timeout": None}], STATE
        )


def test_past_its_timeout_a_hook_and_its_children_are_killed(tmp_path: "os.PathLike[str]") -> None:
    """Matrix 107: no `sleep` is left."""
    script = f"sleep 600 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(HookError, match="hook ran past specified timeout of 1.0s"):
        hooks.run("prestart", [hook(script, timeout=1)], STATE)
    with open(f"{tmp_path}/pid", encoding="utf-8") as file:
        pid = int(file.read())
    deadline = time.monotonic() + 10
    while os.path.exists(f"/proc/{pid}") and time.monotonic() < deadline:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            if file.read().split(")")[1].split()[0] == "Z":
                break
    else:
        assert not os.path.exists(f"/proc/{pid}")


def test_a_daemon_that_keeps_the_output_open_does_not_hold_us_back(
    tmp_path: "os.PathLike[str]",
) -> None:
    """Matrix 106."""
    hooks.run("prestart", [hook(f"sleep 600 & echo $! > {tmp_path}/pid", timeout=60)], STATE)
    with open(f"{tmp_path}/pid", encoding="utf-8") as file:
        os.kill(int(file.read()), 9)


def test_a_hook_that_never_reads_a_large_state_does_no_harm() -> None:
    """Matrix 108: 200 KB on stdin, unread."""
    hooks.run("prestart", [hook("exit 0", timeout=60)], b"x" * 200_000)


def test_a_hook_is_told_before_it_is_waited_for() -> None:
    told: list[int] = []
    hooks.run("prestart", [hook("exit 0")], STATE, told.append)
    assert len(told) == 1


def test_broken_pipes_kill_a_hook_as_everywhere(tmp_path: "os.PathLike[str]") -> None:
    """Python ignores SIGPIPE; a program must find the default."""
    hooks.run("prestart", [hook(f"grep SigIgn /proc/self/status > {tmp_path}/ignored")], STATE)
    with open(f"{tmp_path}/ignored", encoding="utf-8") as file:
        assert not int(file.read().split()[1], 16) & 1 << 12
