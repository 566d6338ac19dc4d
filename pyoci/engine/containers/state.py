# SPDX-License-Identifier: Apache-2.0
"""The status of a container as it is now: what its monitor wrote, whether that still lives, what the boot has ended."""

from pyoci.engine import durations, moments
from pyoci.engine.containers import status
from pyoci.engine.errors import EngineError
from pyoci.errors import PyociError, in_words
from pyoci.identity import boot_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.engine.containers.record import Container

    Fields = dict[str, Any]
    Warn = Callable[[str], None]

RUNNING = ("running", "paused", "restarting")
_WATCHED = ("running", "restarting")  # what a status says while there should be a monitor
_BILLION = 1_000_000_000


def current(container: "Container") -> "Fields":
    """Return the status; a container that says it runs and whose monitor was killed gets another one, which knows.

    Raises EngineError, with the remedy, where the container's files are damaged or no monitor can be had.
    """
    try:
        return _current(container)
    except (PyociError, OSError) as error:
        reason = in_words(error) if isinstance(error, OSError) else str(error)
        remedy = f"remove it with 'pypod rm --force {container.name}'"
        raise EngineError(f"container {container.name}: {reason}; {remedy}") from error


def _current(container: "Container") -> "Fields":
    fields = status.read(container.directory)
    if fields["Status"] not in _WATCHED:
        return fields
    if fields["Boot"] != boot_id():
        return _ended_by_boot(fields)
    if not status.is_watched(container.run):
        # Once more: its monitor may have seen it to its end just now.
        fields = status.read(container.directory)
        if fields["Status"] in _WATCHED:
            from pyoci.engine.containers import launch

            launch.heal(container)
            fields = status.read(container.directory)
    if fields["Status"] == "running" and status.is_marked(container.run, status.PAUSED):
        fields["Status"] = "paused"
    return fields


def _ended_by_boot(fields: "Fields") -> "Fields":
    return {
        **fields,
        "Status": "exited",
        "Pid": 0,
        "ExitCode": status.LOST,
        "FinishedAt": fields["StartedAt"],
    }


def seen(container: "Container", warn: "Warn" = lambda _: None) -> "Fields":
    """Return the status, where that cannot be had what the runtime knows, or dead: for lists, in which one must not hide others.

    `warn` is told what is wrong with the container, and the remedy.
    """
    try:
        return current(container)
    except EngineError as error:
        warn(str(error))
        return _known_to_the_runtime(container, str(error))


def _known_to_the_runtime(container: "Container", reason: str) -> "Fields":
    from pyoci import runtime

    try:
        name, pid = runtime.status(f"{container.places.run}/runtime", container.id)
    except (PyociError, OSError):
        name, pid = "", 0
    runs = name in ("running", "paused")
    return {
        **status.initial(),
        "Status": name if runs else "dead",
        "Pid": pid,
        "Error": reason,
        "StartedAt": container.created if runs else 0,
    }


def is_running(container: "Container", warn: "Warn" = lambda _: None) -> bool:
    """Tell whether the container's program runs, be it paused."""
    return seen(container, warn)["Status"] in ("running", "paused")


def document(fields: "Fields") -> "Fields":
    """Return State as inspect shows it."""
    name = fields["Status"]
    found: Fields = {
        "Status": name,
        "Running": name in RUNNING,
        "Paused": name == "paused",
        "Restarting": name == "restarting",
        "OOMKilled": fields["OOMKilled"],
        "Dead": name == "dead",
        "Pid": fields["Pid"],
        "ExitCode": fields["ExitCode"],
        "Error": fields["Error"],
        "StartedAt": moments.text(fields["StartedAt"]),
        "FinishedAt": moments.text(fields["FinishedAt"]),
    }
    health = fields["Health"]
    if health:
        entries = [
            {**row, "Start": moments.text(row["Start"]), "End": moments.text(row["End"])}
            for row in health["Log"]
        ]
        found["Health"] = {**health, "Log": entries}
    return found


def words(fields: "Fields", now: int) -> str:
    """Return the status as tables show it: Up 3 seconds (healthy)."""
    name = fields["Status"]
    if name in ("created", "dead"):
        return str(name).title()
    if name in ("running", "paused"):
        text = f"Up {durations.tell((now - fields['StartedAt']) / _BILLION)}"
        if name == "paused":
            return f"{text} (Paused)"
        health = fields["Health"]["Status"] if fields["Health"] else ""
        shown = f"health: {health}" if health == "starting" else health
        return f"{text} ({shown})" if health else text
    ago = f"({fields['ExitCode']}) {durations.tell((now - fields['FinishedAt']) / _BILLION)} ago"
    return f"{'Restarting' if name == 'restarting' else 'Exited'} {ago}"
