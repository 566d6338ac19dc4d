# SPDX-License-Identifier: Apache-2.0
"""The two sides of a comparison: pypod with directories of its own, and Docker's client 28 with a daemon of its own."""

import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from blackbox.console import Foreground
from blackbox.processes import Ran, Running, until
from engines.docker import Docker, NetworkedDocker

from pyoci.engine.database import Database
from pyoci.engine.images import archive
from pyoci.engine.images.store import Store
from pyoci.engine.places import Places

PYPOD = Path(__file__).resolve().parent.parent.parent / ".venv/bin/pypod"
CLIENT = "/usr/local/bin/docker"
RUNC = "/usr/sbin/runc"
IMAGE = "box"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONFIG = {"Env": ["PATH=/bin", "FROM=image"], "Cmd": ["/bin/sh"]}


class Pypod:
    """A pypod of its own; what it starts is found and removed."""

    def __init__(self, directory: Path, inside: Sequence[str] = ()) -> None:
        self.directory = directory
        self.inside = [*inside]  # the command that runs another in namespaces of the test's own
        self.outputs = directory / "outputs"
        self.outputs.mkdir(parents=True)
        self.root, self.run_root = directory / "root", directory / "run"
        self.environment = {
            "PATH": PATH,
            "HOME": str(directory),
            "TERM": "xterm",
            "PYPOD_ROOT": str(self.root),
            "PYPOD_RUN": str(self.run_root),
        }

    def load(self, layer: Path) -> None:
        """Load the image, made from the archive of its root."""
        path = self.directory / "image.tar"
        path.write_bytes(docker_archive(layer.read_bytes()))
        places = Places(str(self.root), str(self.run_root))
        database = Database(places)
        fd = os.open(path, os.O_RDONLY)
        try:
            assert [loaded.names for loaded in archive.load(Store(database, places), fd)]
        finally:
            os.close(fd)
            database.close()

    def spawn(self, *args: str, stdin: Path | str = os.devnull) -> Running:
        """Start a command in the background."""
        argv = [*self.inside, str(PYPOD), *args]
        return Running(argv, self.outputs, env=self.environment, stdin=stdin)

    def __call__(self, *args: str, stdin: Path | str = os.devnull) -> Ran:
        """Run a command to its end."""
        return self.spawn(*args, stdin=stdin).wait()

    def output(self, *args: str, stdin: Path | str = os.devnull) -> str:
        """Run a command that must succeed, and return what it wrote."""
        ran = self(*args, stdin=stdin)
        assert ran.code == 0, ran
        return ran.stdout

    def terminal(self, *args: str) -> Foreground:
        """Run a command in the foreground of a terminal."""
        return Foreground([*self.inside, str(PYPOD), *args], self.environment)

    def says(self, script: str, *options: str) -> str:
        """Run a shell script in a container of its own, and return what it wrote."""
        return self.output("run", "--rm", "--network", "none", *options, IMAGE, "sh", "-c", script)

    def start(self, name: str, script: str, *options: str) -> str:
        """Run a shell script in a container in the background; returns its id."""
        given = ["--name", name, "--network", "none", *options]
        return self.output("run", "-d", *given, IMAGE, "sh", "-c", script).strip()

    def field(self, name: str, template: str) -> str:
        """Return what a template makes of a container."""
        return self.output("inspect", "-f", template, name).strip()

    def await_field(self, name: str, template: str, wanted: str, seconds: float = 10.0) -> None:
        """Wait until a template makes this of a container."""
        until(lambda: self.field(name, template) == wanted, f"{template} is {wanted}", seconds)

    def monitors(self) -> list[int]:
        """Return the pids of the monitors."""
        found = []
        for name in os.listdir("/proc"):
            if not name.isdecimal():
                continue
            try:
                words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if b"_monitor" in words and any(str(self.run_root).encode() in word for word in words):
                found.append(int(name))
        return found

    def remove_all(self) -> None:
        """Remove every container and volume."""
        names = self.output("ps", "--all", "--quiet").split()
        if names:
            self.output("rm", "--force", "--volumes", *names)
        volumes = self.output("volume", "ls", "-q").split()
        if volumes:
            self.output("volume", "rm", *volumes)
        self.output("network", "prune", "--force")


class Oracle(Docker):
    """Docker's client of the version whose words are followed, with Debian's daemon and runc."""

    network = "host"  # where the registries of the tests are

    def __init__(self, directory: Path, cgroup: str) -> None:
        super().__init__(directory, cgroup, RUNC)
        self.client = [CLIENT]


class NetworkedOracle(NetworkedDocker):
    """The same with networks, all of which are in a namespace of the daemon's own."""

    def __init__(self, directory: Path, cgroup: str) -> None:
        super().__init__(directory, cgroup, RUNC)
        self.client = [CLIENT]


def docker_archive(layer: bytes) -> bytes:
    """Return the image as `docker save` writes it."""
    digest = hashlib.sha256(layer).hexdigest()
    config = {
        "architecture": "amd64" if os.uname().machine == "x86_64" else "arm64",
        "os": "linux",
        "config": CONFIG,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [f"{IMAGE}:latest"], "Layers": ["layer.tar"]}]
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as made:
        for name, content in (
            ("manifest.json", json.dumps(manifest).encode()),
            ("config.json", json.dumps(config).encode()),
            ("layer.tar", layer),
        ):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            made.addfile(info, io.BytesIO(content))
    return target.getvalue()


# What differs between the two by itself: ids, times, names of the programs, where daemons have a place in the text.
_DIFFERENT = (
    (r"\b[0-9a-f]{64}\b", "ID64"),
    (r"\b[0-9a-f]{12}\b", "ID12"),
    # Of the host, not of what is compared: its networks are all in test_network_same_as_docker.py.
    (r"WARNING: IPv4 forwarding is disabled. Networking will not work.\n", ""),
    (r"Error response from daemon: ", "Error: "),
    (r"docker: Error: ", "docker: "),
    (r"docker: ", "PROGRAM: "),
    (r"pypod: ", "PROGRAM: "),
    (r"'(docker|pypod) ", "'PROGRAM "),
    (r"Usage:  (docker|pypod) ", "Usage:  PROGRAM "),
    (r"\d{4}-\d\d-\d\d[T ][0-9:.]+(Z| \+0000 UTC)", "TIME"),
    (r"(Less than a second|\d+ seconds?)( ago)?", "AGO"),
    (r" {2,}", "  "),
)


def same(ran: Ran) -> tuple[int, str, str]:
    """Return what a command said, without what differs between the two by itself."""
    texts = []
    for said in (ran.stdout, ran.stderr):
        text = said
        for pattern, word in _DIFFERENT:
            text = re.sub(pattern, word, text)
        texts.append(text)
    return ran.code, texts[0], texts[1]
