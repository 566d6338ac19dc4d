# SPDX-License-Identifier: Apache-2.0
"""Checkpoint and restore by the engines, which hand criu's images on: containerd, Docker, podman."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from blackbox.processes import until
from engines.containerd import Containerd
from engines.docker import Docker
from engines.podman import Podman, Rootless

pytestmark = pytest.mark.usefixtures("criu")
# It counts in memory: a file alone would not tell a restored process from a new one.
COUNTING = [
    "sh",
    "-c",
    "i=0; while :; do i=$((i+1)); echo $i >/new; mv /new /count; usleep 50000; done",
]
SAYING = ["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i; usleep 50000; done"]
SECONDS = 30
_numbers = itertools.count()


def beyond(reading: Callable[[], str], last: int) -> int:
    """Wait until a counter is past `last`, and return it."""
    until(lambda: int(reading() or 0) > last, f"it counts on from {last}", SECONDS)
    return int(reading())


@pytest.fixture
def rooted(podman: Podman) -> Podman:
    """Podman of root: it checkpoints no others."""
    if isinstance(podman, Rootless):
        pytest.skip("podman checkpoints containers of root only")
    return podman


def logged(podman: Podman, name: str) -> int:
    """Return the last number that a container has written."""
    return int(podman.output("logs", "--tail", "1", name) or 0)


def test_podman_takes_a_container_up_again(rooted: Podman) -> None:
    """podman container checkpoint, restore: the same container goes on where it was."""
    name = rooted.start_container("--network=none", "--", *SAYING)
    rooted.logged(name, "5\n")
    rooted.output("container", "checkpoint", name)
    assert rooted.inspect(name, "State.Status") == "exited"
    last = logged(rooted, name)
    rooted.output("container", "restore", name)
    assert rooted.logged(name, f"\n{last + 5}\n").count(f"\n{last + 1}\n") == 1


def test_podman_moves_a_container(rooted: Podman, scratch: Path) -> None:
    """--export, --leave-running, --import under another name: both run."""
    name = rooted.start_container("--network=none", "--", *COUNTING)
    count = ["cat", "/count"]
    beyond(lambda: rooted("exec", name, *count).stdout, 0)
    archive = str(scratch / "archive.tar.zst")
    rooted.output("container", "checkpoint", "--leave-running", "--export", archive, name)
    last = beyond(lambda: rooted("exec", name, *count).stdout, 0)
    rooted.output("rm", "--force", "--time", "0", name)
    rooted.output("container", "restore", "--import", archive, "--name", "moved")
    assert beyond(lambda: rooted("exec", "moved", *count).stdout, 0) > 1
    beyond(lambda: rooted("exec", "moved", *count).stdout, last)


def test_podman_saves_memory_before(rooted: Podman) -> None:
    """--pre-checkpoint, --with-previous: cli.md 4, --parent-path ../pre-checkpoint."""
    name = rooted.start_container("--network=none", "--", *SAYING)
    rooted.logged(name, "5\n")
    rooted.output("container", "checkpoint", "--pre-checkpoint", name)
    assert rooted.inspect(name, "State.Status") == "running"
    rooted.output("container", "checkpoint", "--with-previous", name)
    last = logged(rooted, name)
    rooted.output("container", "restore", name)
    rooted.logged(name, f"\n{last + 5}\n")


def test_containerd_makes_an_image_of_a_container(containerd: Containerd) -> None:
    """ctr container checkpoint --task (of a paused task), and restore --live under another name."""
    name = containerd.start_container("--", *COUNTING)
    last = beyond(lambda: containerd.exec(name, "cat", "/count").stdout, 0)
    reference = f"tested.example/checkpoint:{next(_numbers)}"
    containerd.output("container", "checkpoint", "--rw", "--image", "--task", name, reference)
    assert containerd.status(name) == "RUNNING"
    containerd.output("task", "kill", "--signal", "KILL", name)
    containerd.wait(name, "STOPPED")
    ran = containerd.restore(f"{name}-again", reference)
    assert ran.code == 0, ran
    beyond(lambda: containerd.exec(f"{name}-again", "cat", "/count").stdout, last)


def test_containerd_saves_images_in_a_directory(containerd: Containerd, scratch: Path) -> None:
    """ctr task checkpoint --exit --image-path, --work-path: the task ends."""
    name = containerd.start_container("--", *COUNTING)
    beyond(lambda: containerd.exec(name, "cat", "/count").stdout, 0)
    where = ["--image-path", str(scratch / "images"), "--work-path", str(scratch / "work")]
    containerd.output("task", "checkpoint", "--exit", *where, name)
    containerd.wait(name, "STOPPED")
    assert (scratch / "images/inventory.img").exists()
    assert (scratch / "work/dump.log").exists()


def test_docker_takes_a_container_up_again(docker: Docker) -> None:
    """docker checkpoint create, docker start --checkpoint."""
    name = docker.start_container(
        "--network=none", "--security-opt=seccomp=unconfined", "--", *COUNTING
    )
    last = beyond(lambda: docker("exec", name, "cat", "/count").stdout, 0)
    docker.output("checkpoint", "create", name, "first")
    until(lambda: docker.state(name)["Status"] == "exited", "it has ended")
    assert "first" in docker.output("checkpoint", "ls", name)
    docker.output("start", "--checkpoint", "first", name)
    beyond(lambda: docker("exec", name, "cat", "/count").stdout, last)
