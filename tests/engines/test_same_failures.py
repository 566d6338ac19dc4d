# SPDX-License-Identifier: Apache-2.0
"""Every failure that an engine translates reads as it does with runc: exit code and words."""

import re
import shutil
from collections.abc import Callable

import pytest
from blackbox.processes import Ran, until
from engines.containerd import Containerd
from engines.docker import Docker
from engines.podman import Podman

# Containers that fail, whose engine says so: (options that docker and podman share, command).
FAILURES: dict[str, tuple[list[str], list[str]]] = {
    "missing": ([], ["no-such-program"]),
    "missing path": ([], ["/no/such"]),
    "not executable": ([], ["/bin/not-executable"]),
    "directory": ([], ["/etc"]),
    "in a file": ([], ["/etc/passwd/x"]),
    "interpreter": ([], ["/bin/no-interpreter"]),
    "empty": ([], [""]),
    "code": ([], ["sh", "-c", "exit 42"]),
    "signal": ([], ["sh", "-c", "kill -9 $$; sleep 0.1; echo process 1 survives"]),
    "user": (["--user", "nobody-knows"], ["true"]),
    "work directory": (["--workdir", "/etc/passwd"], ["true"]),
    "work directory of others": (["--workdir=/root", "--user=77", "--cap-drop=all"], ["pwd"]),
    "sysctl of the host": (["--sysctl", "net.no.such=1"], ["true"]),
    "file on directory": (["--volume=/etc/hostname:/etc"], ["true"]),
    "directory on file": (["--volume=/usr/share:/etc/passwd"], ["true"]),
    "below a file": (["--volume=/usr/share:/etc/passwd/x"], ["true"]),
    "on proc": (["--volume=/usr/share:/proc/none"], ["true"]),
    "path of user": (["--env=PATH=/root", "--user=77"], ["ls"]),
}
# (pattern, replacement, reason): applied to both outputs.
DIFFERENCES = [
    (r"\b[0-9a-f]{12,64}\b", "ID", "the container's own id"),
    (r"\S*/?(runc|pyoci|crun)\b(?=:| (create|run|exec) failed)", "RUNTIME", "each gives its name"),
    ("unable to start container process: ", "", "runc's name of a step"),
    ("is a directory: permission denied", "permission denied", "newer runcs say the first half"),
    (r"time=.*error waiting for container: .*\n", "", "the client says so, or is too late"),
    (r"\bc\d+\b", "NAME", "the container's own name"),
    (r'rootfs="[^"]*"|\S*/(merged|rootfs|vfs/dir/ID)', "ROOT", "where the root of a container is"),
]


def normal(ran: Ran) -> tuple[int, str, str]:
    """Return exit code and outputs without what differs on purpose."""
    texts = [ran.stdout, ran.stderr]
    for pattern, replacement, _ in DIFFERENCES:
        texts = [re.sub(pattern, replacement, text) for text in texts]
    return ran.code, texts[0].strip(), texts[1].strip()


@pytest.fixture
def runc() -> str:
    """The path of runc."""
    found = shutil.which("runc")
    if found is None:
        pytest.skip("needs runc to compare with: apt-get install runc")
    return found


def both(run: Callable[[str], Ran], runc: str, program: str) -> None:
    """Fail unless the same is said with both runtimes."""
    expected, got = run(runc), run(program)
    assert normal(got) == normal(expected)


@pytest.mark.parametrize("name", FAILURES)
def test_under_docker(docker: Docker, name: str) -> None:
    """cli.md 4, moby: the text of the error decides on the exit code."""
    options, command = FAILURES[name]

    def run(runtime: str) -> Ran:
        return docker.run(f"--runtime={runtime}", *options, "--", *command)

    both(run, "runc", "pyoci")


@pytest.mark.parametrize("name", FAILURES)
def test_under_podman(podman: Podman, runc: str, program: str, name: str) -> None:
    """cli.md 4, podman: the words of the log decide on the exit code."""
    options, command = FAILURES[name]
    both(lambda runtime: podman.run_by(runtime, *options, "--", *command), runc, program)


@pytest.mark.parametrize("name", [name for name in FAILURES if not FAILURES[name][0]])
def test_under_containerd(containerd: Containerd, runc: str, program: str, name: str) -> None:
    """cli.md 4, containerd: the log's last line."""
    command = FAILURES[name][1]
    both(lambda runtime: containerd.run("--", *command, program=runtime), runc, program)


EXEC_FAILURES = ["no-such", "/no/such", "/bin/not-executable", "/etc", "/bin/no-interpreter"]


@pytest.mark.parametrize("command", EXEC_FAILURES)
def test_exec_under_docker(docker: Docker, command: str) -> None:
    """docker exec: 126, 127."""

    def run(runtime: str) -> Ran:
        name = docker.start_container(f"--runtime={runtime}", "--", "sleep", "1000")
        return docker("exec", name, command)

    both(run, "runc", "pyoci")


@pytest.mark.parametrize("command", EXEC_FAILURES)
def test_exec_under_podman(podman: Podman, runc: str, program: str, command: str) -> None:
    """podman exec: 126, 127."""

    def run(runtime: str) -> Ran:
        name = podman.start_by(runtime, "--", "sleep", "1000")
        return podman("exec", name, command)

    both(run, runc, program)


@pytest.mark.parametrize("command", ["exec {} true", "kill {}", "pause {}", "stop {}", "top {}"])
def test_nobody_is_there(docker: Docker, podman: Podman, command: str) -> None:
    """A stopped container and no container at all."""
    for engine, first, second in (
        (docker, ["--runtime=runc"], ["--runtime=pyoci"]),
        (podman, [], []),
    ):
        said = []
        for options in (first, second):
            name = engine.start_container(*options, "--", "true")
            engine.output("wait", name)
            said.append(normal(engine(*command.format(name).split())))
        assert said[0] == said[1]
        ran = engine(*command.format("no-such-container").split())
        assert "o such container" in ran.stderr or "no container with name or ID" in ran.stderr


def test_out_of_memory_under_docker(docker: Docker, limits: None) -> None:
    """State.OOMKilled and 137."""
    seen = []
    for runtime in ("runc", "pyoci"):
        eat = ["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=4"]
        options = [f"--runtime={runtime}", "-m", "16m", "--memory-swap", "16m"]
        name = docker.start_container(*options, "--", *eat)
        docker.output("wait", name)
        until(lambda: docker.state(name)["OOMKilled"], "the daemon hears of it")  # noqa: B023
        seen.append((docker.state(name)["ExitCode"], docker.state(name)["Error"]))
    assert seen[0] == seen[1] == (137, "")
