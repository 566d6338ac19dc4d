# SPDX-License-Identifier: Apache-2.0
"""Tell what has happened: a line of JSON a happening, as Docker's daemon says it, in ROOT/events.jsonl.

Whoever does something writes its line itself, with one write(2) under a lock: the order of the lines is that of their times. A line
that a SIGKILL or a full disk has cut short is ended by the next writer, and skipped by readers. A file that has grown large is
renamed to events.jsonl.1, in place of the one before.
"""

import fcntl
import posix
import time

from pyoci.engine.errors import EngineError
from pyoci.jsontext import dumps, quote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.containers.record import Container
    from pyoci.engine.database import Database
    from pyoci.engine.networks.records import Network
    from pyoci.engine.places import Places

    Attributes = dict[str, str]

NAME = "events.jsonl"
LARGEST = 1 << 20  # bytes: some 3,000 lines
CONTAINER, IMAGE, NETWORK, VOLUME, BUILDER = "container", "image", "network", "volume", "builder"
_SIMPLE = {"none": "null", "host": "host"}  # networks without places, and their drivers
_ids: dict[
    tuple[str, str], str
] = {}  # of these, by database and name: `run` asks when it begins and when it ends
_BILLION = 1_000_000_000
_FLAGS = posix.O_RDWR | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC


def tell(root: str, kind: str, action: str, actor: str, attributes: "Attributes") -> None:
    """Write one line. What was done stays done where it cannot be written: that is no error."""
    old = ""  # what events had before there were actors: for containers and images only
    if kind in (CONTAINER, IMAGE):
        identity = f',"id":{quote(actor)}' if actor else ""
        origin = f',"from":{quote(attributes["image"])}' if "image" in attributes else ""
        old = f'"status":{quote(action)}{identity}{origin},'
    shown = dumps({key: attributes[key] for key in sorted(attributes)})
    head = f'{{{old}"Type":"{kind}","Action":{quote(action)},"Actor":{{"ID":{quote(actor)},"Attributes":{shown}}}'
    try:
        _write(f"{root}/{NAME}", head)
    except OSError:
        return


def _write(path: str, head: str) -> None:
    fd, size = _open(path)
    try:
        now = time.time_ns()
        line = f'{head},"scope":"local","time":{now // _BILLION},"timeNano":{now}}}\n'.encode()
        if size and posix.pread(fd, 1, size - 1) != b"\n":
            line = b"\n" + line
        posix.write(fd, line)
        if size > LARGEST:
            posix.rename(path, f"{path}.1")
    finally:
        posix.close(fd)


def _open(path: str) -> tuple[int, int]:
    """Open the file that is written now, and lock it: another may have renamed it while we waited. Returns its size, too."""
    while True:
        fd = posix.open(path, _FLAGS, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        try:
            found = posix.stat(path)
            if found.st_ino == posix.fstat(fd).st_ino:
                return fd, found.st_size
        except FileNotFoundError:
            pass  # renamed, and nobody has begun a new one
        posix.close(fd)


def actor_of(container: "Container") -> "Attributes":
    """Return what every event of a container tells of it: its labels, image and name."""
    own = container.config
    return {**own["Labels"], "image": own["Image"], "name": container.name}


def of_container(container: "Container", action: str, **more: str) -> None:
    """Tell of a container."""
    attributes = {**actor_of(container), **more}
    tell(container.places.root, CONTAINER, action, container.id, attributes)


def of_image(
    places: "Places", action: str, actor: str, name: str, labels: "Attributes | None" = None
) -> None:
    """Tell of an image."""
    tell(places.root, IMAGE, action, actor, {**(labels or {}), "name": name})


def of_network(places: "Places", network: "Network", action: str, **more: str) -> None:
    """Tell of a network, `container` being whom it concerns."""
    attributes = {"name": network.name, "type": network.driver, **more}
    tell(places.root, NETWORK, action, network.id, attributes)


def of_volume(places: "Places", action: str, name: str, **more: str) -> None:
    """Tell of a volume."""
    tell(places.root, VOLUME, action, name, {"driver": "local", **more})


def of_prune(places: "Places", kind: str, freed: int = 0) -> None:
    """Tell that what nobody used was removed, and how many bytes that has freed."""
    tell(places.root, kind, "prune", "", {"reclaimed": str(freed)})


def begun(database: "Database", container: "Container") -> None:
    """Tell what a container has when its program is about to begin: a network that has no places, and its volumes."""
    _of_simple_network(database, container, "connect")
    for made in container.document["Mounts"]:
        if made["Type"] == VOLUME:
            of_volume(
                container.places,
                "mount",
                made["Name"],
                container=container.id,
                destination=made["Destination"],
                propagation=made["Propagation"],
                **{"read/write": "true" if made["RW"] else "false"},
            )


def ended(database: "Database", container: "Container") -> None:
    """Tell that a container whose end has been cleaned up has them no more."""
    _of_simple_network(database, container, "disconnect")
    for made in container.document["Mounts"]:
        if made["Type"] == VOLUME:
            of_volume(container.places, "unmount", made["Name"], container=container.id)


def _of_simple_network(database: "Database", container: "Container", action: str) -> None:
    mode = container.host_config["NetworkMode"]
    if mode in _SIMPLE:
        attributes = {"name": mode, "type": _SIMPLE[mode], "container": container.id}
        tell(container.places.root, NETWORK, action, _id_of(database, mode), attributes)


def _id_of(database: "Database", name: str) -> str:
    """Return the id of a network that is always there, without all that a network needs."""
    key = (database.path, name)
    if key not in _ids:
        _ids[key] = _ask_for_id(database, name)
    return _ids[key]


def _ask_for_id(database: "Database", name: str) -> str:
    question = "SELECT id FROM network WHERE name = ?"
    try:
        row = database.row(question, name)
    except EngineError:  # nothing has asked for networks yet, and there is no table
        from pyoci.engine.networks.records import Networks

        row = Networks(database).database.row(question, name)
    return str(row[0]) if row else ""
