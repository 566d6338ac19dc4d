# SPDX-License-Identifier: Apache-2.0
"""Docker with its networks: groups of containers, builds, and a daemon that ends under them."""

import os
import signal
from pathlib import Path

import pytest
from blackbox.processes import Running, is_alive, until
from engines.docker import NetworkedDocker

SLEEP = ["--", "sleep", "1000"]
SERVE = "echo 'echo $(hostname); cat' > /tmp/serve; while :; do nc -l -p 80 -e sh /tmp/serve; done"
DOCKERFILE = """
FROM box
RUN echo built > /made && id -u > /user
USER 1000
RUN id -u > /tmp/second && cat /made
"""


def test_the_information(networked: NetworkedDocker) -> None:
    """docker info: the default runtime, and the version of it."""
    shown = networked.output("info", "--format", "{{.DefaultRuntime}} {{.RuncCommit.ID}}")
    assert shown.split()[0] == "pyoci"
    assert len(shown.split()) == 2


def test_the_default_network(networked: NetworkedDocker) -> None:
    """An interface that the engine moved into the container's namespace before it started."""
    shown = networked.shell("ip -o addr show eth0 | cut -d' ' -f 7; ip route | head -1")
    assert shown.startswith("172.17.")
    assert "default via 172.17." in shown


def test_a_group_of_containers(networked: NetworkedDocker) -> None:
    """What compose does: a network, names, a volume, one container that speaks to another."""
    networked.output("network", "create", "group")
    options = ["--network", "group", "--network-alias", "server", "--hostname", "its-name"]
    server = networked.start_container(*options, "--", "sh", "-c", SERVE)
    until(lambda: ":0050 " in listening(networked, server), "it listens")
    script = "echo question | nc -w 5 server 80"
    assert networked.shell(script, "--network", "group") == "its-name\nquestion\n"
    networked.output("rm", "--force", server)
    networked.output("network", "rm", "group")


def listening(docker: NetworkedDocker, name: str) -> str:
    """Return the sockets of a container."""
    return docker.output("exec", name, "cat", "/proc/net/tcp", "/proc/net/tcp6")


def test_a_published_port(networked: NetworkedDocker, session: Path) -> None:
    """docker run -p: reached from the daemon's own network namespace."""
    name = networked.start_container(
        "-p", "127.0.0.1:8088:80", "--hostname", "web", "--", "sh", "-c", SERVE
    )
    until(lambda: ":0050 " in listening(networked, name), "it listens")
    client = [*networked.inside(), str(session / "busybox"), "sh", "-c"]
    script = f"echo question | {session}/busybox nc -w 5 127.0.0.1 8088"
    ran = Running([*client, script], networked.outputs).wait()
    assert ran.stdout == "web\nquestion\n", ran


@pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "buildkit"])
def test_build(networked: NetworkedDocker, scratch: Path, buildkit: str) -> None:
    """docker build: each RUN is a container; BuildKit's are run by `runc` of the PATH."""
    (scratch / "Dockerfile").write_text(DOCKERFILE)
    networked.environment["DOCKER_BUILDKIT"] = buildkit
    made = networked("build", "--tag", "made", str(scratch))
    assert made.code == 0, made
    assert networked.output("run", "--rm", "made", "cat", "/made", "/user", "/tmp/second") == (
        "built\n0\n1000\n"
    )
    networked.output("rmi", "made")


@pytest.mark.parametrize("buildkit", ["0", "1"], ids=["classic", "buildkit"])
def test_a_failed_build(networked: NetworkedDocker, scratch: Path, buildkit: str) -> None:
    """The exit code of a RUN is in the build's failure."""
    (scratch / "Dockerfile").write_text("FROM box\nRUN exit 23\n")
    networked.environment["DOCKER_BUILDKIT"] = buildkit
    ran = networked("build", str(scratch))
    assert ran.code != 0
    assert "23" in ran.stdout + ran.stderr


def test_the_daemon_ends_and_starts_again(networked: NetworkedDocker) -> None:
    """--live-restore: the containers go on, and the daemon finds them again."""
    name = networked.start_container(*SLEEP)
    pid = networked.state(name)["Pid"]
    assert networked.process is not None
    networked.process.signal(signal.SIGTERM)
    networked.process.wait()
    assert is_alive(pid)
    networked.start_daemon()
    assert networked.state(name)["Pid"] == pid
    assert networked.output("exec", name, "cat", "/proc/1/comm") == "sleep\n"
    os.kill(pid, signal.SIGKILL)
    assert networked.output("wait", name) == "137\n"
