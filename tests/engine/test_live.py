# SPDX-License-Identifier: Apache-2.0
"""What people see on a terminal while it goes on: bars of `load`, `top --live`; elsewhere nothing of it is said."""

import os
from pathlib import Path

import pytest
from blackbox.processes import until
from images import docker_archive, layer
from sides import Pypod

pytestmark = pytest.mark.root
CLEAR = "\x1b[2J\x1b[H"


@pytest.fixture
def large(scratch: Path) -> Path:
    """An archive with a layer of 9 MB, which is more than any document."""
    path = scratch / "large.tar"
    path.write_bytes(docker_archive([layer(("big", os.urandom(9 << 20)))], "large:1"))
    return path


def test_load_has_a_bar_on_a_terminal_alone(pypod: Pypod, large: Path) -> None:
    assert pypod.output("load", "-i", str(large)) == "Loaded image: large:1\n"
    client = pypod.terminal("load", "-i", str(large))
    try:
        assert "Loading layer" in client.read_until("Loaded image: large:1")
        assert client.wait() == 0
    finally:
        client.close()
    pypod.output("rmi", "large:1")


def test_top_is_live_until_the_container_ends(pypod: Pypod) -> None:
    pypod.start("one", "exec sleep 1000")
    client = pypod.terminal("top", "--live", "one")
    try:
        for _ in range(2):
            client.read_until(CLEAR)
            client.read_until("sleep 1000")
        pypod.output("kill", "one")
        assert client.wait() == 0
    finally:
        client.close()


def test_top_can_be_live_elsewhere(pypod: Pypod) -> None:
    pypod.start("one", "exec sleep 1000")
    client = pypod.spawn("top", "--live", "one")
    until(lambda: client.out.read_text().count("sleep 1000") >= 2, "it is displayed anew")
    pypod.output("kill", "one")
    ran = client.wait()
    assert (ran.code, CLEAR in ran.stdout) == (0, False)
