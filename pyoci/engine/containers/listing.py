# SPDX-License-Identifier: Apache-2.0
"""`ps`: which containers there are, filtered as Docker filters them, as rows for a table or a template."""

import time

from pyoci.engine import moments, sizes
from pyoci.engine.containers import description, state
from pyoci.engine.errors import EngineError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from pyoci.engine.containers.record import Container, Records
    from pyoci.engine.containers.state import Warn

    Fields = dict[str, Any]
    Port = tuple[int, str, int, str]  # inner, address, outer, protocol
    Check = Callable[["Listed", str], bool]

DEFAULT = (
    "{{.ID}}\\t{{.Image}}\\t{{.Command}}\\t{{.RunningFor}}\\t{{.Status}}\\t{{.Ports}}\\t{{.Names}}"
)
RAW = (
    "container_id: {{.ID}}\nimage: {{.Image}}\ncommand: {{.Command}}\ncreated_at: {{.CreatedAt}}\nstate: {{- pad .State 1 0}}\n"
    "status: {{- pad .Status 1 0}}\nnames: {{.Names}}\nlabels: {{- pad .Labels 1 0}}\nports: {{- pad .Ports 1 0}}\n"
)
HEADERS = {
    "ID": "CONTAINER ID",
    "Names": "NAMES",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "CreatedAt": "CREATED AT",
    "RunningFor": "CREATED",
    "Ports": "PORTS",
    "State": "STATE",
    "Status": "STATUS",
    "Size": "SIZE",
    "Labels": "LABELS",
    "Mounts": "MOUNTS",
    "LocalVolumes": "LOCAL VOLUMES",
    "Networks": "NETWORKS",
    "Platform": "PLATFORM",
}
_STATES = ("created", "dead", "exited", "paused", "removing", "restarting", "running")
_HEALTH = ("healthy", "none", "starting", "unhealthy")
_LONGEST_COMMAND, _LONGEST_MOUNT = 20, 15
_BILLION = 1_000_000_000


class Listed:
    """A container with its status of now."""

    __slots__ = ("container", "fields", "image", "records")

    def __init__(self, records: "Records", container: "Container", warn: "Warn") -> None:
        self.records = records
        self.container = container
        self.fields = state.seen(container, warn)
        self.image: str = container.config["Image"]


def find(
    records: "Records", filters: list[str], warn: "Warn", *, every: bool, last: int
) -> list[Listed]:
    """Return the containers that are asked for, the newest first: those that run, or every, or the last few."""
    wanted = parse_filters(filters)
    every = every or last >= 0 or any(key in wanted for key in ("status", "exited"))
    found = []
    for container in records.all():
        listed = Listed(records, container, warn)
        if not every and listed.fields["Status"] not in state.RUNNING:
            continue
        if all(_is_wanted(listed, name, values) for name, values in wanted.items()):
            found.append(listed)
        if 0 <= last <= len(found):
            break
    found = found[:last] if last >= 0 else found
    _name_images(records, found)
    return found


def _name_images(records: "Records", found: list[Listed]) -> None:
    """Have the id in the place of a name that means another image by now, or none."""
    from pyoci.engine.reference import parse

    meanings: dict[str, str] = {}
    for listed in found:
        name, identity = listed.image, listed.container.image
        if identity.removeprefix("sha256:").startswith(name.removeprefix("sha256:")):
            continue  # it was given by its id
        if name not in meanings:
            row = records.database.row(
                "SELECT image FROM image_name WHERE name = ?", parse(name).name
            )
            meanings[name] = str(row[0]) if row else ""
        if meanings[name] != identity:
            listed.image = identity.removeprefix("sha256:")[:12]


def _is_wanted(listed: Listed, name: str, values: list[str]) -> bool:
    """Tell whether a filter lets a container through: with any of its values, but every label must be there."""
    hits = (FILTERS[name](listed, value) for value in values)
    return all(hits) if name == "label" else any(hits)


def parse_filters(filters: list[str]) -> dict[str, list[str]]:
    """Return values by name of filter; raises EngineError for what Docker does not know."""
    found: dict[str, list[str]] = {}
    for text in filters:
        name, _, value = text.partition("=")
        name, value = name.strip().lower(), value.strip()
        if name not in FILTERS:
            raise EngineError(f"Invalid filter '{name}'")
        if name == "status" and value not in _STATES:
            raise EngineError(f"Invalid filter '{name}={value}'")
        if name == "health" and value not in _HEALTH:
            raise EngineError(f"Unrecognised filter value for health: {value}")
        if name in ("publish", "expose"):
            _check_port(name, value)
        if name == "exited" and not value.lstrip("-").isdecimal():
            raise EngineError(f'strconv.Atoi: parsing "{value}": invalid syntax')
        found.setdefault(name, []).append(value)
    return found


def _check_port(name: str, value: str) -> None:
    from pyoci.engine.containers.ports import exposed

    try:
        exposed([value])
    except EngineError as error:
        reason = str(error).rpartition("error: ")[2]
        raise EngineError(f"error while looking up for {name} {value}: {reason}") from None


def _by_label(listed: Listed, value: str) -> bool:
    name, equals, wanted = value.partition("=")
    labels = listed.container.config["Labels"]
    return name in labels and (not equals or labels[name] == wanted)


def _by_status(listed: Listed, value: str) -> bool:
    return bool(listed.fields["Status"] == value)


def _by_exit(listed: Listed, value: str) -> bool:
    return listed.fields["Status"] == "exited" and bool(listed.fields["ExitCode"] == int(value))


def _by_health(listed: Listed, value: str) -> bool:
    health = listed.fields["Health"]
    return bool((health["Status"] if health else "none") == value)


def _by_name(listed: Listed, value: str) -> bool:
    import re

    return (
        re.search(value, listed.container.name) is not None
        or re.search(value, f"/{listed.container.name}") is not None
    )


def _by_ancestor(listed: Listed, value: str) -> bool:
    """Tell whether a container's image is the one that is named now, or is built on it: has its layers, and more."""
    from pyoci.engine.images import records as images

    database, image = listed.records.database, listed.container.image
    try:
        ancestor = images.find(database, value)
    except EngineError:
        return False
    below, own = (
        database.rows("SELECT diff_id FROM image_layer WHERE image = ? ORDER BY position", one)
        for one in (ancestor, image)
    )
    return image == ancestor or (below == own[: len(below)] and len(below) < len(own))


def _by_age(listed: Listed, value: str, *, older: bool) -> bool:
    try:
        other = listed.records.find(value)
    except NotFoundError:
        raise EngineError(f"no such container {value}") from None
    mine = (listed.container.created, listed.container.id)
    return mine < (other.created, other.id) if older else mine > (other.created, other.id)


def _by_volume(listed: Listed, value: str) -> bool:
    points = listed.container.document["Mounts"]
    return any(value in (made["Name"], made["Destination"], made["Source"]) for made in points)


def _by_network(listed: Listed, value: str) -> bool:
    networks = listed.container.document["NetworkSettings"]["Networks"]
    return any(value in (name, row["NetworkID"]) for name, row in networks.items())


def _by_port(listed: Listed, value: str, *, published: bool) -> bool:
    from pyoci.engine.containers.ports import exposed

    wanted = exposed([value])
    if published:
        ports = listed.container.document["NetworkSettings"]["Ports"]
        outer = [row["HostPort"] for rows in ports.values() for row in rows or ()]
        return any(port in ports and ports[port] for port in wanted) or value in outer
    return any(port in listed.container.config["ExposedPorts"] for port in wanted)


FILTERS: "dict[str, Check]" = {
    "id": lambda listed, value: listed.container.id.startswith(value),
    "name": _by_name,
    "label": _by_label,
    "exited": _by_exit,
    "status": _by_status,
    "ancestor": _by_ancestor,
    "before": lambda listed, value: _by_age(listed, value, older=True),
    "since": lambda listed, value: _by_age(listed, value, older=False),
    "volume": _by_volume,
    "network": _by_network,
    "health": _by_health,
    "publish": lambda listed, value: _by_port(listed, value, published=True),
    "expose": lambda listed, value: _by_port(listed, value, published=False),
    "is-task": lambda _, value: value in ("false", "0"),
    "isolation": lambda _, value: value in ("", "default"),
}


def row(listed: Listed, *, truncated: bool, size: bool) -> "Fields":
    """Return what a table or a template can show of a container."""
    container, fields, now = listed.container, listed.fields, time.time_ns()
    own = container.config
    words = [*(own["Entrypoint"] or ()), *(own["Cmd"] or ())]
    command = " ".join(f"'{word}'" if " " in word else word for word in words)
    points = [made for made in container.document["Mounts"] if made["Type"] != "tmpfs"]
    names = [made["Name"] or made["Source"] for made in points]
    if truncated:
        command = shorten(command, _LONGEST_COMMAND)
        names = [shorten(name, _LONGEST_MOUNT) for name in names]
    running = fields["Status"] in state.RUNNING
    settings = container.document["NetworkSettings"]
    from pyoci.engine.durations import tell
    from pyoci.engine.templates.values import Nil

    return {
        "ID": container.short_id if truncated else container.id,
        "Names": container.name,
        "Image": listed.image,
        "Command": f'"{command}"',
        "CreatedAt": moments.spaced(container.created),
        "RunningFor": f"{tell((now - container.created) / _BILLION)} ago",
        "Ports": show_ports(settings["Ports"] if running else {}),
        "State": fields["Status"],
        "Status": state.words(fields, now),
        "Size": _size(listed) if size else "0B",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(own["Labels"].items())),
        "Mounts": ",".join(names),
        "LocalVolumes": str(sum(made["Type"] == "volume" for made in points)),
        "Networks": ",".join(sorted(settings["Networks"])),
        "Platform": Nil("<nil>"),
        "Label": lambda name: own["Labels"].get(name, ""),
    }


def _size(listed: Listed) -> str:
    """Return how much the container has written, and how much it sees with its image."""
    written = description.writable_size(listed.container)
    seen = written + description.image_size(listed.records, listed.container)
    return f"{sizes.tell_short(written)} (virtual {sizes.tell_short(seen)})"


def shorten(text: str, length: int) -> str:
    """Return at most so many letters, the last of which then says that there are more."""
    return text if len(text) <= length else f"{text[: length - 1]}…"


def show_ports(ports: "dict[str, list[dict[str, str]] | None]") -> str:
    """Return ports as ps shows them: 0.0.0.0:8080->80/tcp, 443/tcp; neighbours that keep their number as a range."""
    shown: list[Port] = []
    for port, bindings in ports.items():
        number, _, kind = port.partition("/")
        rows = bindings or [{"HostIp": "", "HostPort": "0"}]
        shown += [(int(number), row["HostIp"], int(row["HostPort"]), kind) for row in rows]
    ranges: dict[tuple[str, str], tuple[int, int]] = {}  # address, protocol -> first, last
    texts, moved = [], []
    for inner, address, outer, protocol in sorted(shown):
        key = (address, protocol)
        if address and outer != inner:
            moved.append(f"{_with_port(address, str(outer))}->{inner}/{protocol}")
        elif key in ranges and inner == ranges[key][1] + 1:
            ranges[key] = (ranges[key][0], inner)
        else:
            if key in ranges:
                texts.append(_show_range(key, ranges[key]))
            ranges[key] = (inner, inner)
    texts += [_show_range(key, span) for key, span in ranges.items()]
    return ", ".join(texts + moved)


def _show_range(key: tuple[str, str], span: tuple[int, int]) -> str:
    address, protocol = key
    text = f"{span[0]}-{span[1]}" if span[0] != span[1] else str(span[0])
    return f"{_with_port(address, text)}->{text}/{protocol}" if address else f"{text}/{protocol}"


def _with_port(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
