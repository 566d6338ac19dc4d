# SPDX-License-Identifier: Apache-2.0
"""Network namespaces of the tests' own: a host on which pypod runs, and a neighbour on a wire to it."""

import sys
from pathlib import Path

from blackbox.processes import Ran, Running, text, until

RESPONDER = [sys.executable, "-I", "-S", str(Path(__file__).with_name("responder.py"))]
HOST_ADDRESS, NEIGHBOUR_ADDRESS = "10.99.0.1", "10.99.0.2"
HOST_ADDRESS6, NEIGHBOUR_ADDRESS6 = "fd99::1", "fd99::2"
KEPT = {"lo", "wire0", "pypod0"}  # devices that stay: the default network's bridge among them
_WIRE = f"""
ip link add wire0 type veth peer name wire1 netns $1
ip addr add {HOST_ADDRESS}/24 dev wire0
ip addr add {HOST_ADDRESS6}/64 dev wire0 nodad
ip link set lo up
ip link set wire0 up
"""
_OTHER_END = f"""
ip addr add {NEIGHBOUR_ADDRESS}/24 dev wire1
ip addr add {NEIGHBOUR_ADDRESS6}/64 dev wire1 nodad
ip link set lo up
ip link set wire1 up
"""


class Place:
    """A network namespace: that of a process, by default of one that sleeps to hold it."""

    def __init__(self, outputs: Path, pid: int = 0) -> None:
        self.outputs = outputs
        self.keeper: Running | None = None
        self.pid = pid
        if not pid:
            keeper = Running(["unshare", "--net", "sleep", "infinity"], outputs)
            until(lambda: text(f"/proc/{keeper.pid}/comm") == "sleep\n", "the namespace is made")
            self.keeper, self.pid = keeper, keeper.pid

    @property
    def inside(self) -> list[str]:
        """The command that runs another here."""
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", "--"]

    def spawn(self, *argv: str) -> Running:
        """Start a program here."""
        return Running([*self.inside, *argv], self.outputs)

    def __call__(self, *argv: str) -> Ran:
        """Run a program here to its end."""
        return self.spawn(*argv).wait()

    def output(self, *argv: str) -> str:
        """Run a program that must succeed, and return what it wrote."""
        ran = self(*argv)
        assert ran.code == 0, ran
        return ran.stdout

    def shell(self, script: str, *words: str) -> str:
        """Run a shell script that must succeed, and return what it wrote."""
        return self.output("sh", "-ec", script, "sh", *words)

    def hears(self, address: str, port: int) -> str:
        """Connect from here, and return what is heard; "" when nobody answers."""
        return self("busybox", "nc", "-w", "3", address, str(port)).stdout

    def devices(self) -> list[str]:
        """Return the names of the network's devices."""
        lines = self.output("ip", "-o", "link").splitlines()
        return [line.split()[1].rstrip(":").partition("@")[0] for line in lines]

    def rules(self) -> str:
        """Return all rules of nftables."""
        return self.output("nft", "list", "ruleset")

    def end(self) -> None:
        """Let the namespace go."""
        if self.keeper is not None:
            self.keeper.end()


class Topology:
    """The host, its neighbour, and the wire between them."""

    def __init__(self, outputs: Path) -> None:
        outputs.mkdir(parents=True)
        self.host, self.neighbour = Place(outputs), Place(outputs)
        self.host.shell(_WIRE, str(self.neighbour.pid))
        self.neighbour.shell(_OTHER_END)

    def end(self) -> None:
        """Let both go."""
        self.host.end()
        self.neighbour.end()
