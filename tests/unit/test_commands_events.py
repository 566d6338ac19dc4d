# SPDX-License-Identifier: Apache-2.0
"""`events`: its flags, and what it prints of what is reported."""

from typing import Any

import pytest

from pyoci import cli, events, log
from pyoci.commands.events import seconds
from pyoci.errors import UsageError

STATS: dict[str, Any] = {"type": "stats", "id": "x", "data": {"pids": {}}}
OOM: dict[str, Any] = {"type": "oom", "id": "x"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What was asked of the module that reports."""
    calls: list[tuple[Any, ...]] = []

    def once(*arguments: Any) -> dict[str, Any]:
        calls.append(arguments)
        return STATS

    def stream(*arguments: Any) -> list[dict[str, Any]]:
        calls.append(arguments)
        return [STATS, OOM]

    monkeypatch.setattr(log, "_log", log.Log())
    monkeypatch.setattr(events, "once", once)
    monkeypatch.setattr(events, "stream", stream)
    return calls


def main(*words: str) -> int:
    return cli.main(["pyoci", "--root", "/r", "events", *words])


def test_statistics_once(asked: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    assert main("--stats", "x") == 0
    assert asked == [("/r", "x")]
    assert capfd.readouterr().out == '{"type":"stats","id":"x","data":{"pids":{}}}\n'


def test_a_stream_is_a_line_an_event(asked: list[Any], capfd: pytest.CaptureFixture[str]) -> None:
    """cli.md 2, events: the exact bytes of an oom event."""
    assert main("x") == 0
    assert asked == [("/r", "x", 5.0)]
    assert capfd.readouterr().out.splitlines()[1] == '{"type":"oom","id":"x"}'


def test_the_interval_is_handed_on(asked: list[Any]) -> None:
    assert main("--interval=250ms", "x") == 0
    assert asked == [("/r", "x", 0.25)]


@pytest.mark.parametrize("given", ["0", "0s", "-1s"])
def test_the_interval_must_be_positive(
    asked: list[Any], given: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert main("--interval", given, "x") == 1
    assert asked == []
    assert "duration interval must be greater than 0" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("5s", 5),
        ("1m30s", 90),
        ("1h", 3600),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("100ms", 0.1),
        ("1us", 1e-6),
        ("1µs", 1e-6),
        ("1ns", 1e-9),
        ("+2s", 2),
        ("-2s", -2),
        ("0", 0),
    ],
)
def test_durations_of_go(given: str, wanted: float) -> None:
    """time.ParseDuration."""
    assert seconds(given) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "given", ["", "5", "s", "-", "5 s", "5d", "1.2.3s", ".s", "5s ", "s5", "∞s"]
)
def test_what_is_no_duration(given: str) -> None:
    with pytest.raises(UsageError, match="for flag -interval: parse error"):
        seconds(given)
