# SPDX-License-Identifier: Apache-2.0
"""The runtime's public Python interface: what a program on top of it (pypod) may call; all of it without a second interpreter.

`root` is the directory of all containers. Each function raises PyociError, whose text is one line and says what the command says.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pyoci.spec import Process


def create(
    root: str, identity: str, bundle: str, *, console_socket: str = "", rootless: bool = False
) -> int:
    """Create a container whose init is our child and has our standard descriptors; returns its pid.

    `rootless` makes do without cgroups that we are not allowed to make, where nothing is asked of them.
    """
    from pyoci.creation import CreateOptions, Creation

    options = CreateOptions(
        root=root, id=identity, bundle=bundle, console_socket=console_socket, rootless=rootless
    )
    creation = Creation(options, detached=True)
    creation.make()
    init = creation.made.known()["init"]
    creation.made.close()
    assert init is not None
    return init["pid"]


def start(root: str, identity: str) -> None:
    """Let a created container's program begin."""
    from pyoci import container

    container.start(root, identity)


def kill(root: str, identity: str, signal: int, *, everything: bool = False) -> None:
    """Send a signal to init, or to every process of the container."""
    from pyoci import container

    container.kill(root, identity, signal, everything=everything)


def delete(root: str, identity: str) -> None:
    """Kill what runs and remove everything that was made for a container; one that is not there is no error."""
    from pyoci import container

    container.delete(root, identity, force=True)


def status(root: str, identity: str) -> tuple[str, int]:
    """Return creating, created, running, paused or stopped, and the pid of init, 0 when it has stopped; "" for no container."""
    from pyoci import container
    from pyoci.errors import StateError

    try:
        fields = container.state(root, identity)
    except StateError:
        return "", 0
    return str(fields["status"]), int(str(fields["pid"]))


def processes(root: str, identity: str) -> list[int]:
    """Return the host's pids of every process of a container."""
    from pyoci import container

    return container.processes(root, identity) or []


def pause(root: str, identity: str) -> None:
    """Freeze every process of a container; returns when all are."""
    from pyoci import container

    container.pause(root, identity)


def resume(root: str, identity: str) -> None:
    """Let a paused container go on."""
    from pyoci import container

    container.resume(root, identity)


def cgroup_directories(root: str, identity: str) -> dict[str, str]:
    """Return where the container's cgroups are: controller -> path of its directory; "" names that of version 2."""
    from pyoci import state

    container = state.load(root, identity)
    try:
        cgroup = container.cgroup()
        return dict(cgroup.directories) if cgroup is not None else {}
    finally:
        container.close()


def execute(root: str, identity: str, process: "Process") -> int:
    """Run one more process in a container; returns its exit status."""
    from pyoci.execution import ExecOptions, exec_process

    return exec_process(ExecOptions(root=root, id=identity, process=process))


def begin_process(
    root: str, identity: str, process: "Process", take_terminal: "Callable[[int], None]"
) -> int:
    """Begin one more process in a container, our child; returns its pid.

    `take_terminal` is given the master of its terminal, where it has one, before its program begins.
    """
    from pyoci.execution import ExecOptions, begin

    options = ExecOptions(
        root=root, id=identity, process=process, detach=True, take_terminal=take_terminal
    )
    return begin(options).running.pid


def process_of(root: str, identity: str) -> "Process":
    """Return the process of a container's config.json, complete, to make another from."""
    from pyoci import state
    from pyoci.spec import load

    found = load(f"{root}/{identity}/{state.CONFIG}")["process"]
    assert found is not None
    return found


def update(root: str, identity: str, resources: "dict[str, object]") -> None:
    """Change those limits of a container that linux.resources names; everything else stays, and on failure all of it."""
    from pyoci import updating
    from pyoci.jsontext import dumps
    from pyoci.spec import parse_resources

    updating.update(root, identity, parse_resources(dumps(resources).encode(), "update"), [])
