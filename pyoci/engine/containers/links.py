# SPDX-License-Identifier: Apache-2.0
"""--link: variables and hosts entries of a container about those that it depends on, which must run when it starts.

The variables are those of Docker up to 28, on the default bridge (highlevel.md 1.7); no circles, because a target must exist first.
"""

from pyoci.engine.containers import names, state
from pyoci.engine.errors import EngineError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyoci.engine.containers.record import Container, Records

    Targets = list[tuple[str, Container]]

_NOT_PASSED = ("HOME", "PATH")


def parse(records: "Records", entries: "Iterable[str]") -> list[tuple[str, str]]:
    """Return (id of the target, alias) of each NAME[:ALIAS]; raises EngineError for a target that does not exist."""
    found = []
    for entry in entries:
        name, _, alias = entry.partition(":")
        alias = alias or name.lstrip("/")
        if not name or ":" in alias:
            raise EngineError(f"bad format for links: {entry}", 125)
        try:
            target = records.find(name)
        except NotFoundError as error:
            raise NotFoundError(f"could not get container for {name}: {error}") from None
        names.check(f"{alias}-") if len(alias) == 1 else names.check(alias)
        found.append((target.id, alias))
    return found


def save(records: "Records", container: "Container", found: list[tuple[str, str]]) -> None:
    """Write the links of a new container, within the transaction that writes its row."""
    for target, alias in found:
        records.database.change("REPLACE INTO link VALUES (?, ?, ?)", container.id, target, alias)


def of(records: "Records", container: "Container") -> list[tuple[str, str]]:
    """Return (id of the target, alias) of a container's links, by alias."""
    rows = records.database.rows(
        "SELECT target, alias FROM link WHERE container = ? ORDER BY alias", container.id
    )
    return [(str(target), str(alias)) for target, alias in rows]


def shown(records: "Records", container: "Container") -> list[str] | None:
    """Return the links as inspect shows them: /target:/container/alias."""
    found = []
    for target, alias in of(records, container):
        row = records.database.row("SELECT name FROM container WHERE id = ?", target)
        if row:
            found.append(f"/{row[0]!s}:/{container.name}/{alias}")
    return found or None


def remove(records: "Records", container: "Container", alias: str) -> None:
    """Remove one link of a container."""
    if not records.database.change(
        "DELETE FROM link WHERE container = ? AND alias = ?", container.id, alias
    ):
        raise NotFoundError(f"No such link: /{container.name}/{alias}")


def targets(records: "Records", container: "Container") -> "Targets":
    """Return (alias, target) of each link; raises EngineError for one that does not run."""
    found = [(alias, records.find(target)) for target, alias in of(records, container)]
    for alias, target in found:
        if state.current(target)["Status"] not in ("running", "paused"):
            raise EngineError(
                f"Cannot link to a non running container: /{target.name} AS /{container.name}/{alias}"
            )
    return found


def every(records: "Records", container: "Container") -> "Targets":
    """Return (alias, target) of each link whose target there still is."""
    rows = of(records, container)
    return [(alias, records.find(target)) for target, alias in rows if records.has(target)]


def sources(records: "Records", container: "Container") -> "list[Container]":
    """Return the containers that have a link to this one."""
    rows = records.database.rows(
        "SELECT DISTINCT container FROM link WHERE target = ?", container.id
    )
    return [records.find(str(row[0])) for row in rows]


def hosts(found: "Targets") -> list[tuple[str, str]]:
    """Return (address, names) for /etc/hosts: alias, the target's host name, its name where that is another."""
    entries = []
    for alias, target in found:
        address = target.document["NetworkSettings"]["IPAddress"]
        words = [
            alias,
            target.config["Hostname"],
            *((target.name,) if target.name != alias else ()),
        ]
        if address:
            entries.append((address, " ".join(words)))
    return entries


def variables(container: "Container", found: "Targets") -> list[str]:
    """Return the environment variables of all links."""
    entries = []
    for alias, target in found:
        entries += _variables(container, alias, target)
    return entries


def _variables(container: "Container", alias: str, target: "Container") -> list[str]:
    prefix = alias.replace("-", "_").upper()
    address = target.document["NetworkSettings"]["IPAddress"]
    entries = [f"{prefix}_NAME=/{container.name}/{alias}"]
    exposed = sorted(
        map(_split, target.config["ExposedPorts"]), key=lambda row: (row[1] != "tcp", row)
    )
    if exposed and address:
        port, protocol = exposed[0]
        entries.insert(0, f"{prefix}_PORT={protocol}://{address}:{port}")
        for port, protocol in exposed:
            name = f"{prefix}_PORT_{port}_{protocol.upper()}"
            entries += [
                f"{name}={protocol}://{address}:{port}",
                f"{name}_ADDR={address}",
                f"{name}_PORT={port}",
                f"{name}_PROTO={protocol}",
            ]
        entries += _ranges(prefix, address, exposed)
    for entry in target.config["Env"]:
        name, equals, _ = entry.partition("=")
        if equals and name not in _NOT_PASSED:
            entries.append(f"{prefix}_ENV_{entry}")
    return entries


def _split(port: str) -> tuple[int, str]:
    number, _, protocol = port.partition("/")
    return int(number), protocol or "tcp"


def _ranges(prefix: str, address: str, exposed: list[tuple[int, str]]) -> list[str]:
    """Return the variables of ports that follow one another."""
    entries = []
    start = 0
    for index in range(1, len(exposed) + 1):
        port, protocol = exposed[index - 1]
        if index < len(exposed) and exposed[index] == (port + 1, protocol):
            continue
        first = exposed[start][0]
        if port > first:
            name = f"{prefix}_PORT_{first}_{protocol.upper()}"
            entries += [
                f"{name}_START={protocol}://{address}:{first}",
                f"{name}_PORT_START={first}",
                f"{name}_END={protocol}://{address}:{port}",
                f"{name}_PORT_END={port}",
            ]
        start = index
    return entries
