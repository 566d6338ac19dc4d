# SPDX-License-Identifier: Apache-2.0
"""The network of a container as its monitor has it: its namespace, held between two runs, published ports, names.

What serves ports and names is imported with the first socket for it: a monitor without any stays small.
"""

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.monitor.forward import Ports
    from pyoci.engine.monitor.names import Names
    from pyoci.engine.monitor.watch import Watch


class Network:
    """The namespace and the servers: `due_at` is when something is to be done, in the clock of time.monotonic; 0 never."""

    __slots__ = ("names", "namespace", "ports", "settings", "taken", "watch")

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch
        self.settings: dict[str, Any] = watch.settings["network"]  # type: ignore[assignment]  # parsed JSON of our own
        self.namespace = -1
        self.ports: Ports | None = None
        self.names: Names | None = None
        self.taken: list[tuple[dict[str, Any], int]] = []  # what each socket is for

    def hold(self, pid: int) -> None:
        """Keep the namespace of a container that runs, if it is its own."""
        if self.settings["own"] and self.namespace < 0:
            self.namespace = posix.open(f"/proc/{pid}/ns/net", posix.O_RDONLY | posix.O_CLOEXEC)

    def path(self) -> str:
        """Return where others find the namespace, "" when there is none."""
        return f"/proc/{posix.getpid()}/fd/{self.namespace}" if self.namespace >= 0 else ""

    def take(self, purpose: "dict[str, Any]", fd: int) -> None:
        """Begin to serve a socket."""
        kind = purpose["kind"]
        self.taken.append((purpose, fd))
        if kind in ("tcp", "udp"):
            from pyoci.engine.monitor.forward import Ports

            self.ports = self.ports or Ports(self.watch)
            self.ports.add(kind, fd, purpose["to"])
            return
        from pyoci.engine.monitor.names import Names

        self.names = self.names or Names(self.watch, self.settings)
        self.names.add(kind, fd)

    @property
    def due_at(self) -> float:
        """The next moment at which something has waited too long."""
        moments = [part.due_at for part in (self.ports, self.names) if part and part.due_at]
        return min(moments) if moments else 0.0

    def go_on(self) -> None:
        """Give up what has waited too long."""
        for part in (self.ports, self.names):
            if part:
                part.expire()

    def close(self) -> None:
        """Let go of the namespace and of everything that is served."""
        for part in (self.ports, self.names):
            if part:
                part.close()
        self.ports = self.names = None
        self.taken = []
        if self.namespace >= 0:
            posix.close(self.namespace)
            self.namespace = -1
