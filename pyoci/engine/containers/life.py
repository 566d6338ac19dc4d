# SPDX-License-Identifier: Apache-2.0
"""The life of a container as commands see it: start, stop, kill, pause, wait, restart, rename, remove.

Who starts, cleans up or removes holds the lock of the container's directory; nobody holds it while the program runs.
"""

import fcntl
import posix
import time

from pyoci import runtime
from pyoci.engine import events
from pyoci.engine.containers import (
    hostfiles,
    launch,
    links,
    making,
    names,
    network,
    root,
    sharedmemory,
    signals,
    state,
    status,
)
from pyoci.engine.containers.ahead import Helpers
from pyoci.engine.containers.record import make_directories
from pyoci.engine.containers.session import Session
from pyoci.engine.containers.surroundings import look_around
from pyoci.engine.errors import ConflictError, EngineError, NotFoundError
from pyoci.errors import PyociError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Self

    from pyoci.engine.containers.record import Container, Records

_KILL_SECONDS = 10
_IDLE_SECONDS, _PAUSE = 2.0, 0.005  # for another command that cleans up
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC


class Lock:
    """A container to ourselves, for a with block."""

    __slots__ = ("_fd",)

    def __init__(self, container: "Container", *, how: int = fcntl.LOCK_EX) -> None:
        try:
            self._fd = posix.open(container.directory, _DIRECTORY)
        except FileNotFoundError:
            raise NotFoundError(f"No such container: {container.id}") from None
        try:
            fcntl.flock(self._fd, how)
        except BlockingIOError:
            posix.close(self._fd)
            raise

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_: object) -> None:
        posix.close(self._fd)


def start(
    records: "Records", container: "Container", session: Session, helpers: "Helpers | None" = None
) -> None:
    """Start a container, with a session on it before its program begins; one that runs already is no error.

    `helpers` are those that have begun already (ahead.py).
    """
    while True:
        with Lock(container):
            name = state.current(container)["Status"]
            if name == "paused":
                raise EngineError("cannot start a paused container, try unpause instead")
            if name in ("running", "restarting"):
                if helpers is not None:
                    helpers.close()
                session.connect(container)
                if session.prepare is not None:
                    session.prepare()
                return
            if container.is_new or not status.is_watched(container.run):
                _start(records, container, session, helpers or Helpers())
                return
        await_monitor(container)


def _start(
    records: "Records", container: "Container", session: Session, helpers: "Helpers"
) -> None:
    if not container.is_new:  # what a killed command may have left
        detach(records, container)
        make_directories(container)
    told = False
    session.take(helpers.owner)
    try:
        helpers.name(container.run)
        launch.launch(container, look_around(records, container), helpers)
        if not network.is_simple(container):
            warm_up(container)
            _attach(records, container, session.created(), session)
        elif container.config["Tty"]:
            session.created()  # by then the terminal is there, which is given its size
        write_hosts(records, container)
        events.begun(records.database, container)
        told = True
        session.let_begin()
        warm_up(container)
        records.database.tidy()
        session.begun()
    except BaseException:
        helpers.close()
        await_monitor(container)
        sweep(records, container, told=told)
        raise


def warm_up(container: "Container") -> None:
    """Import what will be needed next, while others work: they first."""
    posix.sched_yield()
    if not network.is_simple(container):
        import pyoci.engine.containers.attachment
    import pyoci.engine.containers.cleaning  # noqa: F401 - loaded now, used soon


def _attach(records: "Records", container: "Container", pid: int, session: Session) -> None:
    """Give a container its networks, and its monitor the sockets that it must have for them."""
    from pyoci.engine.containers import attachment

    for purpose, socket in attachment.attach(records, container, pid):
        session.give(purpose, socket)


def detach(records: "Records", container: "Container") -> None:
    """Take a container from its networks; without the modules for it where it has none."""
    if network.is_simple(container):
        return
    from pyoci.engine.containers import attachment

    attachment.detach(records, container)


def write_hosts(records: "Records", container: "Container") -> None:
    """Write the addresses of a container into its own files and into those of the containers that link to it."""
    if not hostfiles.addresses(container):
        return
    hostfiles.write(container, links.hosts(links.targets(records, container)))
    for other in links.sources(records, container):
        if state.is_running(other):
            hostfiles.write(other, links.hosts(links.every(records, other)))


def await_monitor(container: "Container") -> None:
    """Wait until the monitor of an earlier run has gone; without the lock, which who cleans up after it needs."""
    try:
        fd = posix.open(f"{container.run}/{status.LOCK}", posix.O_RDONLY | posix.O_CLOEXEC)
    except FileNotFoundError:
        return
    fcntl.flock(fd, fcntl.LOCK_SH)
    posix.close(fd)


def sweep(records: "Records", container: "Container", *, told: bool = True) -> None:
    """Take away what a run has left on the host: the runtime's container, its network, the mount of its root.

    Tells of it once: when the root was mounted, and others were `told` that the run had begun.
    """
    runtime.delete(launch.runtime_root(container), container.id)
    detach(records, container)
    sharedmemory.unmount(container)
    if root.unmount(records, container) and told:
        events.ended(records.database, container)


def clean_up(records: "Records", container: "Container") -> None:
    """Clean up after the end of a container, and remove it where that was asked for with --rm."""
    with Lock(container):
        _clean_up(records, container)


def _clean_up(records: "Records", container: "Container") -> None:
    sweep(records, container)
    if container.host_config["AutoRemove"]:
        making.discard(records, container, volumes=True)


def clean_up_if_idle(records: "Records", container: "Container") -> None:
    """Clean up after a container that has ended, unless others are at work on it for long."""
    deadline = time.monotonic() + _IDLE_SECONDS
    while time.monotonic() < deadline:
        try:
            with Lock(container, how=fcntl.LOCK_EX | fcntl.LOCK_NB):
                if not status.is_watched(container.run):
                    _clean_up(records, container)
                    return
        except BlockingIOError:
            pass  # another command cleans up
        except NotFoundError:
            return  # it was removed meanwhile
        time.sleep(_PAUSE)


def stop(records: "Records", container: "Container", signal: str, seconds: int | None) -> None:
    """Ask a container to end, and after some seconds make it; one that does not run is no error. Negative seconds wait for ever."""
    fields = state.current(container)
    if fields["Status"] not in state.RUNNING:
        return
    own = container.config
    if seconds is None:
        seconds = own["StopTimeout"] if own["StopTimeout"] is not None else 10
    number = signals.number(signal or own["StopSignal"] or "TERM")
    status.mark(container.run, status.STOPPED_BY_HAND)
    session = Session()
    session.connect(container)
    mine = session.look_and_take()
    _tell_of_signal(container, number)
    if fields["Status"] == "paused":
        unpause(container)
    _signal(container, number)
    if not _has_ended(container, session, seconds if seconds >= 0 else None):
        _tell_of_signal(container, signals.KILL)
        send(container, signals.KILL)
        if not _has_ended(container, session, _KILL_SECONDS):
            raise EngineError(
                f"tried to kill container, but did not receive an exit event: {container.id}"
            )
    _finish(records, container, session, mine=mine)
    events.of_container(container, "stop")


def _tell_of_signal(container: "Container", number: int) -> None:
    """Tell of a signal before it is sent: what comes of it is told after it."""
    events.of_container(container, "kill", signal=str(number))


def _has_ended(container: "Container", session: Session, seconds: float | None) -> bool:
    """Wait for the end; its monitor may have gone before it told us, for another command was here first."""
    ended = session.ended(seconds) is not None
    return ended or state.current(container)["Status"] not in state.RUNNING


def _finish(records: "Records", container: "Container", session: Session, *, mine: bool) -> None:
    """Clean up where that fell to us, else wait until who has it is done."""
    try:
        if mine:
            clean_up(records, container)
            session.done()
        session.await_close()
    except NotFoundError:
        return  # removed meanwhile, by --rm
    finally:
        session.close()


def _signal(container: "Container", number: int) -> None:
    """Send a signal to what runs now; one that waits to begin again sees the mark, which it has looked at, and does not."""
    if status.read(container.directory)["Status"] == "running":
        send(container, number)


def send(container: "Container", number: int) -> None:
    """Send a signal to the container's program; one that has ended meanwhile is no error."""
    try:
        runtime.kill(launch.runtime_root(container), container.id, number)
    except PyociError:
        if runtime.status(launch.runtime_root(container), container.id)[0] in ("running", "paused"):
            raise


def kill(records: "Records", container: "Container", signal: str) -> None:
    """Send a signal; KILL also waits for the end."""
    number = signals.number(signal)
    fields = state.current(container)
    if fields["Status"] not in state.RUNNING:
        raise EngineError(
            f"Cannot kill container: {container.name}: Container {container.id} is not running"
        )
    if number != signals.KILL:
        _tell_of_signal(container, number)
        runtime.kill(launch.runtime_root(container), container.id, number)
        return
    status.mark(container.run, status.STOPPED_BY_HAND)
    session = Session()
    session.connect(container)
    mine = session.look_and_take()
    _tell_of_signal(container, number)
    _signal(container, number)
    if not _has_ended(container, session, _KILL_SECONDS):
        raise EngineError(
            f"tried to kill container, but did not receive an exit event: {container.id}"
        )
    _finish(records, container, session, mine=mine)


def restart(records: "Records", container: "Container", signal: str, seconds: int | None) -> None:
    """Stop and start a container."""
    keeps = container.host_config["AutoRemove"]
    container.host_config["AutoRemove"] = False
    stop(records, container, signal, seconds)
    container.host_config["AutoRemove"] = keeps
    session = Session()
    start(records, container, session)
    session.close()
    events.of_container(container, "restart")


def pause(container: "Container") -> None:
    """Freeze every process of a container."""
    name = state.current(container)["Status"]
    if name == "paused":
        raise EngineError(f"Container {container.id} is already paused")
    if name == "restarting":
        raise EngineError(
            f"Container {container.id} is restarting, wait until the container is running"
        )
    if name != "running":
        raise EngineError(f"Container {container.id} is not running")
    runtime.pause(launch.runtime_root(container), container.id)
    status.mark(container.run, status.PAUSED)
    events.of_container(container, "pause")


def unpause(container: "Container") -> None:
    """Let every process of a container go on."""
    name = state.current(container)["Status"]
    if name != "paused":
        not_what = "paused" if name == "running" else "running"
        raise EngineError(f"Container {container.id} is not {not_what}")
    runtime.resume(launch.runtime_root(container), container.id)
    status.unmark(container.run, status.PAUSED)
    events.of_container(container, "unpause")


def wait(container: "Container") -> int:
    """Wait until the program of a container has ended, whether or not it begins again; returns its exit status."""
    if state.current(container)["Status"] in state.RUNNING:
        session = Session()
        try:
            session.connect(container)
        except EngineError:
            return int(state.current(container)["ExitCode"])
        code = session.ended(None, last=False)
        session.close()
        if code is not None:
            return code
    return int(state.current(container)["ExitCode"])


def rename(records: "Records", container: "Container", name: str) -> None:
    """Give a container another name."""
    name, old = name.removeprefix("/"), container.name
    if name == old:
        raise EngineError("Renaming a container with the same name as its current name")
    try:
        names.check(name)
        records.rename(container, name)
    except EngineError as error:
        text = str(error).replace(f"({name})", f"(/{name})")
        raise EngineError(f"Error when allocating new name: {text}") from None
    from pyoci.engine.containers import attachment

    attachment.renamed(records, container)
    launch.rename(container)
    events.of_container(container, "rename", oldName=f"/{old}")


def remove(records: "Records", container: "Container", *, force: bool, volumes: bool) -> None:
    """Remove a container, its writable layer, its log; with force also one that runs."""
    try:
        while True:
            name = _status(container, force=force)
            if name in state.RUNNING:
                if not force:
                    raise _cannot_remove(container, name)
                _end(records, container)
            with Lock(container):
                if not status.is_watched(container.run):
                    sweep(records, container)
                    making.discard(records, container, volumes=volumes)
                    return
            if state.seen(container)["Status"] not in state.RUNNING:
                await_monitor(container)
    except NotFoundError:
        if records.has(container.id):  # a removal was killed after it had removed the directory
            runtime.delete(launch.runtime_root(container), container.id)
            making.discard(records, container, volumes=volumes)
        elif not force:
            raise


def _status(container: "Container", *, force: bool) -> str:
    """Return the status of what shall be removed; with `force` one that cannot be known is killed."""
    try:
        return str(state.current(container)["Status"])
    except EngineError:
        if not force:
            raise
        runtime.delete(launch.runtime_root(container), container.id)
        return "dead"


def _cannot_remove(container: "Container", name: str) -> ConflictError:
    remedy = "Stop the container before attempting removal or force remove"
    if name == "paused":
        remedy = "Unpause and then stop the container before attempting removal or force remove"
    return ConflictError(f"You cannot remove a {name} container {container.id}. {remedy}")


def _end(records: "Records", container: "Container") -> None:
    """Kill a container; that others have done so meanwhile is no error."""
    try:
        kill(records, container, "KILL")
    except NotFoundError:
        raise
    except EngineError:
        if state.current(container)["Status"] in state.RUNNING:
            raise


def now() -> int:
    """Return the time in nanoseconds since 1970."""
    return time.time_ns()
