# SPDX-License-Identifier: Apache-2.0
"""A Docker Swarm of three machines that are network namespaces: the way out of one machine."""

import os
from pathlib import Path

from blackbox.processes import Running, children, kill_child, reap, text, until
from engines.daemon import Daemon
from engines.docker import NetworkedDocker

PREFIX = "10.92.0"
NODES = (1, 2, 3)
# A switch in a namespace of its own, which joins the machines.
SWITCH = "ip link add switch type bridge && ip link set switch up"
PLUG = """
ip link add port{node} type veth peer name eth0 netns {machine} && ip link set port{node} master switch up
"""
# No default route: an agent that asks for a newer image would wait for an answer before each task.
ADDRESS = "ip addr add {prefix}.{node}/24 dev eth0 && ip link set eth0 up"


class Switch(Daemon):
    """The network between the machines."""

    network = "own"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, "none")
        self.make_namespaces()
        self.do(SWITCH)

    def do(self, script: str) -> None:
        """Run a shell script in the network's namespaces."""
        run_inside(self, script)


class Machine(NetworkedDocker):
    """One Docker daemon whose network namespace is on the switch."""

    def __init__(
        self, directory: Path, cgroup: str, program: str, place: tuple[Switch, int]
    ) -> None:
        self.switch, self.node = place
        super().__init__(directory, cgroup, program)

    def make_namespaces(self) -> None:
        """Make the namespaces, and a cable from them to the switch."""
        super().make_namespaces()
        assert self.keeper is not None
        self.switch.do(PLUG.format(node=self.node, machine=self.keeper.pid))
        run_inside(self, ADDRESS.format(prefix=PREFIX, node=self.node))

    def options(self) -> dict[str, Path | str]:
        """Return the daemon's options: each machine has other addresses for its containers."""
        return {**super().options(), "live-restore": "false", "bip": f"172.30.{self.node}.1/24"}

    def lose(self) -> None:
        """End everything that runs on the machine, as when its power goes."""
        assert self.process is not None
        self.process.end()
        until(lambda: not [kill_child(pid) for pid in reap() if self.has(pid)], "it is dark", 20)

    def has(self, pid: int) -> bool:
        """Tell whether a process is the engine's, by its mounts, or a container's, by its cgroup."""
        assert self.keeper is not None
        try:
            mine = os.readlink(f"/proc/{self.keeper.pid}/ns/mnt")
            return os.readlink(f"/proc/{pid}/ns/mnt") == mine or (
                f"/{self.cgroup}/" in text(f"/proc/{pid}/cgroup")
            )
        except (FileNotFoundError, ProcessLookupError):
            return False

    @property
    def address(self) -> str:
        """The address of the machine."""
        return f"{PREFIX}.{self.node}"


class Swarm:
    """Three machines: the first leads, all of them work."""

    def __init__(self, directory: Path, cgroup: str, program: str) -> None:
        self.directory = directory
        self.switch = Switch(directory / "switch")
        self.machines = [
            Machine(directory / f"machine{node}", f"{cgroup}{node}", program, (self.switch, node))
            for node in NODES
        ]
        idle = children()
        for machine in self.machines:
            machine.idle = idle

    def form(self, root: Path) -> None:
        """Make two versions of the image on each machine, and the swarm."""
        leader = self.machines[0]
        for machine in self.machines:
            machine.load(root)
            for version in ("one", "two"):
                machine.output("tag", "box", f"box:{version}")
        leader.output("swarm", "init", "--advertise-addr", leader.address)
        token = leader.output("swarm", "join-token", "--quiet", "manager").strip()
        for machine in self.machines[1:]:
            machine.output("swarm", "join", "--token", token, f"{leader.address}:2377")

    def __call__(self, *args: str) -> str:
        """Run a command of the leader, which must succeed, and return what it wrote."""
        return self.machines[0].output(*args)

    def ask(self, *args: str) -> str:
        """Run a command of the leader that is to be repeated: while managers elect one, it answers nothing."""
        return self.machines[0](*args).stdout

    def tasks(self, service: str, shown: str) -> list[str]:
        """Return what is shown of the tasks of a service that should run and do."""
        wanted = ["--filter", "desired-state=running", "--format"]
        lines = self.ask("service", "ps", *wanted, f"{{{{.CurrentState}}}}|{shown}", service)
        pairs = [line.split("|") for line in lines.splitlines()]
        return [rest for state, rest in pairs if state.startswith("Running")]

    def wait_for(self, service: str, count: int, image: str, seconds: float = 60) -> None:
        """Wait until so many tasks of a service run an image."""

        def ready() -> bool:
            return self.tasks(service, "{{.Image}}") == [image] * count

        until(ready, f"{count} tasks of {service} run {image}", seconds)

    def stop(self) -> list[str]:
        """Stop the machines and the switch, and say what they have left."""
        left = []
        for machine in self.machines:
            if machine.process is not None and machine.process.is_running():
                machine("swarm", "leave", "--force")
        for machine in self.machines:
            machine.keep = children()
            left += machine.stop()
        return [*left, *self.switch.stop()]


def run_inside(daemon: Daemon, script: str) -> None:
    """Run a shell script, which must succeed, in the namespaces of a daemon."""
    ran = Running([*daemon.inside(), "sh", "-c", script], daemon.outputs).wait()
    assert ran.code == 0, ran
