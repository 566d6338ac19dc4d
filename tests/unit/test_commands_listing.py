# SPDX-License-Identifier: Apache-2.0
"""What list, ps and plan print (cli.md section 2)."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from pyoci import cli, container, log
from pyoci.commands import list as list_command
from pyoci.commands import ps as ps_command
from pyoci.errors import PyociError, StepError

STATES: list[dict[str, Any]] = [
    {
        "ociVersion": "1.3.0",
        "id": "a",
        "pid": 12,
        "status": "running",
        "bundle": "/b",
        "rootfs": "/b/rootfs",
        "created": "2026-01-02T03:04:05.123456789Z",
        "owner": "root",
    },
    {
        "ociVersion": "1.3.0",
        "id": "longer-than-nine",
        "pid": 0,
        "status": "stopped",
        "bundle": "/x\ny",
        "rootfs": "/b/rootfs",
        "created": "2026-01-02T03:04:05Z",
        "owner": "#7",
    },
]


@pytest.fixture(autouse=True)
def fresh_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "_log", log.Log())


def run(*words: str) -> int:
    return cli.main(["pyoci", *words])


def test_the_table_as_gos_tabwriter_aligns_it(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(container, "containers", lambda _: STATES)
    assert run("--root", str(tmp_path), "list") == 0
    assert capfd.readouterr().out.splitlines() == [
        "ID                 PID         STATUS      BUNDLE      CREATED"
        "                          OWNER",
        "a                  12          running     /b          2026-01-02T03:04:05.123456789Z   root",
        "longer-than-nine   0           stopped     /x?y        2026-01-02T03:04:05Z             #7",
    ]


def test_an_empty_table_is_a_header() -> None:
    header = [column.upper() for column in ("id", "pid", "status", "bundle", "created", "owner")]
    assert list_command.table([header]) == (
        "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n"
    )


def test_list_as_json_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """list.bats matches these bytes."""
    monkeypatch.setattr(container, "containers", lambda _: STATES)
    assert run("--root", str(tmp_path), "list", "--format", "json") == 0
    out = capfd.readouterr().out
    assert out.startswith(
        '[{"ociVersion":"1.3.0","id":"a","pid":12,"status":"running","bundle":"/b"'
    )
    assert out.endswith("}]\n")
    assert json.loads(out) == STATES


@pytest.mark.parametrize(("words", "out"), [(["-q"], ""), (["-f", "json"], "null\n")])
def test_no_container(
    words: list[str], out: str, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert run("--root", str(tmp_path), "list", *words) == 0
    assert capfd.readouterr().out == out


def test_ids_only(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(container, "containers", lambda _: STATES)
    assert run("--root", str(tmp_path), "list", "-q") == 0
    assert capfd.readouterr().out == "a\nlonger-than-nine\n"


def test_a_root_that_was_named_must_exist(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("--root", f"{tmp_path}/absent", "list") == 1
    assert f"open {tmp_path}/absent: no such file or directory" in capfd.readouterr().err


def test_the_default_root_may_be_yet_to_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("pyoci.commands.settings.Settings.root", lambda _: f"{tmp_path}/absent")
    assert run("list", "-f=json") == 0
    assert capfd.readouterr().out == "null\n"


@pytest.mark.parametrize(
    ("pids", "out"), [([1, 20, 3], "[1,20,3]\n"), (None, "null\n"), ([], "[]\n")]
)
def test_ps_as_json(
    pids: list[int] | None,
    out: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """go-runc reads stdout and stderr together."""
    monkeypatch.setattr(container, "processes", lambda *_: pids)
    assert run("ps", "--format", "json", "x") == 0
    assert capfd.readouterr() == (out, "")


def test_ps_shows_the_lines_of_our_pids(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(container, "processes", lambda *_: [os.getpid()])
    assert run("ps", "x") == 0
    header, line = capfd.readouterr().out.splitlines()
    assert "PID" in header.split()
    assert str(os.getpid()) in line.split()


def test_ps_hands_its_options_on(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """`ps ID -ef` stops reading flags at the id; containerd's Top gives one string."""
    monkeypatch.setattr(container, "processes", lambda *_: [os.getpid()])
    assert run("ps", "x", "-e", "-o", "pid,ppid") == 0
    out = capfd.readouterr().out.splitlines()
    assert [line.split() for line in out] == [
        ["PID", "PPID"],
        [str(os.getpid()), str(os.getppid())],
    ]


def test_ps_without_a_column_of_pids(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PyociError, match="couldn't find PID field in ps output"):
        ps_command.select_rows("USER COMMAND\nroot sh\n", frozenset({1}))


def test_ps_of_a_stopped_container_is_a_header() -> None:
    assert ps_command.select_rows("  PID CMD\n    1 init\n\n", frozenset()) == "  PID CMD\n"


def test_ps_shows_threads_with_their_process() -> None:
    """`ps ID -em`; runc 1.1 fails at the first thread."""
    listing = "  PID CMD\n    1 init\n    - -\n    2 sh\n    - -\n    - -\n    3 cat\n    - -\n"
    assert (
        ps_command.select_rows(listing, frozenset({2})) == "  PID CMD\n    2 sh\n    - -\n    - -\n"
    )


def test_ps_with_an_odd_line() -> None:
    with pytest.raises(PyociError, match="unexpected pid 'x' in ps output"):
        ps_command.select_rows("PID\nx\n", frozenset({1}))


def test_ps_that_fails() -> None:
    with pytest.raises(StepError, match=r"ps: exit status 1: "):
        ps_command.ask_ps(["--no-such-option"])


def test_ps_without_ps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ps_command, "PROGRAMS", ("/nonexistent/ps",))
    with pytest.raises(StepError, match='exec: "ps": executable file not found'):
        ps_command.ask_ps(["-ef"])


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "rootfs").mkdir()
    config = {
        "ociVersion": "1.0.0",
        "root": {"path": "rootfs"},
        "process": {"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0}},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_a_plan_for_people(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("plan", str(bundle)) == 0
    out = capfd.readouterr().out
    assert "linux.namespaces" in out
    assert out.splitlines()[-1].split()[-1].startswith(("execute", "env", "args", "argv"))


def test_a_plan_as_json(bundle: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("plan", "--json", str(bundle)) == 0
    operations = json.loads(capfd.readouterr().out)
    assert operations[-1]["operation"] == "execute"
    assert {"operation", "place", "arguments"} <= set(operations[0])


def test_a_plan_of_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("plan", str(tmp_path)) == 1
    assert capfd.readouterr().out == ""
