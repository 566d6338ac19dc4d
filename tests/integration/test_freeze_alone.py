# SPDX-License-Identifier: Apache-2.0
"""pause and resume without an interpreter (docs/adr/0019-freeze.md), and when not."""

import fcntl
import json
import os
from pathlib import Path

import pytest
from blackbox import host
from blackbox.alone import Alone, is_refused, launcher_only
from blackbox.bundle import MakeBundle
from blackbox.membership import is_frozen
from blackbox.processes import until
from blackbox.runtime import Container, Runtime

SLEEP = ("sleep", "1000")


@pytest.fixture
def alone(runtime: Runtime, scratch: Path) -> Alone:
    """A launcher without an interpreter; systemd is not asked for this, so that its units can be frozen, too."""
    if runtime.name != "pyoci":
        pytest.skip("others need no interpreter")
    return launcher_only(runtime, scratch)


def done(alone: Alone, *words: str) -> None:
    """Expect the launcher to do it, without a word."""
    ran = alone(*words)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "")


def controls(container: Container) -> list[Path]:
    """Return the files that freeze the container, in each hierarchy that can."""
    names = ("freezer.state", "cgroup.freeze")
    return [
        path
        for directory in host.cgroups(container.id)
        for path in (Path(directory, name) for name in names)
        if path.exists()
    ]


def word(control: Path, *, frozen: bool) -> str:
    """Return what a file takes and says."""
    words = ("THAWED", "FROZEN") if control.name == "freezer.state" else ("0", "1")
    return words[frozen]


@pytest.mark.parametrize("begun", [False, True], ids=["created", "running"])
def test_pause_and_resume(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, *, begun: bool
) -> None:
    """The kernel has frozen all of it, and `state` and `list` say so; then it is what it was."""
    container = (runtime.start if begun else runtime.create)(bundle(*SLEEP))
    before = container.status
    for _ in range(3):
        done(alone, "pause", container.id)
        assert is_frozen(container.pid)
        assert container.status == "paused"
        [row] = json.loads(runtime("list", "--format", "json").stdout)
        assert row["status"] == "paused"
        assert is_refused(alone("state", container.id))
        done(alone, "resume", container.id)
        assert not is_frozen(container.pid)
        assert (
            container.status == before == json.loads(alone("state", container.id).stdout)["status"]
        )


def test_python_and_the_launcher_undo_each_others(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """A flag that the launcher does not know makes it Python's."""
    container = runtime.start(bundle(*SLEEP))
    done(alone, "pause", container.id)
    assert runtime("resume", container.id, flags=["--debug"]).code == 0
    assert container.status == "running"
    assert runtime("pause", container.id, flags=["--debug"]).code == 0
    assert container.status == "paused"
    done(alone, "resume", container.id)
    assert container.status == "running"


@pytest.mark.parametrize(
    ("verb", "paused", "words"),
    [("pause", True, "container not running"), ("resume", False, "container not paused")],
)
def test_the_wrong_status_is_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, verb: str, paused: bool, words: str
) -> None:
    """It alone has the words; the container stays as it is."""
    container = runtime.start(bundle(*SLEEP))
    if paused:
        done(alone, "pause", container.id)
    assert is_refused(alone(verb, container.id))
    assert is_frozen(container.pid) == paused
    ran = runtime(verb, container.id)
    assert (ran.code, ran.message.strip()) == (1, words)


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_not_ordinary_is_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone, verb: str
) -> None:
    """Other words, a busy container, a file that does not say how, a stopped container."""
    container = runtime.start(bundle(*SLEEP))
    if verb == "resume":
        done(alone, "pause", container.id)
    paused = verb == "resume"
    for command in ((verb, "--help", container.id), (verb, container.id, container.id), (verb,)):
        assert is_refused(alone(*command))
    directory = os.open(runtime.root / container.id, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    assert is_refused(alone(verb, container.id))
    os.close(directory)
    path = runtime.root / container.id / "shortcut"
    lines = path.read_text()
    for other in ("", f"freeze {runtime.root}/freezer.state\n", "freeze /sys/fs/cgroup\n"):
        kept = [line for line in lines.splitlines(keepends=True) if line[:7] != "freeze "]
        path.write_text("".join([kept[0], other, *kept[1:]]))
        assert is_refused(alone(verb, container.id))
    path.write_text(lines)
    assert is_frozen(container.pid) == paused
    assert container.status == ("paused" if paused else "running")
    container.kill("KILL")
    container.wait("stopped")
    assert is_refused(alone(verb, container.id))


def test_what_another_hierarchy_keeps_frozen_is_pythons(
    runtime: Runtime, bundle: MakeBundle, alone: Alone
) -> None:
    """Hybrid: somebody has used version 2's freezer; resume thaws both."""
    container = runtime.start(bundle(*SLEEP))
    found = controls(container)
    if len(found) < 2:
        pytest.skip("only a hybrid layout has two freezers")
    for control in found:
        control.write_text(word(control, frozen=True))
    until(lambda: is_frozen(container.pid), "version 1's is frozen")
    assert is_refused(alone("resume", container.id))
    assert container.status == "paused"
    assert runtime("resume", container.id).code == 0
    assert [path.read_text().strip() for path in found] == [word(p, frozen=False) for p in found]
    assert container.status == "running"
