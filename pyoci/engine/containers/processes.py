# SPDX-License-Identifier: Apache-2.0
"""`top`: what ps(1) of the host says of a container's processes."""

import posix

from pyoci import runtime
from pyoci.engine.containers import launch, state
from pyoci.engine.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container

_PS = "/bin/ps"
_READ = 65536


def table(container: "Container", options: list[str]) -> list[list[str]]:
    """Return the heading of ps and the rows of the container's processes."""
    if state.current(container)["Status"] not in ("running", "paused"):
        raise EngineError(f"Container {container.id} is not running")
    pids = set(runtime.processes(launch.runtime_root(container), container.id))
    text = _run([_PS, *(options or ["-ef"])])
    heading, *lines = text.splitlines()
    names = heading.split()
    if "PID" not in names:
        raise EngineError("Couldn't find PID field in ps output")
    place = names.index("PID")
    rows = [line.split(None, len(names) - 1) for line in lines]
    mine = [
        row
        for row in rows
        if len(row) > place and row[place].isdecimal() and int(row[place]) in pids
    ]
    return [names, *mine]


def _run(argv: list[str]) -> str:
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    actions = [(posix.POSIX_SPAWN_DUP2, writing, number) for number in (1, 2)]
    try:
        pid = posix.posix_spawn(argv[0], argv, posix.environ, file_actions=actions)
    except FileNotFoundError:
        raise EngineError(f"{argv[0]} is missing: install procps") from None
    finally:
        posix.close(writing)
    data = b""
    while part := posix.read(reading, _READ):
        data += part
    posix.close(reading)
    text = data.decode("utf-8", "replace")
    if posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1]):
        raise EngineError(f"ps: {text.strip().splitlines()[0] if text.strip() else 'failed'}")
    return text
