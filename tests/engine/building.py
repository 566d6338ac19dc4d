# SPDX-License-Identifier: Apache-2.0
"""What the tests of `pypod build` share: the call, and what is asked of its answer."""

import json
from collections.abc import Callable

from blackbox.processes import Ran
from sides import Pypod

Build = Callable[..., Ran]
NONE = ("--network", "none")


def ok(ran: Ran) -> str:
    """Return what a build told, which must have succeeded."""
    assert ran.code == 0, ran
    return ran.stderr


def says(pypod: Pypod, script: str, name: str = "made") -> str:
    """Return what a script writes in a container of the image."""
    return pypod.output("run", "--rm", *NONE, "--entrypoint", "/bin/sh", name, "-c", script)


def config(pypod: Pypod, name: str = "made") -> dict[str, object]:
    """Return the configuration of an image."""
    found: dict[str, object] = json.loads(
        pypod.output("image", "inspect", "-f", "{{json .Config}}", name)
    )
    return found


def cached(told: str) -> int:
    """Return how many steps came from the cache."""
    return told.count(" CACHED")
