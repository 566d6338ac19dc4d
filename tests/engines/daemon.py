# SPDX-License-Identifier: Apache-2.0
"""An engine's daemon, started by hand in a directory of its own, and its client."""

import contextlib
import os
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from blackbox import host
from blackbox.console import Foreground
from blackbox.processes import (
    Ran,
    Running,
    children,
    is_alive,
    kill_child,
    reap,
    status_of,
    text,
    until,
)

# The engines use /run, /etc/docker and /var/lib/cni whatever their options are. Of the host's /run some may see systemd.
COVER = """
[ "$2" != systemd ] || mount --rbind /run /mnt || exit
for place in /run /etc/docker /var/lib; do [ ! -d $place ] || mount -t tmpfs tmpfs $place || exit; done
for place in systemd dbus; do
    [ "$2" != systemd ] || { mkdir /run/$place && mount --rbind /mnt/$place /run/$place; } || exit
done
[ "$2" != systemd ] || umount --lazy /mnt || exit
[ "$1" != own ] || { ip link set lo up && echo 1 > /proc/sys/net/ipv4/ip_forward; } || exit
exec setpriv --pdeathsig KILL sleep infinity
"""
STARTS = (
    3  # dockerd gives its containerd 15 seconds and no more, which an emulated machine may exceed
)
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Daemon:
    """A daemon and everything that it may leave: processes, cgroups, mounts, state directories.

    It lives in namespaces that a process called the keeper holds, so that it can end and start again.
    """

    network = "host"  # or "own": a network namespace, with lo up
    manager = "nobody"  # or "systemd": it makes the cgroups

    def __init__(self, directory: Path, cgroup: str) -> None:
        self.directory = directory
        self.cgroup = cgroup
        self.keep = children()
        self.outputs = directory / "outputs"
        self.outputs.mkdir(parents=True)
        self.environment = {"PATH": PATH, "HOME": str(directory), "TERM": "xterm"}
        self.client: list[str] = []
        self.states = (directory, "nothing")
        self.own_mounts: set[str] = set()
        self.own_cgroups = {cgroup}
        self.running: list[Running] = []
        self.terminals: list[Foreground] = []
        self.process: Running | None = None
        self.keeper: Running | None = None
        self.idle: list[int] = []

    def make_namespaces(self) -> None:
        """Start the process that holds the daemon's namespaces."""
        own = ["--net"] if self.network == "own" else []
        private = ["unshare", "--mount", "--propagation", "private", *own]
        command = [*private, "sh", "-c", COVER, "sh", self.network, self.manager]
        self.keeper = keeper = Running(command, self.outputs, env=self.environment)
        until(lambda: text(f"/proc/{keeper.pid}/comm") == "sleep\n", "the namespaces are made")

    def inside(self) -> list[str]:
        """Return the command that runs another in the daemon's namespaces."""
        assert self.keeper is not None
        own = ["--net"] if self.network == "own" else []
        return ["nsenter", "--target", str(self.keeper.pid), "--mount", *own, "--"]

    def start(self, argv: Sequence[str], probe: Sequence[str]) -> None:
        """Start the daemon and wait until the client's `probe` succeeds."""
        if self.keeper is None:
            self.make_namespaces()
        command = [*self.inside(), "setpriv", "--pdeathsig", "TERM", *argv]
        for _ in range(STARTS):
            self.process = Running(command, self.outputs, env=self.environment)
            until(partial(self.has_settled, probe), f"{argv[0]} answers; see {self.outputs}", 30)
            if self.process.is_running():
                break
        else:
            raise AssertionError(self.process.wait())
        self.idle = children()

    def has_settled(self, probe: Sequence[str]) -> bool:
        """Tell whether the daemon answers, or has ended."""
        assert self.process is not None
        return not self.process.is_running() or self(*probe).code == 0

    def spawn(self, *args: str, stdin: Path | str = os.devnull) -> Running:
        """Start the client in the background."""
        running = Running([*self.client, *args], self.outputs, env=self.environment, stdin=stdin)
        self.running.append(running)
        return running

    def __call__(self, *args: str, stdin: Path | str = os.devnull) -> Ran:
        """Run the client to its end."""
        return self.spawn(*args, stdin=stdin).wait()

    def output(self, *args: str, stdin: Path | str = os.devnull) -> str:
        """Run the client, which must succeed, and return what it wrote."""
        ran = self(*args, stdin=stdin)
        assert ran.code == 0, ran
        return ran.stdout

    def terminal(self, *args: str) -> Foreground:
        """Run the client in the foreground of a terminal of 33 rows and 99 columns."""
        made = Foreground([*self.client, *args], self.environment)
        self.terminals.append(made)
        return made

    def remove_all(self) -> None:
        """Remove all containers; each engine has its own way."""
        raise NotImplementedError

    def end_clients(self) -> None:
        """End the clients that a test has started and not waited for."""
        for terminal in self.terminals:
            terminal.close()
        for running in self.running:
            running.end()
        self.terminals.clear()
        self.running.clear()

    def busy(self) -> list[str]:
        """Say what containers there still are: processes, cgroups, states of the runtime."""
        found = [
            f"process {pid}: {text(f'/proc/{pid}/cmdline')!r}"
            for pid in reap()
            if pid not in self.idle and is_alive(pid)
        ]
        found += [f"cgroup {path}" for path in host.cgroups(self.cgroup) if self.is_inside(path)]
        directory, pattern = self.states
        states = [path for path in directory.glob(pattern) if not path.name.startswith(".")]
        found += [f"state {path}" for path in states]
        return found

    def is_inside(self, path: str) -> bool:
        """Tell whether a cgroup is a container's: below the engine's own."""
        return os.path.basename(path) not in self.own_cgroups

    def check_idle(self) -> None:
        """Fail unless everything of the last test's containers goes."""
        with contextlib.suppress(AssertionError):
            until(lambda: not self.busy(), "nothing is left", 5)
        left = self.busy()
        assert not left, "left behind: " + "; ".join(left)

    def orphans(self) -> list[int]:
        """Return the processes that have come to us since the daemon's start."""
        return [pid for pid in reap() if pid not in self.keep]

    def mounts(self) -> list[str]:
        """Return the mounts below the daemon's directory, in the daemon's namespace."""
        assert self.process is not None
        lines = text(f"/proc/{self.process.pid}/mountinfo").splitlines()
        places = [line.split()[4] for line in lines]
        return [place for place in places if place.startswith(f"{self.directory}/")]

    def stop(self) -> list[str]:
        """Stop the daemon and say, having removed it, what it has left."""
        self.end_clients()
        left = []
        if self.process is not None and self.process.is_running():
            left += [f"mount {place}" for place in self.mounts() if place not in self.own_mounts]
            self.process.signal(signal.SIGTERM)
            with contextlib.suppress(AssertionError):
                self.process.wait(20)
        with contextlib.suppress(AssertionError):
            until(lambda: not self.orphans(), "no process is left", 5)
        if self.keeper is not None:
            self.keeper.end()
        left += [f"process {pid} {status_of(pid)}" for pid in self.orphans()]
        while living := self.orphans():
            for pid in living:
                kill_child(pid)
        host.remove_cgroups(self.cgroup)
        return left
