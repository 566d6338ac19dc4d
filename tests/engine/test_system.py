# SPDX-License-Identifier: Apache-2.0
"""`system df`, `system prune` and `info`."""

import json
import re

import pytest
from sides import IMAGE, Oracle, Pypod

pytestmark = pytest.mark.root

NONE = ("--network", "none")


def test_what_is_on_the_disk_is_counted_as_docker_does(pypod: Pypod, oracle: Oracle) -> None:
    said = []
    for side in (pypod, oracle):
        side.output("volume", "create", "named")
        side.output("create", "--name", "one", *NONE, "-v", "/data", IMAGE)
        side.output("run", "-d", "--name", "two", *NONE, IMAGE, "sleep", "100")
        lines = side.output("system", "df").splitlines()
        said.append([re.split(r"\s{2,}", line)[:3] for line in lines])
        side.output("rm", "-f", "-v", "one", "two")
    assert said[0] == said[1]


def test_each_object_is_told_as_docker_tells_it(pypod: Pypod, oracle: Oracle) -> None:
    """`system df --verbose`: four tables; ids, ages and Docker's own sizes of what differs are left out."""
    said = []
    for side in (pypod, oracle):
        side.output("volume", "create", "named")
        side.output("create", "--name", "one", *NONE, "-v", "named:/data", IMAGE, "sh")
        lines = side.output("system", "df", "-v").splitlines()
        rows = [re.split(r"\s{2,}", line) for line in lines]
        images, containers, volumes = (
            next(index for index, row in enumerate(rows) if row[0] == title)
            for title in ("REPOSITORY", "CONTAINER ID", "VOLUME NAME")
        )
        image = dict(zip(rows[images], rows[images + 1], strict=True))
        container = dict(zip(rows[containers], rows[containers + 1], strict=True))
        kept = [image[key] for key in ("REPOSITORY", "TAG", "SHARED SIZE", "CONTAINERS")]
        kept += [container[key] for key in ("IMAGE", "COMMAND", "LOCAL VOLUMES", "STATUS", "NAMES")]
        said.append((rows[images], rows[containers], kept, rows[volumes : volumes + 2], lines[0]))
        side.output("rm", "one")
    assert said[0] == said[1]


def test_prune_removes_what_nothing_uses(pypod: Pypod) -> None:
    pypod.output("create", "--name", "one", *NONE, "-v", "/data", IMAGE)
    pypod.output("run", "-d", "--name", "two", *NONE, IMAGE, "sleep", "100")
    asked = pypod("system", "prune")
    assert "  - all stopped containers\n" in asked.stdout
    assert len(pypod.output("ps", "-aq").split()) == 2
    told = pypod.output("system", "prune", "--force", "--volumes")
    assert "Deleted Containers:" in told
    assert "Deleted Volumes:" in told
    assert "Total reclaimed space: " in told
    assert pypod.output("ps", "-a", "--format", "{{.Names}}") == "two\n"
    assert IMAGE in pypod.output("images")


def test_info_counts(pypod: Pypod) -> None:
    pypod.output("create", "--name", "one", *NONE, IMAGE)
    found = json.loads(pypod.output("info", "--format", "json"))
    assert (found["Containers"], found["ContainersRunning"], found["Images"]) == (1, 0, 1)
    assert pypod.output("info", "-f", "{{.Containers}} {{.Driver}}") == "1 overlay2\n"
    assert f"Root Dir: {pypod.root}\n" in pypod.output("system", "info")
