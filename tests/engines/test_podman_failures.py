# SPDX-License-Identifier: Apache-2.0
"""Every failure that podman translates reads as it does with runc: exit code and words."""

import pytest
from engines.failures import EXEC_FAILURES, FAILURES, REFUSALS, same, same_refusal
from engines.podman import Podman

# podman starts slowly: some three minutes for all of them.
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FAILURES)
def test_a_container(podman: Podman, runc: str, program: str, name: str) -> None:
    """cli.md 4, podman: the words of the log decide on the exit code."""
    options, command = FAILURES[name]
    same(*(podman.run_by(one, *options, "--", *command) for one in (runc, program)))


@pytest.mark.parametrize("name", REFUSALS)
def test_a_refusal(podman: Podman, runc: str, program: str, name: str) -> None:
    """cli.md 4, podman: what cannot be mounted or set."""
    options, cause = REFUSALS[name]
    ran = [podman.run_by(one, *options, "--", "true") for one in (runc, program)]
    same_refusal(*ran, cause)


@pytest.mark.parametrize("command", EXEC_FAILURES)
def test_exec(podman: Podman, runc: str, program: str, command: str) -> None:
    """podman exec: 126, 127."""
    names = [podman.start_by(one, "--", "sleep", "1000") for one in (runc, program)]
    same(*(podman("exec", name, command) for name in names))


@pytest.mark.parametrize("command", ["exec {} true", "kill {}", "pause {}", "top {}"])
def test_nobody_is_there(podman: Podman, runc: str, program: str, command: str) -> None:
    """A stopped container, and no container at all."""
    names = [podman.start_by(one, "--", "true") for one in (runc, program)]
    for name in names:
        podman.output("wait", name)
    same(*(podman(*command.format(name).split()) for name in names))
    ran = podman(*command.format("no-such").split())
    assert 'no container with name or ID "no-such" found' in ran.stderr
