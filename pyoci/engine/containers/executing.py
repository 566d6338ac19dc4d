# SPDX-License-Identifier: Apache-2.0
"""`exec`: one more process in a container, by the runtime, with our own descriptors: no monitor stands between."""

import posix

from pyoci import runtime
from pyoci.engine import events
from pyoci.engine.containers import environment, launch, security, state, users
from pyoci.engine.containers.creator import exit_code
from pyoci.engine.containers.foreground import DETACHED, Foreground, read_keys
from pyoci.engine.containers.running import check_terminal
from pyoci.engine.errors import EngineError, PlainError
from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.executed import Executed
    from pyoci.engine.containers.record import Container
    from pyoci.flags import Flags
    from pyoci.spec import Process


def execute(container: "Container", arguments: list[str], flags: "Flags") -> int:
    """Run a process in a container; returns its exit status, 0 when it is detached."""
    detached = flags.is_on("detach")
    if not detached:
        check_terminal(tty=flags.is_on("tty"), stdin=flags.is_on("interactive"))
    keys = read_keys(flags.text("detach-keys"))
    fields = state.current(container)
    _check(container, fields["Status"])
    process = _process(container, arguments, flags, int(fields["Pid"]))
    if not flags.is_on("interactive"):
        _close_input()
    identity = posix.urandom(32).hex()
    shown = f"{arguments[0]} {' '.join(arguments[1:])}"
    for action in (f"exec_create: {shown}", f"exec_start: {shown}"):
        events.of_container(container, action, execID=identity)
    try:
        if detached or process["terminal"]:
            from pyoci.engine.containers.executed import Executed

            executed = Executed(container, identity)
            if detached:
                executed.begin_detached(process)
                return 0
            return _with_terminal(executed, process, keys, stdin=flags.is_on("interactive"))
        code = runtime.execute(launch.runtime_root(container), container.id, process)
    except PyociError as error:
        code = 1 if detached else _status(str(error))
        raise EngineError(f"OCI runtime exec failed: exec failed: {error}", code) from error
    events.of_container(container, "exec_die", execID=identity, exitCode=str(code))
    return code


def _with_terminal(executed: "Executed", process: "Process", keys: bytes, *, stdin: bool) -> int:
    """Be in the foreground of a process until it ends, or until the detach keys come: it then goes on.

    Our signals are its, unlike those for a container with a terminal: it has nobody else who would end it.
    """
    foreground = Foreground(executed, stdin=stdin, tty=True, proxy=True, detach_keys=keys)
    executed.run(process)
    code = foreground.run()
    if code == DETACHED:
        executed.let_go()
        return 0
    executed.tell_of_end(code)
    return code


def _status(text: str) -> int:
    code = exit_code(text)
    return code if code != 125 else 1


def _check(container: "Container", name: str) -> None:
    """Refuse a container that cannot take a process now, in Docker's words."""
    if name == "paused":
        raise EngineError(
            f"Container {container.name} is paused, unpause the container before exec"
        )
    if name == "restarting":
        raise EngineError(
            f"Container {container.id} is restarting, wait until the container is running"
        )
    if name != "running":
        raise EngineError(f"Container {container.id} is not running")


def _process(container: "Container", arguments: list[str], flags: "Flags", pid: int) -> "Process":
    """Return the container's own process with what is asked for in its place."""
    process = runtime.process_of(launch.runtime_root(container), container.id)
    host = container.host_config
    try:
        given = environment.given(flags.every("env"), flags.every("env-file"))
    except EngineError as error:
        raise PlainError(str(error)) from error
    tty = flags.is_on("tty")
    base = [
        entry
        for entry in process["env"]
        if not entry.startswith("TERM=") or container.config["Tty"]
    ]
    process["args"] = arguments
    process["terminal"] = tty
    process["env"] = environment.merged([*base, *(("TERM=xterm",) if tty else ())], given)
    directory = flags.text("workdir")
    process["cwd"] = directory or process["cwd"]
    if directory and not directory.startswith("/"):
        code = 1 if flags.is_on("detach") else 126
        raise EngineError(
            "OCI runtime exec failed: exec failed: Cwd must be an absolute path", code
        )
    names = security.capabilities(host)
    if flags.is_on("privileged"):
        from pyoci.linux.process import CAPABILITIES

        names = [*CAPABILITIES]
    if flags.text("user"):
        _change_user(process, f"/proc/{pid}/root", flags.text("user"), host["GroupAdd"] or [])
    held = [] if process["user"]["uid"] else names
    process["capabilities"] = {
        "bounding": names,
        "effective": held,
        "permitted": held,
        "inheritable": [],
        "ambient": [],
    }
    return process


def _change_user(process: "Process", root: str, user: str, groups: list[str]) -> None:
    """Have another user, with the home directory of that."""
    found, home = users.resolve(root, user, groups)
    process["user"]["uid"] = found["uid"]
    process["user"]["gid"] = found["gid"]
    process["user"]["additionalGids"] = found["additionalGids"]
    kept = [entry for entry in process["env"] if not entry.startswith("HOME=")]
    process["env"] = [*kept, f"HOME={home or '/'}"]


def _close_input() -> None:
    """Have nothing for standard input."""
    posix.dup2(posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC), 0)
