# SPDX-License-Identifier: Apache-2.0
"""What the monitor has others do: `pyoci` and `pypod`, started and ended, so that nothing heavy stays in its memory."""

import _socket
import posix

from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    Settings = dict[str, Any]

_READ = 65536


def end(settings: "Settings", *words: str) -> str:
    """Run the runtime's command for this container, a millisecond for most, to its end; returns "" or why it failed."""
    code, text = _run([settings["pyoci"], "--root", settings["runtime"], *words, settings["id"]], 2)
    return "" if code == 0 else (text.strip() or f"pyoci {words[0]}: exit status {code}")


def state_pid(settings: "Settings") -> int:
    """Return the pid of the container's init as the runtime knows it, which is sure of its identity; 0 for none."""
    code, text = _run(
        [settings["pyoci"], "--root", settings["runtime"], "state", settings["id"]], 1
    )
    return int(str(parse_object(text.encode())["pid"])) if code == 0 else 0


def _run(argv: list[str], descriptor: int) -> tuple[int, str]:
    """Run a program; returns its exit status and what it wrote on a descriptor."""
    reading, writing = posix.pipe2(posix.O_CLOEXEC)
    pid = posix.posix_spawn(
        argv[0], argv, posix.environ, file_actions=_actions(writing, descriptor)
    )
    posix.close(writing)
    text = b""
    while part := posix.read(reading, _READ):
        text += part
    posix.close(reading)
    code = posix.waitstatus_to_exitcode(posix.waitpid(pid, 0)[1])
    return code, text.decode("utf-8", "replace")


def _actions(writing: int, descriptor: int) -> "list[tuple[int, int, int]]":
    return [(posix.POSIX_SPAWN_DUP2, writing, descriptor)]


def create(settings: "Settings", run: str, namespace: str) -> tuple[int, int, int]:
    """Have the container made once more, in its network namespace, "" for a new one.

    Returns the socket that its terminal comes to, the socket of the report, the pid.
    """
    from pyoci.engine.monitor.clients import listen

    console = -1
    if settings["tty"]:
        console = listen(run, "console.sock", _socket.SOCK_STREAM).detach()
    words = [settings["id"], namespace] if namespace else [settings["id"]]
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)
    pid = posix.posix_spawn(
        settings["pypod"],
        [settings["pypod"], *settings["places"], "_create", *words],
        posix.environ,
        file_actions=_actions(theirs.fileno(), 1),
    )
    theirs.close()
    return console, ours.detach(), pid


def clean_up(settings: "Settings") -> None:
    """Have what is left of a container cleaned up; it waits until this monitor has gone."""
    argv = [settings["pypod"], *settings["places"], "_cleanup", settings["id"]]
    posix.posix_spawn(argv[0], argv, posix.environ)
