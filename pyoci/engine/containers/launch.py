# SPDX-License-Identifier: Apache-2.0
"""Have a container's monitor begin, and below it the process that makes the container (ahead.py): what both must know, on disk.

The container's init is the creator's child, and the monitor's as soon as that has ended: the launcher makes it the adopter.
"""

import _socket
import posix

from pyoci.engine import events
from pyoci.engine.containers import defaults, logconfig, network, status
from pyoci.engine.containers.ahead import PYOCI, PYPOD, begin_monitor
from pyoci.engine.errors import EngineError
from pyoci.identity import boot_id
from pyoci.jsontext import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.containers.ahead import Helpers
    from pyoci.engine.containers.order import Surroundings
    from pyoci.engine.containers.record import Container

_BILLION = 1_000_000_000
_INTERVAL, _TIMEOUT, _START_INTERVAL = 30 * _BILLION, 30 * _BILLION, 5 * _BILLION
_RETRIES = 3


def runtime_root(container: "Container") -> str:
    """Return the runtime's directory of all containers."""
    return f"{container.places.run}/runtime"


def launch(container: "Container", around: "Surroundings", helpers: "Helpers") -> None:
    """Have the container made by these helpers, the monitor of which reports to their owner and obeys him."""
    status.write(container.directory, _begun(container))
    helpers.order(container, around)
    make_pipes(container)
    status.unmark(container.run, status.STOPPED_BY_HAND)
    status.unmark(container.run, status.PAUSED)
    write_settings(container)
    console = _listen(container) if container.config["Tty"] else -1
    helpers.begin(console)
    if console >= 0:
        posix.close(console)


def _begun(container: "Container") -> "dict[str, Any]":
    """Return the status of a new life: what the last one left is kept until the program runs."""
    fields = status.read(container.directory)
    return {**fields, "RestartCount": 0, "Health": None, "Error": "", "Boot": boot_id()}


def _listen(container: "Container") -> int:
    from pyoci.engine.monitor.clients import listen

    return listen(container.run, "console.sock", _socket.SOCK_STREAM).detach()


def heal(container: "Container") -> None:
    """Give a container whose monitor was killed another one, and wait until that knows what has become of it."""
    from pyoci.engine.containers import attachment
    from pyoci.engine.containers.session import Session

    if not posix.access(container.run, posix.F_OK):
        raise EngineError(f"its directory {container.run} was removed while it ran")
    write_settings(container)  # which may be damaged
    session = Session()
    pid = begin_monitor(container.run)
    from time import monotonic, sleep

    deadline = monotonic() + defaults.STOP_SECONDS
    has_ended = False
    while monotonic() < deadline:
        has_ended = has_ended or posix.waitpid(pid, posix.WNOHANG)[0] == pid
        if status.is_watched(container.run):
            try:
                session.connect(container)
            except EngineError:
                sleep(0.005)
                continue
            for purpose, socket in attachment.restore(container):
                session.give(purpose, socket)
            session.look_and_take()  # it answers, or goes, when it knows
            session.close()
            return
        if status.read(container.directory)["Status"] == "exited":
            return
        if has_ended:
            break
        sleep(0.005)
    raise EngineError(
        f"its monitor was killed, and another one does not start: see {container.run}/monitor.log"
    )


def make_pipes(container: "Container") -> None:
    """Make the named pipes that the container's descriptors are."""
    for name in ("stdin", "stdout", "stderr"):
        try:
            posix.mkfifo(f"{container.run}/{name}", 0o600)
        except FileExistsError:
            continue


def write_settings(container: "Container") -> None:
    """Write what the monitor must know; it never opens the database."""
    own, host = container.config, container.host_config
    places = container.places
    settings = {
        "id": container.id,
        "actor": events.actor_of(container),
        "root": places.root,
        "directory": container.directory,
        "runtime": runtime_root(container),
        "pyoci": PYOCI,
        "pypod": PYPOD,
        "places": ["--root", places.root, "--run-root", places.run],
        "boot": boot_id(),
        "tty": own["Tty"],
        "open_stdin": own["OpenStdin"],
        "stdin_once": own["StdinOnce"],
        "log": logconfig.settings(container),
        "restart": host["RestartPolicy"],
        "health": health_settings(own["Healthcheck"]),
        "network": network_settings(container),
        "limited": bool(host["Memory"]),
    }
    path = f"{container.run}/settings.json"
    fd = posix.open(
        f"{path}.new", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o600
    )
    try:
        posix.write(fd, dumps(settings).encode())
    finally:
        posix.close(fd)
    posix.rename(f"{path}.new", path)


def rename(container: "Container") -> None:
    """Have the monitor of a container, where there is one, tell of it by its new name."""
    if posix.access(f"{container.run}/settings.json", posix.F_OK):
        write_settings(container)


def network_settings(container: "Container") -> "dict[str, Any]":
    """Return what the monitor must know of the network: whether it is the container's own, and how names are found in it."""
    from pyoci.engine.containers import hostfiles
    from pyoci.engine.networks import naming

    rows = container.document["NetworkSettings"]["Networks"].values()
    links = [link.partition(":") for row in rows for link in row["Links"] or ()]
    return {
        "own": network.is_own(container),
        "names": naming.directory(container.places),
        "servers": hostfiles.servers(container.host_config, loopback=True),
        "links": {alias or name: name for name, _, alias in links},
    }


def health_settings(check: "dict[str, Any] | None") -> "dict[str, Any] | None":
    """Return a health check with its defaults; None without one."""
    test = (check or {}).get("Test") or ["NONE"]
    if check is None or test[0] == "NONE":
        return None
    return {
        "test": test,
        "interval": check.get("Interval") or _INTERVAL,
        "timeout": check.get("Timeout") or _TIMEOUT,
        "start_period": check.get("StartPeriod") or 0,
        "start_interval": check.get("StartInterval") or _START_INTERVAL,
        "retries": check.get("Retries") or _RETRIES,
    }
