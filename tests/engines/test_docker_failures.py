# SPDX-License-Identifier: Apache-2.0
"""Every failure that Docker translates reads as it does with runc: exit code and words."""

from pathlib import Path

import pytest
from blackbox.processes import until
from engines.docker import Docker
from engines.failures import EAT, EXEC_FAILURES, FAILURES, GATE, REFUSALS, same, same_refusal

RUNTIMES = ("runc", "pyoci")


@pytest.mark.parametrize("name", FAILURES)
def test_a_container(docker: Docker, name: str) -> None:
    """cli.md 4, moby: the text of the error decides on the exit code."""
    options, command = FAILURES[name]
    same(*(docker.run(f"--runtime={one}", *options, "--", *command) for one in RUNTIMES))


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal(docker: Docker, name: str) -> None:
    """cli.md 4, moby: words decide on the exit code, and on a hint for the user."""
    options, cause = REFUSALS[name]
    ran = [docker.run(f"--runtime={one}", *options, "--", "true") for one in RUNTIMES]
    same_refusal(*ran, cause)


@pytest.mark.parametrize("command", EXEC_FAILURES)
def test_exec(docker: Docker, command: str) -> None:
    """docker exec: 126, 127."""
    names = [docker.start_container(f"--runtime={one}", "--", "sleep", "1000") for one in RUNTIMES]
    same(*(docker("exec", name, command) for name in names))


@pytest.mark.parametrize("command", ["exec {} true", "kill {}", "pause {}", "stop {}", "top {}"])
def test_nobody_is_there(docker: Docker, command: str) -> None:
    """A stopped container, and no container at all."""
    names = [docker.start_container(f"--runtime={one}", "--", "true") for one in RUNTIMES]
    for name in names:
        docker.output("wait", name)
    same(*(docker(*command.format(name).split()) for name in names))
    assert "No such container" in docker(*command.format("no-such").split()).stderr


@pytest.mark.usefixtures("limits")
def test_out_of_memory(docker: Docker, scratch: Path) -> None:
    """State.OOMKilled and 137."""
    options = ["-m", "16m", "--memory-swap", "16m", f"--volume={scratch}:{GATE}:ro"]
    names = [docker.start_container(f"--runtime={one}", *options, "--", *EAT) for one in RUNTIMES]
    (scratch / "open").touch()
    for name in names:
        assert docker.output("wait", name) == "137\n"
    until(
        lambda: all(docker.state(name)["OOMKilled"] for name in names), "the daemon hears of both"
    )
    assert docker.state(names[0])["Error"] == docker.state(names[1])["Error"]
