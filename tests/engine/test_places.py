# SPDX-License-Identifier: Apache-2.0
"""Where pypod keeps its things, for root and for others."""

import os
import subprocess
import sys

import pytest

SAY = """
from pyoci.engine.places import find
found = find({arguments})
print(found.root, found.run)
"""


def found(uid: int = 0, arguments: str = "", **environment: str) -> str:
    """Return the two directories that a process of this uid and environment would use."""
    argv = [sys.executable, "-c", SAY.format(arguments=arguments)]
    ran = subprocess.run(
        argv, check=False, env=environment, user=uid, capture_output=True, text=True
    )
    return ran.stdout.strip() or ran.stderr.strip().splitlines()[-1]


@pytest.mark.root
def test_root_has_the_places_of_the_system() -> None:
    assert found() == "/var/lib/pypod /run/pypod"
    assert found(PYPOD_ROOT="/a", PYPOD_RUN="/b/") == "/a /b"
    assert found(arguments="'/c/../d', ''", PYPOD_ROOT="/a") == "/d /run/pypod"


@pytest.mark.root
def test_a_user_has_the_places_of_the_base_directory_specification() -> None:
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    own = {"XDG_DATA_HOME": "/h/data", "XDG_RUNTIME_DIR": "/r"}
    assert found(1234, "", **path, HOME="/h") == "/h/.local/share/pypod /run/user/1234/pypod"
    assert found(1234, "", **path, **own) == "/h/data/pypod /r/pypod"
    assert "HOME is not set" in found(1234, "", **path)


@pytest.mark.root
def test_root_of_a_user_namespace_is_a_user() -> None:
    argv = ["unshare", "-Ur", sys.executable, "-c", SAY.format(arguments="")]
    environment = {"HOME": "/h", "XDG_RUNTIME_DIR": "/r", "PATH": os.environ["PATH"]}
    ran = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert ran.stdout == "/h/.local/share/pypod /r/pypod\n"
