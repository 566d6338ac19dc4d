# SPDX-License-Identifier: Apache-2.0
"""Containers whose files are damaged or whose monitor cannot be replaced: they hide no others, are told of, and can be removed."""

import os
import shutil
import signal
from collections.abc import Callable

import pytest
from blackbox.processes import Ran, is_alive, until
from sides import Pypod

pytestmark = pytest.mark.root


def kill_monitor(pypod: Pypod) -> None:
    """Kill the one monitor there is."""
    (monitor,) = pypod.monitors()
    os.kill(monitor, signal.SIGKILL)
    until(lambda: not pypod.monitors(), "the monitor is dead")


def damage_settings(pypod: Pypod, identity: str) -> None:
    """Leave what its monitor must know unreadable."""
    kill_monitor(pypod)
    (pypod.run_root / "containers" / identity / "settings.json").write_text("{x")


def damage_status(pypod: Pypod, identity: str) -> None:
    """Leave its status unreadable, as a power cut may."""
    (pypod.root / "containers" / identity / "status.json").write_bytes(bytes(100))


def damage_status_of_killed(pypod: Pypod, identity: str) -> None:
    """The same without a monitor."""
    kill_monitor(pypod)
    damage_status(pypod, identity)


def remove_run_directory(pypod: Pypod, identity: str) -> None:
    """Leave nothing for another monitor to begin with."""
    kill_monitor(pypod)
    shutil.rmtree(pypod.run_root / "containers" / identity)


def remove_directory(pypod: Pypod, identity: str) -> None:
    """Leave nothing that survives a boot."""
    kill_monitor(pypod)
    shutil.rmtree(pypod.root / "containers" / identity)


LISTS = (
    ("ps", "--all", "--no-trunc"),
    ("ps", "--all", "--quiet", "--no-trunc", "--filter", "network=none"),
    ("info", "--format", "{{.Containers}}"),
    ("system", "df"),
    ("system", "df", "--verbose"),
    ("stats", "--no-stream"),
)


def is_told(ran: Ran) -> bool:
    """Tell whether a warning names the container, what is wrong and what to do."""
    lines = ran.stderr.splitlines()
    return (
        len(lines) == 1
        and lines[0].startswith("WARNING: container bad: ")
        and lines[0].endswith("; remove it with 'pypod rm --force bad'")
    )


@pytest.mark.parametrize("damage", [damage_status, damage_status_of_killed, remove_run_directory])
def test_lists_show_it_and_say_what_to_do(
    damage: Callable[[Pypod, str], None], pypod: Pypod
) -> None:
    """Whether it runs is the runtime's to say, then."""
    identity = pypod.start("bad", "exec sleep 1000")
    damage(pypod, identity)
    pypod.output("create", "--name", "good", "--network", "none", "box")
    for words in LISTS:
        ran = pypod(*words)
        assert (ran.code, is_told(ran)) == (0, True), (words, ran)
    assert "Up " in pypod.output("ps", "--filter", "name=bad", "--format", "{{.Status}}")
    assert identity not in pypod("container", "prune", "--force").stdout
    assert pypod.field("bad", "{{.State.Status}}") == "running"
    assert pypod("stop", "bad").code == pypod("rm", "bad").code == 1
    init = int(pypod.field("bad", "{{.State.Pid}}"))
    pypod.output("rm", "--force", "bad")
    until(lambda: not is_alive(init), "its program has ended")
    assert pypod.output("ps", "--all", "--quiet") == ""


def test_one_that_does_not_run_is_dead(pypod: Pypod) -> None:
    """Docker's state of what can only be removed."""
    pypod.output("run", "--name", "bad", "--network", "none", "box", "true")
    damage_status(pypod, pypod.field("bad", "{{.Id}}"))
    ran = pypod("ps", "--all", "--format", "{{.State}} {{.Status}}")
    assert (ran.stdout, is_told(ran)) == ("dead Dead\n", True)
    form = "{{.State.Status}} {{.State.Dead}} {{.State.Running}}"
    assert pypod.field("bad", form) == "dead true false"
    assert "status.json is damaged" in pypod.field("bad", "{{.State.Error}}")
    assert pypod("start", "bad").code == pypod("rm", "bad").code == 1
    pypod.output("rm", "--force", "bad")


def test_settings_are_written_anew(pypod: Pypod) -> None:
    """What a monitor must know is in the database, too."""
    damage_settings(pypod, pypod.start("bad", "exec sleep 1000"))
    assert pypod.output("ps", "--format", "{{.Names}}") == "bad\n"
    assert len(pypod.monitors()) == 1
    pypod.output("stop", "-t", "0", "bad")
    assert pypod.field("bad", "{{.State.ExitCode}}") == "137"


def test_a_program_without_a_record_goes_with_it(pypod: Pypod) -> None:
    """Nothing says that it runs; nothing of it may stay."""
    identity = pypod.start("bad", "exec sleep 1000")
    init = int(pypod.field("bad", "{{.State.Pid}}"))
    remove_directory(pypod, identity)
    assert pypod("ps", "--all").code == 0
    pypod.output("rm", "--force", "bad")
    until(lambda: not is_alive(init), "its program has ended")
