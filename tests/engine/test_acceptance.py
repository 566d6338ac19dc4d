# SPDX-License-Identifier: Apache-2.0
"""The acceptance script of docker-notes.txt, its small tier: images of busybox, built by `pypod build` (see `make acceptance`)."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sides import CLIENT, PYPOD, NetworkedOracle, Pypod

pytestmark = pytest.mark.root

HERE = Path(__file__).resolve().parent / "acceptance"
SECONDS = 240
NONE = ("--network", "none")
IMAGES = "busybox:latest mysql:5 wordpress:4 dockerinaction/ch2_mailer:latest dockerinaction/ch2_agent:latest".split()


def script(pypod: Pypod, *words: str | Path) -> str:
    """Run one of the scripts with pypod for an engine, and return what it wrote; it must succeed."""
    return run([*pypod.inside, *map(str, words)], {**pypod.environment, "ENGINE": str(PYPOD)})


def run(argv: list[str], environment: dict[str, str]) -> str:
    """Run a program that must succeed, and return what it wrote."""
    ran = subprocess.run(
        argv,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def tier(networked: Pypod, scratch: Path) -> Iterator[Pypod]:
    """A pypod with the images of the small tier."""
    script(networked, HERE / "images.sh", "t0", scratch)
    yield networked
    networked.remove_all()
    networked.output("rmi", *IMAGES)


def test_the_images_work_one_by_one(tier: Pypod) -> None:
    """Environment, read-only root, volumes, users and entry points, as the images check them themselves."""
    ran = tier("run", "--rm", *NONE, "mysql:5")
    assert (ran.code, "MYSQL_ROOT_PASSWORD not set" in ran.stderr) == (1, True)
    ran = tier("run", "--rm", *NONE, "wordpress:4")
    assert (ran.code, "rootfs is writable" in ran.stderr) == (1, True)
    lines = (
        "-v",
        "/run/lock/apache2/",
        "-v",
        "/run/apache2/",
        "--read-only",
        "--entrypoint",
        "/bin/sh",
    )
    check = "! touch /x 2>/dev/null && touch /run/apache2/x /run/lock/apache2/x && cat /var/www/html/index.html"
    assert tier.output("run", "--rm", *NONE, *lines, "wordpress:4", "-c", check) == "hello\n"
    assert tier.output("run", "--rm", *NONE, "dockerinaction/ch2_agent", "id", "-un") == "nobody\n"
    assert tier.output("run", "--rm", *NONE, "dockerinaction/ch2_agent", "pwd") == "/watcher\n"
    ports = tier.output(
        "image", "inspect", "-f", "{{json .Config.ExposedPorts}}", "dockerinaction/ch2_mailer"
    )
    assert ports == '{"33333/tcp":{}}\n'


def test_the_notes_own_script(tier: Pypod) -> None:
    """Issue 6, done when: the four containers of the notes, verbatim, and 35 checks around them."""
    told = script(tier, HERE / "acceptance.sh")
    assert "not ok" not in told
    assert told.splitlines()[-1].endswith(" 0 failed")


def test_the_script_with_docker(
    tier: Pypod, networked_oracle: NetworkedOracle, scratch: Path
) -> None:
    """Issue 6, done when: the same with docker in pypod's place, and the images that pypod has built."""
    tier.output("save", "-o", str(scratch / "all.tar"), *IMAGES)
    networked_oracle.output("load", "-i", str(scratch / "all.tar"))
    argv = [*networked_oracle.inside(), str(HERE / "acceptance.sh")]
    told = run(argv, {**networked_oracle.environment, "ENGINE": CLIENT})
    networked_oracle.output("rmi", *IMAGES)
    assert "not ok" not in told
    assert told.splitlines()[-1].endswith(" 0 failed")


def test_the_script_is_the_notes_own() -> None:
    """The lines of the script are those of docker-notes.txt, where that is at hand."""
    notes = Path(
        os.environ.get("PYOCI_NOTES", HERE.parents[3] / "shared/reference/docker-notes.txt")
    )
    if not notes.exists():
        pytest.skip("docker-notes.txt is not beside the checkout")
    lines = (HERE / "seed.sh").read_text().splitlines()[1:]
    assert lines == notes.read_text().splitlines()[73:85]
