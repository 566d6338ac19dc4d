# SPDX-License-Identifier: Apache-2.0
"""The log in logrus's forms (cli.md section 1.2)."""

import json
import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyoci import log
from pyoci.errors import UsageError

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    fresh = log.Log()
    monkeypatch.setattr(log, "_log", fresh)
    yield
    if fresh.fd != log.STDERR:
        os.close(fresh.fd)


def open_log(tmp_path: Path, form: str, *, debug: bool = False) -> Path:
    path = tmp_path / "log"
    log.configure(str(path), form, debug=debug)
    return path


def test_an_error_is_one_json_object_and_a_plain_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """cli.md 1.2: podman unmarshals the whole file as one object; conmon and cri-o read stderr."""
    path = open_log(tmp_path, "json")
    log.warning("first")
    log.error('container "x" does not exist')
    entry = json.loads(path.read_text())
    assert list(entry) == ["level", "msg", "time"]
    assert (entry["level"], entry["msg"]) == ("error", 'container "x" does not exist')
    assert re.fullmatch(TIME, entry["time"])
    assert capfd.readouterr().err == 'container "x" does not exist\n'


def test_warnings_reach_a_json_log_when_nothing_failed(tmp_path: Path) -> None:
    path = open_log(tmp_path, "json")
    log.warning("first")
    assert path.read_text() == ""
    log.flush()
    log.flush()
    assert json.loads(path.read_text())["level"] == "warning"


def test_a_text_log(tmp_path: Path) -> None:
    path = open_log(tmp_path, "text")
    log.warning("plain-word")
    log.error('a "quoted"\nback\\slash')
    first, second = path.read_text().splitlines()
    assert re.fullmatch(f'time="{TIME}" level=warning msg=plain-word', first)
    assert second.endswith(r' level=error msg="a \"quoted\"\nback\\slash"')


def test_without_a_file_the_log_is_stderr_once(capfd: pytest.CaptureFixture[str]) -> None:
    log.configure("", "", debug=False)
    log.error("gone wrong")
    assert re.fullmatch(f'time="{TIME}" level=error msg="gone wrong"\n', capfd.readouterr().err)


def test_a_terminal_gets_the_short_form() -> None:
    master, slave = pty.openpty()
    saved = os.dup(2)
    os.dup2(slave, 2)
    try:
        log.error("gone wrong")
    finally:
        os.dup2(saved, 2)
        os.close(saved)
    assert os.read(master, 100) == b"ERRO[0000] gone wrong\r\n"
    os.close(master)
    os.close(slave)


def test_debug_is_silent_until_asked_for(tmp_path: Path) -> None:
    path = open_log(tmp_path, "text")
    log.debug("step")
    assert path.read_text() == ""
    assert not log.is_debugging()


def test_debug_names_its_caller(tmp_path: Path) -> None:
    path = open_log(tmp_path, "json", debug=True)
    log.debug("step")
    log.warning("at once")
    first, second = map(json.loads, path.read_text().splitlines())
    assert list(first) == ["file", "func", "level", "msg", "time"]
    assert "/test_log.py:" in first["file"]
    assert first["func"].endswith("test_debug_names_its_caller")
    assert second["level"] == "warning"


def test_a_log_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("before\n")
    open_log(tmp_path, "text")
    log.error("x")
    assert path.read_text().startswith("before\n")


def test_a_wrong_format_is_refused() -> None:
    with pytest.raises(UsageError, match="invalid log-format: yaml"):
        log.configure("", "yaml", debug=False)


@pytest.mark.parametrize(
    ("message", "shown"),
    [("a\nb", "a\\nb"), ("\x1b[31m", "\\x1b[31m"), ("\udcff", "\\xff"), ("ü", "ü")],
)
def test_a_message_stays_on_its_line(message: str, shown: str) -> None:
    """An image's words must not move an administrator's cursor."""
    assert log.printable(message) == shown


def test_a_log_that_cannot_be_written_changes_nothing(tmp_path: Path) -> None:
    log.configure("/dev/full", "text", debug=False)
    log.error("x")
