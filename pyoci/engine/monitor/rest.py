# SPDX-License-Identifier: Apache-2.0
"""Rest: a monitor with nothing to do becomes its launcher, which waits for the next event in a fortieth of the memory (ADR 0017).

It stays the same process: the lock, the container as its child and every descriptor with its number are kept over execve(2). What
else it knew goes along in a memfd. The launcher becomes the monitor again at the first event or at the moment that is due.
"""

import posix

from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.monitor.watch import Watch

WORD = "rest"
AFTER = 5.0  # seconds without an event; it costs some 15 ms of processor time to be woken
_LONGEST = 2**31 - 1  # milliseconds that poll(2) waits
_STATE_BYTES = 1 << 20


def state_of(watch: "Watch") -> "dict[str, Any] | None":
    """Return what the next monitor must know; None while a descriptor is watched that cannot be handed over.

    A client, a connection of a published port, a question to a name server, a health check that runs: each is such a descriptor.
    """
    watched = {watch.pidfd, *watch.streams.outputs, *(fd for _, fd in watch.network.taken)}
    if watch.memory.watched >= 0:
        watched.add(watch.memory.watched)
    if watch.clients.by_fd or watch.streams.pending or watched != set(watch.handlers):
        return None
    state: dict[str, Any] = {
        "lock": watch.lock,
        "listener": watch.clients.listener.fileno(),
        "pidfd": watch.pidfd,
        "streams": watch.streams.state(),
        "memory": watch.memory.state(),
        "restart": watch.restart.last,
        "health": {"since": watch.health.since, "due_at": watch.health.due_at},
        "network": {"namespace": watch.network.namespace, "taken": watch.network.taken},
    }
    others = (state["lock"], state["listener"], watch.streams.input, watch.network.namespace)
    state["kept"] = [*watched | {fd for fd in (*others, watch.memory.file) if fd >= 0}]
    return state


def rest(watch: "Watch") -> None:
    """Become the launcher; returns when that cannot be: then the monitor goes on as it is."""
    state = state_of(watch)
    if state is None:
        return
    timeout = watch.timeout()
    milliseconds = -1 if timeout < 0 else min(int(timeout * 1000) + 1, _LONGEST)
    memory = posix.memfd_create("pypod-rest", 0)
    posix.write(memory, dumps(state).encode())
    kept = [*state["kept"], watch.poll.fileno()]
    _keep(kept, inherited=True)
    words = [WORD, str(watch.poll.fileno()), str(milliseconds), str(memory)]
    try:
        posix.execv(str(watch.settings["pypod"]), ["pypod", "_monitor", watch.run, *words])
    except OSError:  # it was removed, or cannot be executed any more
        _keep(kept, inherited=False)
        posix.close(memory)


def awake(words: list[str]) -> "dict[str, Any]":
    """Return what was known before the rest; every descriptor is closed on execve again."""
    poll, _, memory = map(int, words)
    posix.close(poll)
    state: dict[str, Any] = parse_object(posix.pread(memory, _STATE_BYTES, 0))
    posix.close(memory)
    _keep(state["kept"], inherited=False)
    return state


def _keep(descriptors: list[int], *, inherited: bool) -> None:
    for fd in descriptors:
        posix.set_inheritable(fd, inherited)
