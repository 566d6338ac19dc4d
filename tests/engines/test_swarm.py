# SPDX-License-Identifier: Apache-2.0
"""Docker Swarm with pyoci as the default runtime of every machine."""

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from blackbox.processes import until
from engines import docker as docker_engine
from engines.conftest import new_directory, require
from engines.swarm import Swarm

REPLICAS = 20
# Ends at once when it is asked to.
SERVE = ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"]
CREATE = ["service", "create", "--detach", "--quiet", "--no-resolve-image"]


@pytest.fixture(scope="module")
def swarm(session: Path, limits: None, program: str, root_archive: Path) -> Iterator[Swarm]:
    """Three machines that form a swarm; what they leave at its end is an error."""
    require(docker_engine.SERVER, docker_engine.CLIENT, "/usr/sbin/iptables")
    engine = Swarm(new_directory(session, "swarm"), f"engines-{os.getpid()}-swarm", program)
    engine.form(root_archive)
    yield engine
    left = engine.stop()
    assert not left, left
    shutil.rmtree(engine.directory)


@pytest.mark.slow
def test_a_service_is_scaled_rolled_and_moved(swarm: Swarm) -> None:
    """Twenty tasks on three machines, a new image rolled out, and a machine lost."""
    swarm(*CREATE, "--name", "web", "--replicas", "3", "box:one", *SERVE)
    swarm.wait_for("web", 3, "box:one")
    swarm("service", "scale", "--detach", f"web={REPLICAS}")
    swarm.wait_for("web", REPLICAS, "box:one")
    nodes = Counter(swarm.tasks("web", "{{.Node}}"))
    assert len(swarm.machines[0].output("ps", "--quiet").split()) >= REPLICAS // 4
    options = ["--update-parallelism", "5", "--no-resolve-image", "--detach"]
    swarm("service", "update", *options, "--image", "box:two", "web")
    swarm.wait_for("web", REPLICAS, "box:two")
    swarm.machines[2].lose()
    until(lambda: "Down" in swarm.ask("node", "ls", "--format", "{{.Status}}"), "it is missed", 60)
    counted = ["ps", "--quiet", "--filter", "label=com.docker.swarm.service.name=web"]
    kept = swarm.machines[:2]

    def here() -> int:
        return sum(len(machine.output(*counted).split()) for machine in kept)

    until(lambda: here() == REPLICAS, "its tasks have moved", 120)
    assert sum(nodes.values()) == REPLICAS
    swarm("service", "rm", "web")
    until(lambda: here() == 0, "the tasks are gone", 30)
