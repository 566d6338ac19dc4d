# SPDX-License-Identifier: Apache-2.0
"""The life cycle: create, run, start, pause, resume, kill, delete, and what a container says of itself (runtime.md#lifecycle)."""

import errno
import posix
import select

from pyoci import identity, log
from pyoci import state as store
from pyoci.errors import HookError, StateError, StepError
from pyoci.linux.environment import variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal as _signal

    from pyoci.cgroup import Cgroup
    from pyoci.checkpoint.dump import Options
    from pyoci.creation import CreateOptions
    from pyoci.executor import Executor
    from pyoci.identity import Recorded
    from pyoci.notify import Relay
    from pyoci.state import Container

    # What is served while the program runs: its terminal's master, READY=1, its cgroup.
    Foreground = tuple[int | None, Relay | None, Cgroup | None]
else:
    import _signal

_SIGKILL = 9
_DEADLINE_SECONDS = 10


def create(options: "CreateOptions") -> None:
    """Create a container, its init waiting for `start`; on failure the host is as it was."""
    from pyoci.creation import Creation

    creation = Creation(options, detached=True)
    creation.make()
    creation.made.close()


def run(options: "CreateOptions", *, detach: bool, keep: bool) -> int:
    """Create and start a container; in the foreground also wait for it, return its exit status and delete it."""
    from pyoci.creation import Creation

    creation = Creation(options, detached=detach, keeps_plan=True)
    if not detach:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    creation.make()
    container = creation.made
    init = container.known()["init"]
    assert init is not None
    try:
        relay = _relay(container, init["pid"] if detach else posix.getpid())
        cgroup = container.cgroup()
        _release(container, cgroup)
        creation.keep_plan()
        if detach:
            _check_begun(container, cgroup)
        if detach and relay is not None:
            _wait_ready(container, relay)
    except BaseException:
        _destroy(container)
        raise
    if detach:
        if cgroup is not None:
            cgroup.close()
        container.close()
        return 0
    foreground = (creation.master, relay, cgroup)
    return _foreground(container, init["pid"], foreground, keep=keep)


def checkpoint(
    root: str, identity_: str, options: "Options", *, pre_dump: bool, leave: bool
) -> None:
    """Save a container's processes in files and delete it, unless it is left running."""
    from pyoci.checkpoint import dump

    dump.checkpoint(root, identity_, options, pre_dump=pre_dump, leave=leave)
    if not (pre_dump or leave):
        delete(root, identity_, force=True)


def restore(options: "CreateOptions", images: "Options", *, detach: bool) -> int:
    """Make a container from a checkpoint, which goes on running; else as `run`."""
    from pyoci.checkpoint.restoration import Restoration

    restoration = Restoration(options, images, detached=detach)
    if not detach:
        _signal.pthread_sigmask(_signal.SIG_BLOCK, _signal.valid_signals())
    restoration.make()
    container = restoration.made
    if detach:
        container.close()
        return 0
    init = container.known()["init"]
    assert init is not None
    foreground = (restoration.master, None, container.cgroup())
    return _foreground(container, init["pid"], foreground, keep=False)


def _foreground(container: "Container", pid: int, foreground: "Foreground", *, keep: bool) -> int:
    """Stay until the program has ended, then delete its container; return its exit status."""
    from pyoci import terminal

    log.flush()
    container.unlock()
    pidfd = posix.pidfd_open(pid)
    master, relay, cgroup = foreground
    witness = None if cgroup is None else cgroup.watch()
    status = terminal.forward(pidfd, pid, master, notify=relay, witness=witness)
    posix.close(pidfd)
    try:
        if status:
            _tell_of_shortage(container, cgroup)
        if not keep and container.lock():
            _destroy(container)
    except StateError:
        log.debug(f"container {container.id} was deleted meanwhile")
    finally:
        if cgroup is not None:
            cgroup.close()
        container.close()
    return status


def _tell_of_shortage(container: "Container", cgroup: "Cgroup | None") -> None:
    """Say that the container has failed because its memory limit is too small, if that is so."""
    shortage = None if cgroup is None else cgroup.shortage()
    if shortage is not None:
        from pyoci.cgroup import oom

        log.warning(f"container {container.id}: {oom.explain(shortage)}")


def start(root: str, identity_: str) -> None:
    """Let a created container's program begin (runtime.md#start); returns when it has."""
    container, cgroup = store.load(root, identity_), None
    try:
        if not container.lock():
            raise StateError(f"container {identity_} is busy: another command holds it")
        status = container.status()
        if status != "created":
            raise StateError(_CANNOT_START[status])
        record = container.known()
        if record["startHookSeconds"] or record["poststart"]:
            # Who holds the lock while hooks run must be known to `delete --force`.
            record["holder"] = identity.record(posix.getpid())
            container.save()
        init = record["init"]
        relay = _relay(container, init["pid"] if init else 0)
        cgroup = container.cgroup()
        _release(container, cgroup)
        _check_begun(container, cgroup)
        if relay is not None:
            _wait_ready(container, relay)
    finally:
        if cgroup is not None:
            cgroup.close()
        container.close()


def _relay(container: "Container", main_pid: int) -> "Relay | None":
    """Listen for the container's READY=1, before it may say so, where our own caller waits for one."""
    if not variable("NOTIFY_SOCKET"):
        return None
    from pyoci import notify

    directory = f"{container.root}/{container.id}"
    if not notify.is_prepared(directory):
        return None
    return notify.Relay(directory, main_pid)


def _wait_ready(container: "Container", relay: "Relay") -> None:
    pidfd = container.open_init()
    if pidfd is not None:
        relay.wait(pidfd)
        posix.close(pidfd)
    relay.close()


_CANNOT_START = {
    "stopped": "cannot start a container that has stopped",
    "running": "cannot start an already running container",
    "paused": "cannot start a container in the paused state",
    "creating": "cannot start a container that is being created",
}


def _release(container: "Container", cgroup: "Cgroup | None") -> None:
    """Write the byte that init waits for, wait until it has become the program, run the poststart hooks."""
    pidfd = container.open_init()
    if pidfd is None:
        raise StateError(_CANNOT_START["stopped"])
    try:
        fifo = posix.open(store.FIFO, store.WRITE_FIFO, dir_fd=container.directory)
    except OSError as error:
        posix.close(pidfd)
        if error.errno == errno.ENXIO:
            raise StateError(_CANNOT_START["stopped"]) from None
        raise
    keeper = None
    try:
        keeper = None if cgroup is None else _keeper(cgroup)
        posix.write(fifo, b"0")
        _await_program(container, fifo, pidfd)
    finally:
        if cgroup is not None and keeper is not None:
            cgroup.shortage()
            keeper.close()
            cgroup.tighten()
        posix.close(fifo)
        posix.close(pidfd)
        posix.unlink(store.FIFO, dir_fd=container.directory)
    _poststart(container)


def _keeper(cgroup: "Cgroup") -> "Executor | None":
    """Keep the cgroup, and watch it from now on, where it may be gone before we know why init has ended."""
    cgroup.watch()
    if not cgroup.may_kill_program():
        return None
    from pyoci import keeper

    made = keeper.spawn()
    try:
        cgroup.admit(made.setup)
    except BaseException:
        made.close()
        raise
    return made


def _await_program(container: "Container", fifo: int, pidfd: int) -> None:
    """Wait until init's fifo is closed by execve, or init has ended and left word of why in it."""
    poll = select.poll()
    poll.register(fifo, 0)  # POLLERR: the last reader is gone
    poll.register(pidfd, select.POLLIN)
    poll.poll()
    flags = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_CLOEXEC | posix.O_NOFOLLOW
    rest = posix.open(store.FIFO, flags, dir_fd=container.directory)
    try:
        word = posix.read(rest, 65536)
    except BlockingIOError:
        return
    finally:
        posix.close(rest)
    if word:
        _tell(container, word)


def _check_begun(container: "Container", cgroup: "Cgroup | None") -> None:
    """Raise where init was killed for want of memory before it could become the program, or as soon as it had."""
    init = container.known()["init"]
    if cgroup is None or init is None or identity.has_executed(init["pid"]):
        return
    shortage = cgroup.shortage()
    if shortage is not None:
        from pyoci.cgroup import oom

        why = oom.explain(shortage)
        raise StepError(f"container init was OOM-killed (memory limit too low?): {why}")


def _tell(container: "Container", word: bytes) -> None:
    """Raise for a failed startContainer hook; a program that cannot be executed is the program's own failure, as in runc."""
    from pyoci.diagnosis import hook_words
    from pyoci.executor import parse_failure

    failure = parse_failure(word)
    hook = -1 if failure is None else failure.operation - container.known()["startHooksAt"]
    if failure is not None and 0 <= hook < len(container.known()["startHookSeconds"]):
        seconds = container.known()["startHookSeconds"][hook] or 0
        raise HookError(hook_words(f"startContainer hook #{hook}", failure, seconds))


def _poststart(container: "Container") -> None:
    """Run the poststart hooks; one that fails ends the container (runtime.md#lifecycle, step 9)."""
    record = container.known()
    if not record["poststart"]:
        return
    from pyoci import hooks

    try:
        hooks.run(
            "poststart", record["poststart"], container.state("running"), container.journal_hook
        )
    except HookError:
        _end(container)
        raise
    container.journal_hook(0)


def pause(root: str, identity_: str) -> None:
    """Freeze every process of a container that is created or runs; returns when all are, or none."""
    container = store.load(root, identity_)
    try:
        _take(container, force=False)
        cgroup = container.cgroup()
        if cgroup is None or container.status() not in {"created", "running"}:
            raise StateError("container not running")
        cgroup.freeze()
    finally:
        container.close()


def resume(root: str, identity_: str) -> None:
    """Let a paused container go on, also one that a killed `pause` left half frozen; returns when it does."""
    container = store.load(root, identity_)
    try:
        _take(container, force=False)
        cgroup = container.cgroup()
        if cgroup is None or container.status() != "paused":
            raise StateError("container not paused")
        cgroup.resume()
    finally:
        container.close()


def kill(root: str, identity_: str, signal: int, *, everything: bool) -> None:
    """Send a signal to init, or to every process of the container; never to a stranger who got its pid."""
    container = store.load(root, identity_)
    try:
        pidfd = container.open_init()
        cgroup = container.cgroup()
        if pidfd is None:
            # Init is gone: others may be left where the pid namespace is shared (runc: init gone).
            if cgroup is not None and (signal == _SIGKILL or everything) and cgroup.pids():
                cgroup.kill(signal)
                return
            if everything:
                return
            raise StateError("container not running")
        try:
            _signal_all(container, pidfd, signal, everything=everything)
        finally:
            posix.close(pidfd)
    finally:
        container.close()


def _signal_all(container: "Container", pidfd: int, signal: int, *, everything: bool) -> None:
    cgroup = container.cgroup()
    if cgroup is not None and (
        everything or (signal == _SIGKILL and container.known()["sharesPids"])
    ):
        cgroup.kill(signal)
        return
    try:
        _signal.pidfd_send_signal(pidfd, signal)
    except ProcessLookupError:
        raise StateError("unable to signal init: os: process already finished") from None
    except OSError as error:
        raise StepError(f"unable to signal init: {(error.strerror or '').lower()}") from error
    if signal == _SIGKILL and cgroup is not None and cgroup.layout != "v2" and cgroup.is_frozen():
        cgroup.thaw()


def delete(root: str, identity_: str, *, force: bool) -> None:
    """Remove a container and all that was made for it; works from any partial record, any number of times."""
    try:
        container = store.load(root, identity_)
    except StateError:
        if force:
            return
        raise
    try:
        _take(container, force=force)
        if container.record is None and not force:
            container.known()
        status = container.status()
        if status in {"running", "paused"} and not force:
            raise StateError(f"cannot delete container {identity_} that is not stopped: {status}")
        _destroy(container)
    except StateError as error:
        if not (force and "does not exist" in str(error)):
            raise
    finally:
        container.close()


def _take(container: "Container", *, force: bool) -> None:
    """Take the lock; with force end an owner that is stuck (a hook that calls us, or one that hangs)."""
    if container.lock():
        return
    if not force or container.record is None:
        raise StateError(f"container {container.id} is busy: another command holds it")
    container.reload()
    pidfd = identity.open_same(container.known()["holder"])
    if pidfd is not None:
        _signal.pidfd_send_signal(pidfd, _SIGKILL)
        _await_end(pidfd)
        posix.close(pidfd)
    if not container.lock():
        raise StateError(f"container {container.id} is busy: another command holds it")


def _destroy(container: "Container") -> None:
    """End every process, remove the cgroup, run the poststop hooks, forget the container."""
    container.recover()
    _end(container)
    cgroup = container.cgroup()
    if cgroup is not None:
        cgroup.destroy()
    container.leave_rdt()
    container.run_poststop()
    container.remove()


def _end(container: "Container") -> None:
    """Kill init, and with it all of its pid namespace; where that is shared, all of its cgroup; and a hook that runs."""
    record = container.record
    if record is not None and record["hook"] and record["boot"] == identity.boot_id():
        _kill_hook(record["hook"])
    pidfd = container.open_init()
    if pidfd is not None:
        _signal.pidfd_send_signal(pidfd, _SIGKILL)
    cgroup = container.cgroup()
    if cgroup is not None and record is not None and record["sharesPids"]:
        cgroup.kill(_SIGKILL)
    if pidfd is not None:
        if cgroup is not None:
            cgroup.thaw()  # what is frozen does not die (freezer-subsystem.rst)
        gone = _await_end(pidfd)
        posix.close(pidfd)
        if not gone:
            raise StateError("container init still running")


def _kill_hook(recorded: "Recorded") -> None:
    """Kill a hook that outlived who ran it, with its children; not the hook that this very command is part of."""
    pidfd = identity.open_same(recorded)
    if pidfd is None:
        return
    if not identity.is_ancestor(recorded["pid"]):
        posix.killpg(recorded["pid"], _SIGKILL)
    posix.close(pidfd)


def _await_end(pidfd: int) -> bool:
    """Wait for a process to end, at most ten seconds; a child of ours is reaped."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    ended = bool(poll.poll(_DEADLINE_SECONDS * 1000))
    if ended:
        try:
            posix.waitid(posix.P_PIDFD, pidfd, posix.WEXITED)
        except ChildProcessError:
            return True
    return ended


def state(root: str, identity_: str) -> dict[str, object]:
    """Return the state of a container, keys in runc's order (runtime.md#query-state)."""
    container = store.load(root, identity_)
    try:
        return container.report(container.status())
    finally:
        container.close()


def containers(root: str) -> list[dict[str, object]]:
    """Return the state of every container below the root; one that cannot be read is a warning."""
    from pyoci import passwd

    found = []
    owners: dict[int, str] = {}  # by uid: mostly one has them all
    for name in store.names(root):
        try:
            container = store.load(root, name)
        except StateError:
            continue  # deleted since the directory was read
        try:
            fields = container.report(container.status())
            uid = posix.fstat(container.directory).st_uid
            if uid not in owners:
                owners[uid] = passwd.name(uid)
            fields["owner"] = owners[uid]
            found.append(fields)
        except StateError as error:
            log.warning(f"load container {name}: {error}")
        finally:
            container.close()
    return found


def processes(root: str, identity_: str) -> list[int] | None:
    """Return the host pids of every process of a container; None when it has stopped."""
    container = store.load(root, identity_)
    try:
        cgroup = container.cgroup()
        if cgroup is None or not cgroup.directories:
            init = container.known()["init"]
            return [init["pid"]] if init and container.status() != "stopped" else None
        # Where the pid namespace is shared, others may outlive init.
        return cgroup.pids() or None
    finally:
        container.close()
