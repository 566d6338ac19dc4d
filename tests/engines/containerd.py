# SPDX-License-Identifier: Apache-2.0
"""Debian's containerd, started by hand, and its client ctr."""

import itertools
from pathlib import Path

from blackbox.console import Foreground
from blackbox.processes import Ran, Running, until
from engines.daemon import PATH, Daemon
from engines.image import NAME

CONFIGURATION = """\
version = 2
root = "{directory}/root"
state = "{directory}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]

[grpc]
address = "{directory}/containerd.sock"

[ttrpc]
address = "{directory}/containerd.sock.ttrpc"
"""
SERVER = "/usr/bin/containerd"
CLIENT = "/usr/bin/ctr"
_numbers = itertools.count()


class Containerd(Daemon):
    """A containerd of our own; its namespace is also the name of its cgroup."""

    def __init__(self, directory: Path, namespace: str, program: str) -> None:
        super().__init__(directory, namespace)
        self.program = program
        # With some options (--no-pivot, --uidmap) ctr forgets --runc-binary: the shim asks for "runc".
        (directory / "bin").mkdir()
        (directory / "bin/runc").symlink_to(program)
        self.environment["PATH"] = f"{directory}/bin:{PATH}"
        self.states = (directory / "runtime", "*/*")
        configuration = directory / "config.toml"
        configuration.write_text(CONFIGURATION.format(directory=directory))
        address = f"{directory}/containerd.sock"
        self.client = [CLIENT, "--address", address, "--namespace", namespace]
        self.start([SERVER, "--config", str(configuration), "--log-level", "warn"], ["version"])

    def load(self, archive: Path) -> None:
        """Import the image."""
        self.output("image", "import", str(archive))

    def command(self, *args: str, program: str = "") -> tuple[str, list[str]]:
        """Return a new id and `ctr run` with it: options, then "--", then the command."""
        name = f"c{next(_numbers)}"
        place = args.index("--")
        runtime = ["--runc-binary", program or self.program]
        runtime += ["--runc-root", str(self.directory / "runtime")]
        fifos = ["--fifo-dir", str(self.directory / "fifos")]
        return name, ["run", *runtime, *fifos, *args[:place], NAME, name, *args[place + 1 :]]

    def run(self, *args: str, program: str = "") -> Ran:
        """Run a container to its end."""
        return self(*self.command("--rm", *args, program=program)[1])

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
        name, command = self.command("--detach", "--null-io", *args)
        self.output(*command)
        return name

    def interactive(self, *args: str) -> Foreground:
        """Run a container in the foreground of a terminal."""
        return self.terminal(*self.command("--rm", "--tty", *args)[1])

    def exec(self, name: str, *args: str, options: tuple[str, ...] = ()) -> Ran:
        """Run one more process in a container."""
        fifos = ("--fifo-dir", str(self.directory / "fifos"))
        number = f"e{next(_numbers)}"
        return self("task", "exec", "--exec-id", number, *fifos, *options, name, *args)

    def restore(self, name: str, reference: str) -> Ran:
        """Make a container from a checkpoint; without --fifo-dir ctr must see the daemon's own /run."""
        restore = ["container", "restore", "--rw", "--live", name, reference]
        command = [*self.inside(), *self.client, *restore]
        running = Running(command, self.outputs, env=self.environment)
        self.running.append(running)
        return running.wait()

    def status(self, name: str) -> str:
        """Return the status of a container's task as containerd lists it."""
        lines = [line.split() for line in self.output("task", "ls").splitlines()[1:]]
        return next((line[2] for line in lines if line[0] == name), "")

    def wait(self, name: str, status: str) -> None:
        """Wait until a container's task has a status."""
        until(lambda: self.status(name) == status, f"{name} is {status}: {self.status(name)}")

    def remove_all(self) -> None:
        """Remove all tasks and containers."""
        for name in self.output("task", "ls", "--quiet").split():
            self("task", "kill", "--all", "--signal", "KILL", name)
            until(lambda: self("task", "rm", "--force", name).code == 0, f"{name} goes")  # noqa: B023 - called before the next round
        if names := self.output("container", "ls", "--quiet").split():
            self.output("container", "rm", *names)
