# SPDX-License-Identifier: Apache-2.0
"""RUN: a container of our own runtime, with the defaults of every container, that is in no list and ends with its program."""

import os
import posix
import sys

from pyoci import log, runtime
from pyoci.engine.build.copying import write
from pyoci.engine.build.leftovers import PREFIX
from pyoci.engine.build.network import Attached
from pyoci.engine.build.workspace import Workspace, missing
from pyoci.engine.containers import hostfiles, mounts, request, specification
from pyoci.engine.containers import network as networks
from pyoci.engine.containers.order import Surroundings
from pyoci.engine.containers.record import Container
from pyoci.engine.errors import EngineError
from pyoci.engine.mounts import unmount
from pyoci.engine.trees import remove_tree
from pyoci.errors import PyociError
from pyoci.flags import Flags
from pyoci.jsontext import dumps
from pyoci.linux.path import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pyoci.engine.build.agent import Forwarder
    from pyoci.engine.build.dockerfile import Heredoc
    from pyoci.engine.build.state import State
    from pyoci.engine.images.store import Session

    Point = dict[str, Any]

_SCRIPTS = "/dev/pipes"
_READ = 1 << 16


class Job:
    """A program to be run in the root of a state: its words, its environment, what is mounted."""

    __slots__ = (
        "agents",
        "arguments",
        "covers",
        "directory",
        "documents",
        "environment",
        "flags",
        "locks",
        "points",
        "session",
        "state",
    )

    def __init__(
        self,
        session: "Session",
        state: "State",
        arguments: list[str],
        flags: "Mapping[str, list[str]]",
    ) -> None:
        self.session = session
        self.state = state
        self.arguments = arguments
        self.environment = {**state.arguments, **state.environment}
        self.flags = Flags({**flags})
        self.points: list[Point] = []
        self.agents: list[Forwarder] = []
        self.documents: list[Heredoc] = []
        self.locks: dict[str, int] = {}  # of cache directories, by name
        self.covers: list[str] = []  # what is mounted of its own
        self.directory = f"{session.path}/job-{os.urandom(4).hex()}"
        os.mkdir(self.directory, 0o700)

    def add_script(self, heredoc: "Heredoc") -> None:
        """Have a document that begins with #! run as a program."""
        path = f"{self.directory}/{len(self.points)}"
        write(path, heredoc.content.encode("utf-8", "surrogateescape"), 0o755)
        self.bind(path, f"{_SCRIPTS}/{heredoc.name}", writable=False)
        self.arguments = [f"{_SCRIPTS}/{heredoc.name}"]

    def bind(self, source: str, target: str, *, writable: bool) -> None:
        """Mount a file or a directory of the host."""
        self.points.append(mounts.point("bind", source, self.absolute(target), writable=writable))

    def absolute(self, path: str) -> str:
        """Return a path from the root on."""
        return clean(path if path.startswith("/") else f"{self.state.directory}/{path}")

    def run(self, output: "Callable[[bytes], None]", root: str) -> "tuple[int, Workspace]":
        """Run the program to its end; returns its exit status and what it has changed. `root` shows the layers as they are."""
        container = self._container()
        around = Surroundings(root)
        if self.flags.text("network") == "host":
            around.namespaces["network"] = ""
        config = specification.compile_config(container, around)
        workspace = Workspace(self.session, self.state.layers, missing(root, _mounted(config)))
        with workspace:
            config["root"]["path"] = workspace.merged
            write(
                f"{self.directory}/config.json",
                dumps(config).encode("utf-8", "surrogateescape"),
                0o600,
            )
            code = self._execute(container, output)
        return code, workspace

    def close(self) -> None:
        """Let go of what was mounted and locked for it, and remove its secrets."""
        for agent in self.agents:
            agent.close()
        for cover in self.covers:
            unmount(cover)
        for lock in self.locks.values():
            os.close(lock)
        remove_tree(self.directory)

    def _container(self) -> Container:
        """Return a container that is in no database: its document, and where its files lie."""
        places = self.session.store.places
        identity = f"{PREFIX}{self.session.name}-{os.path.basename(self.directory)}"
        own = self.state.config
        document: dict[str, Any] = {
            "Config": request.config(["", *self.arguments], Flags({})),
            "HostConfig": request.host_config(self.flags),
            "Mounts": sorted(self.points, key=lambda made: str(made["Destination"]).count("/")),
            "NetworkSettings": networks.settings({}),
            "files": self.directory,
        }
        document["Config"] |= {
            "Env": [f"{name}={value}" for name, value in self.environment.items()],
            "User": own["User"],
            "WorkingDir": self.state.directory,
            "Hostname": "build",
        }
        container = Container(places, (identity, identity, 0, self.state.base, dumps(document)))
        container.directory = container.run = self.directory
        hostfiles.write(container, [])
        return container

    def _execute(self, container: Container, output: "Callable[[bytes], None]") -> int:
        """Create, start, pass on what it writes, wait: the runtime's public interface."""
        root = f"{container.places.run}/runtime"
        log.configure(f"{self.directory}/runtime.log", "text", debug=False)
        reading, writing = posix.pipe2(posix.O_CLOEXEC)
        attached = Attached(container) if self.flags.text("network") == "default" else None
        try:
            with _Standard(writing):
                pid = runtime.create(root, container.id, self.directory)
            os.close(writing)
            writing = -1
            if attached is not None:
                attached.attach(pid)
            runtime.start(root, container.id)
            while piece := os.read(reading, _READ):
                output(piece)
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except PyociError as error:
            raise EngineError(f"OCI runtime create failed: {error}") from error
        finally:
            for fd in (reading, writing):
                if fd >= 0:
                    os.close(fd)
            runtime.delete(root, container.id)
            if attached is not None:
                attached.close()
        return code if code >= 0 else 128 - code


class _Standard:
    """For a with block: /dev/null and a pipe for our standard descriptors, which the container's init gets."""

    def __init__(self, writing: int) -> None:
        self.writing = writing
        self.kept: list[int] = []

    def __enter__(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        from fcntl import F_DUPFD_CLOEXEC, fcntl

        self.kept = [fcntl(fd, F_DUPFD_CLOEXEC, 10) for fd in (0, 1, 2)]
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        for fd, number in ((null, 0), (self.writing, 1), (self.writing, 2)):
            os.dup2(fd, number)
        os.close(null)

    def __exit__(self, *_: object) -> None:
        for number, fd in enumerate(self.kept):
            os.dup2(fd, number)
            os.close(fd)


def _mounted(config: "dict[str, Any]") -> list[tuple[str, bool]]:
    """Return where something is mounted, and whether that is a directory."""
    found = []
    for entry in config["mounts"]:
        is_file = entry["type"] == "bind" and not os.path.isdir(entry["source"])
        found.append((str(entry["destination"]), not is_file))
    return found
