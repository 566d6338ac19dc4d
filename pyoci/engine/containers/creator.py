# SPDX-License-Identifier: Apache-2.0
"""Make the container itself, in a process that ends when its program has begun: root, volumes, config.json, runtime."""

import fcntl
import posix

from pyoci import log, runtime
from pyoci.engine.containers import launch, order, populate, root, specification
from pyoci.engine.errors import EngineError
from pyoci.engine.places import is_rootless
from pyoci.errors import PyociError
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from pyoci.engine.containers.order import Surroundings
    from pyoci.engine.containers.record import Container

_OUTPUT = posix.O_RDWR | posix.O_CLOEXEC
_INPUT = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC
# What Docker's client makes 127 and 126 of (highlevel.md, finding 4).
_MISSING = ("executable file not found", "no such file or directory")
_FORBIDDEN = ("permission denied", "is a directory")


def obey(work: int, fd: int) -> "NoReturn":
    """Make the container that is ordered on a socket (ahead.py), when word comes there, and report."""
    try:
        ordered = order.receive(work)
        if ordered is not None:
            report(*ordered, fd, lambda: bool(posix.read(work, 1)))
    finally:
        posix._exit(0)  # noqa: SLF001 - this process was forked from a monitor


def report(
    container: "Container",
    around: "Surroundings",
    fd: int,
    has_word: "Callable[[], bool]",
    made: "Callable[[int], None]" = lambda _: None,
) -> "NoReturn":
    """Make the container and report on a socket, in a packet: {"pid": N} or {"error": text, "code": N}. Never returns.

    `has_word` is called when everything is prepared, and tells whether it shall be made; `made` with its pid before anybody hears
    of it. Then a byte on the socket has its program begin, and another packet tells of that: {} or {"error": text}.
    """
    try:
        said = _attempt(container, around, has_word, made)
        if said:
            tell(fd, said)
        if "pid" in said and posix.read(fd, 1):
            tell(fd, _begin(container))
    finally:
        posix._exit(0)  # noqa: SLF001 - this process was forked from a command


def tell(fd: int, report: "dict[str, Any]") -> None:
    """Report to the monitor."""
    posix.write(fd, dumps(report).encode())


def _attempt(
    container: "Container",
    around: "Surroundings",
    has_word: "Callable[[], bool]",
    made: "Callable[[int], None]",
) -> "dict[str, Any]":
    try:
        prepare(container, around)
        if not has_word():
            return {}
        pid = create(container)
        made(pid)
        return {"pid": pid, "events": _memory_events(container)}
    except EngineError as error:
        return {"error": str(error), "code": max(error.exit_code, 125)}
    except PyociError as error:
        return {"error": f"OCI runtime create failed: {error}", "code": exit_code(str(error))}
    except OSError as error:
        name = f"{error.filename}: " if error.filename else ""
        return {"error": f"{name}{(error.strerror or '').lower()}", "code": 125}
    except Exception as error:  # noqa: BLE001 - a bug of ours is a line, too
        from pyoci.errors import where_from

        return {"error": f"internal error: {where_from(error)}", "code": 125}


def _begin(container: "Container") -> "dict[str, Any]":
    try:
        runtime.start(launch.runtime_root(container), container.id)
    except PyociError as error:
        return {"error": f"OCI runtime start failed: {error}"}
    return {}


def _memory_events(container: "Container") -> str:
    """Return the file in which the kernel counts whom it has killed for want of memory, "" for none."""
    places = runtime.cgroup_directories(launch.runtime_root(container), container.id)
    if "memory" in places:
        return f"{places['memory']}/memory.oom_control"
    return f"{places['']}/memory.events" if "" in places else ""


def exit_code(text: str) -> int:
    """Return the status of a command that could not run its program, from the runtime's words."""
    if any(words in text for words in _MISSING):
        return 127
    return 126 if any(words in text for words in _FORBIDDEN) else 125


def prepare(container: "Container", around: "Surroundings") -> None:
    """Mount the root, fill new volumes, write config.json."""
    log.configure(f"{container.run}/runtime.log", "text", debug=False)
    if around.layers:
        root.mount_layers(container, around.layers)
    populate.fill_volumes(container, around.root)
    config = specification.compile_config(container, around)
    write(f"{container.run}/config.json", dumps(config))
    _prepare_health(container, config["process"])


def create(container: "Container") -> int:
    """Make the container, its program not started; returns the pid of its init, our child."""
    directory = launch.runtime_root(container)
    runtime.delete(directory, container.id)  # what a killed command may have left
    console = ""
    if container.config["Tty"]:
        console = f"{container.run}/console.sock"
    else:
        take_pipes(container)
    return runtime.create(
        directory,
        container.id,
        container.run,
        console_socket=console,
        rootless=is_rootless(),
    )


def take_pipes(container: "Container") -> None:
    """Have the container's pipes for standard descriptors. Output is open for reading, too: a monitor may die, and another come."""
    run = container.run
    if container.config["OpenStdin"]:
        source = posix.open(f"{run}/stdin", _INPUT)
        fcntl.fcntl(source, fcntl.F_SETFL, 0)
    else:
        source = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
    posix.dup2(source, 0)
    posix.dup2(posix.open(f"{run}/stdout", _OUTPUT), 1)
    posix.dup2(posix.open(f"{run}/stderr", _OUTPUT), 2)


def _prepare_health(container: "Container", process: "dict[str, Any]") -> None:
    """Leave the process of the health check where the monitor finds it."""
    check = launch.health_settings(container.config["Healthcheck"])
    if check is None:
        return
    kind, *words = check["test"]
    arguments = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
    body = {**process, "terminal": False, "args": arguments}
    write(f"{container.run}/health.json", dumps(body))


def write(path: str, text: str) -> None:
    """Replace a file of ours."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600)
    data = text.encode("utf-8", "surrogateescape")
    try:
        while data:
            data = data[posix.write(fd, data) :]
    finally:
        posix.close(fd)
