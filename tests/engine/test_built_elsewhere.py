# SPDX-License-Identifier: Apache-2.0
"""An image of several stages, built and saved by one engine, loaded and run by another: pypod with docker, podman, skopeo."""

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from building import NONE, ok
from engines.podman import Podman
from sides import PATH, RUNC, Oracle, Pypod

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("no_image_left")]

# Owners, links, a removed file, a directory made anew (opaque) and one that became a file: what layers are hard in.
DOCKERFILE = """FROM box AS first
RUN mkdir -p /made/sub && echo one > /made/one && chown 1000:2000 /made/one && ln -s one /made/link && ln /made/one /made/hard
FROM box
COPY sub /again
COPY sub /kind
COPY --from=first /made /made
RUN rm /etc/kept && rm -r /again && mkdir /again && touch /again/new && rm -r /kind && echo file > /kind
ENV A=b
USER user
WORKDIR /made
ENTRYPOINT ["/bin/sh", "-c"]
CMD ["cat one link; stat -c %u:%g:%h hard; ls -A /again /etc; cat /kind; pwd; id -u; echo $A"]
"""
SAID = "one\none\n1000:2000:2\n/again:\nnew\n\n/etc:\n{etc}file\n/made\n1000\nb\n"
# What each engine puts into /etc by itself.
MOUNTED = {"group", "hostname", "hosts", "mtab", "passwd", "resolv.conf"}
NAME = "elsewhere:1"


@pytest.fixture(scope="module")
def podman_of_module(session: Path, root_archive: Path) -> Iterator[Podman]:
    """Podman with the image, in a place of its own."""
    if shutil.which("podman", path=PATH) is None:
        pytest.skip("podman is missing: apt-get install podman")
    directory = session / f"podman-{time.monotonic_ns()}"
    made = Podman(directory, f"podman-{os.getpid()}", RUNC)
    made.load(root_archive)
    yield made
    made.stop()
    shutil.rmtree(directory)


@pytest.fixture
def podman(podman_of_module: Podman) -> Iterator[Podman]:
    """The same for one test."""
    yield podman_of_module
    podman_of_module.end_clients()
    podman_of_module.output("rmi", "--force", NAME)


def skopeo(podman: Podman, source: str, target: str) -> None:
    """Copy an image by skopeo, in podman's namespaces, where its storage is."""
    podman.client, kept = [*podman.become, "skopeo"], podman.client
    try:
        podman.output("copy", "--insecure-policy", source, target)
    finally:
        podman.client = kept


def build_by(podman: Podman, context: Path) -> None:
    """Build by podman; a cgroup of its own, for buildah takes the parent itself, and one with others in it keeps its devices."""
    parent = ("--cgroup-parent", f"/{podman.cgroup}/build")
    podman.output("build", *parent, *NONE, "-t", NAME, str(context))


def check(said: str) -> None:
    """Compare what the image's own command says with what it must."""
    head, _, rest = said.partition("/etc:\n")
    names = [line for line in rest.split("file\n")[0].splitlines() if line]
    assert {*names} <= MOUNTED
    etc = "".join(f"{name}\n" for name in names)
    assert head + "/etc:\n" + rest == SAID.replace("{etc}", etc)


@pytest.fixture
def archive(pypod: Pypod, context: Path, scratch: Path) -> Path:
    """The image as pypod builds and saves it."""
    (context / "Dockerfile").write_text(DOCKERFILE)
    ok(pypod("build", *NONE, "-t", NAME, str(context)))
    check(pypod.output("run", "--rm", *NONE, NAME))
    pypod.output("save", "-o", str(scratch / "ours.tar"), NAME)
    return scratch / "ours.tar"


def test_docker_runs_what_pypod_built(archive: Path, oracle: Oracle) -> None:
    assert f"Loaded image: {NAME}" in oracle.output("load", "-i", str(archive))
    check(oracle.output("run", "--rm", *NONE, NAME))
    oracle.output("rmi", NAME)


def test_podman_runs_what_pypod_built(archive: Path, podman: Podman) -> None:
    podman.output("load", "-i", str(archive))
    check(podman.output("run", "--rm", *podman.options, *NONE, NAME))


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_skopeo_hands_on_what_pypod_built(archive: Path, podman: Podman, form: str) -> None:
    """Both layouts of our archive, from which skopeo fills podman's storage."""
    tag = NAME.partition(":")[2] if form == "oci-archive" else NAME
    skopeo(podman, f"{form}:{archive}:{tag}", f"containers-storage:localhost/{NAME}")
    check(podman.output("run", "--rm", *podman.options, *NONE, NAME))


def loaded(pypod: Pypod, path: Path) -> None:
    """Load an archive into pypod and run what it holds."""
    told = pypod.output("load", "-i", str(path))
    (name,) = [line.rpartition(" ")[2] for line in told.splitlines()]
    check(pypod.output("run", "--rm", *NONE, name))
    pypod.output("rmi", name)


def test_pypod_runs_what_docker_built(
    pypod: Pypod, oracle: Oracle, context: Path, scratch: Path
) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE)
    oracle.output("build", *NONE, "-t", NAME, str(context))
    oracle.output("save", "-o", str(scratch / "theirs.tar"), NAME)
    oracle.output("rmi", NAME)
    loaded(pypod, scratch / "theirs.tar")


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_pypod_runs_what_podman_built(
    pypod: Pypod, podman: Podman, context: Path, scratch: Path, form: str
) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE)
    build_by(podman, context)
    podman.output("save", "--format", form, "-o", str(scratch / "theirs.tar"), NAME)
    loaded(pypod, scratch / "theirs.tar")


@pytest.mark.parametrize("form", ["docker-archive", "oci-archive"])
def test_pypod_runs_what_skopeo_hands_on(
    pypod: Pypod, podman: Podman, context: Path, scratch: Path, form: str
) -> None:
    (context / "Dockerfile").write_text(DOCKERFILE)
    build_by(podman, context)
    skopeo(
        podman, f"containers-storage:localhost/{NAME}", f"{form}:{scratch / 'theirs.tar'}:{NAME}"
    )
    loaded(pypod, scratch / "theirs.tar")
