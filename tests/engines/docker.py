# SPDX-License-Identifier: Apache-2.0
"""Debian's Docker with a daemon of our own: its data, sockets and cgroups are not the host's."""

import itertools
import json
from pathlib import Path
from typing import Any

from blackbox.console import Foreground
from blackbox.processes import Ran, until
from engines.configuration import configuration
from engines.daemon import PATH, Daemon

IMAGE = "box"
CLIENT = "/usr/bin/docker"
SERVER = "/usr/sbin/dockerd"
CHANGES = ["ENV PATH=/bin FROM=image", 'CMD ["/bin/sh"]']
_numbers = itertools.count()


class Docker(Daemon):
    """A daemon whose default runtime is "pyoci", the runtime under test; it knows runc, too.

    Its network namespace is its own: on a host that does not forward, the client would warn of that.
    """

    network = "own"

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        super().__init__(directory, cgroup)
        self.socket = f"unix://{directory}/docker.sock"
        self.environment["DOCKER_HOST"] = self.socket
        self.environment["DOCKER_CONFIG"] = str(directory / "client")
        self.client = [CLIENT]
        self.states = (directory / "exec", "runtime-*/*/*")
        # Docker's own: the namespace for --network=host, and its data, made private.
        self.own_mounts = {f"{directory}/exec/netns/default", f"{directory}/data"}
        (directory / "daemon.json").write_text(configuration("docker-daemon.json", program))
        self.start_daemon()

    def start_daemon(self) -> None:
        """Start the daemon, also after its end."""
        options = [f"--{name}={value}" for name, value in self.options().items()]
        self.start([SERVER, *options], ["version"])

    def options(self) -> dict[str, Path | str]:
        """Return the daemon's options: no network of its own, nothing outside its directory."""
        directory = self.directory
        return {
            "config-file": directory / "daemon.json",
            "data-root": directory / "data",
            "exec-root": directory / "exec",
            "pidfile": directory / "docker.pid",
            "host": self.socket,
            "bridge": "none",
            "iptables": "false",
            "ip6tables": "false",
            "ip-forward": "false",
            "exec-opt": "native.cgroupdriver=cgroupfs",
            "cgroup-parent": f"/{self.cgroup}",
            "log-level": "warn",
            "experimental": "true",  # checkpoints
        }

    def load(self, root: Path) -> None:
        """Make the image."""
        changes = [f"--change={line}" for line in CHANGES]
        self.output("import", *changes, str(root), IMAGE)

    def run(self, *args: str) -> Ran:
        """Run a container to its end: options, then "--", then the command."""
        return self("run", "--rm", *with_image(args))

    def says(self, *args: str) -> str:
        """Run a container that must succeed, and return what it wrote."""
        ran = self.run(*args)
        assert ran.code == 0, ran
        return ran.stdout

    def shell(self, script: str, *options: str) -> str:
        """Run a shell script in a container that must succeed, and return what it wrote."""
        return self.says(*options, "--", "sh", "-c", script)

    def start_container(self, *args: str) -> str:
        """Start a container in the background and return its name."""
        name = f"c{next(_numbers)}"
        self.output("run", "--detach", "--name", name, *with_image(args))
        return name

    def interactive(self, *args: str) -> Foreground:
        """Run a container in the foreground of a terminal."""
        return self.terminal("run", "--rm", "-it", *with_image(args))

    def inspect(self, name: str) -> dict[str, Any]:
        """Return what the daemon knows of a container."""
        found: dict[str, Any] = json.loads(self.output("inspect", name))[0]
        return found

    def state(self, name: str) -> dict[str, Any]:
        """Return the state of a container as the daemon sees it."""
        state: dict[str, Any] = self.inspect(name)["State"]
        return state

    def logged(self, name: str, wanted: str) -> str:
        """Wait until a container has written something, and return all of it."""
        until(lambda: wanted in self.output("logs", name), f"{name} writes {wanted!r}")
        return self.output("logs", name)

    def remove_all(self) -> None:
        """Remove all containers, also those whose --rm is on its way."""
        until(self.is_empty, "all containers are removed", 10)

    def is_empty(self) -> bool:
        """Try to remove all containers and tell whether there are none."""
        names = self.output("ps", "--all", "--quiet").split()
        if names:
            self("rm", "--force", "--volumes", *names)
        return not names


class NetworkedDocker(Docker):
    """A daemon which has all of its networks in that namespace."""

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        # BuildKit runs no runtime of daemon.json but "runc" of the PATH.
        (directory / "bin").mkdir(parents=True)
        (directory / "bin/runc").symlink_to(program)
        super().__init__(directory, cgroup, program)
        self.own_cgroups.add("buildkit")

    def start_daemon(self) -> None:
        """Start the daemon, which finds the runtime under test by the name "runc"."""
        self.environment["PATH"] = f"{self.directory}/bin:{PATH}"
        super().start_daemon()

    def options(self) -> dict[str, Path | str]:
        """Return the daemon's options: networks as by default, and containers outlive the daemon."""
        networks = ("bridge", "iptables", "ip6tables", "ip-forward")
        kept = {name: value for name, value in super().options().items() if name not in networks}
        return {**kept, "live-restore": "true"}


def with_image(args: tuple[str, ...]) -> list[str]:
    """Put the image's name in the place of "--"."""
    place = args.index("--")
    return [*args[:place], IMAGE, *args[place + 1 :]]
