# SPDX-License-Identifier: Apache-2.0
"""Managed volumes: directories below ROOT/volumes that outlive containers; rows in the database say who uses them."""

import posix
import time

from pyoci.engine.errors import ConflictError, EngineError, NotFoundError
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.database import Database
    from pyoci.engine.places import Places

_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_LETTERS = _FIRST | frozenset("_.-")
_COLUMNS = "SELECT name, created, anonymous, labels, options FROM volume"
_TOGETHER = (("type", "device"), ("device", "type"), ("o", "device"), ("o", "type"))
ANONYMOUS_LABEL = "com.docker.volume.anonymous"


class Volume:
    """A volume: `created` in nanoseconds since 1970."""

    __slots__ = ("anonymous", "created", "labels", "name", "options")

    def __init__(self, row: "tuple[Any, ...]") -> None:
        self.name: str = row[0]
        self.created: int = row[1]
        self.anonymous = bool(row[2])
        self.labels: dict[str, Any] = parse_object(row[3].encode())
        self.options: dict[str, Any] = parse_object(row[4].encode())


class Volumes:
    """The volumes of one database."""

    __slots__ = ("database", "places")

    def __init__(self, places: "Places", database: "Database") -> None:
        self.places = places
        self.database = database

    def ensure(
        self, name: str, *, anonymous: bool, labels: dict[str, str], options: dict[str, str]
    ) -> bool:
        """Have a volume of this name, within a transaction; True when it is new."""
        if self.database.row("SELECT 1 FROM volume WHERE name = ?", name):
            return False
        check_name(name)
        check_options(name, options)
        self.database.change(
            "INSERT INTO volume VALUES (?, ?, ?, ?, ?)",
            name,
            time.time_ns(),
            int(anonymous),
            dumps({**labels, ANONYMOUS_LABEL: ""} if anonymous else labels),
            dumps(options),
        )
        return True

    def data(self, name: str) -> str:
        """Return the directory of a volume's files, made when it is missing."""
        path = f"{self.places.directory('volumes', name)}/_data"
        try:
            posix.mkdir(path, 0o755)
        except FileExistsError:
            return path
        posix.chmod(path, 0o755)  # whatever our umask is
        return path

    def find(self, name: str) -> Volume:
        """Return a volume."""
        row = self.database.row(f"{_COLUMNS} WHERE name = ?", name)
        if row is None:
            raise NotFoundError(f"get {name}: no such volume")
        return Volume(row)

    def all(self) -> list[Volume]:
        """Return every volume by name."""
        return [Volume(row) for row in self.database.rows(f"{_COLUMNS} ORDER BY name")]

    def users(self, name: str) -> list[str]:
        """Return the ids of the containers that use a volume."""
        rows = self.database.rows("SELECT container FROM volume_use WHERE volume = ?", name)
        return [str(row[0]) for row in rows]

    def use(self, container: str, name: str) -> None:
        """Note that a container uses a volume, within a transaction."""
        self.database.change("INSERT OR IGNORE INTO volume_use VALUES (?, ?)", container, name)

    def of_container(self, container: str) -> list[str]:
        """Return the names of the anonymous volumes that a container uses."""
        rows = self.database.rows(
            "SELECT name FROM volume JOIN volume_use ON volume = name"
            " WHERE container = ? AND anonymous = 1",
            container,
        )
        return [str(row[0]) for row in rows]

    def remove(self, name: str) -> None:
        """Remove a volume and its files; raises ConflictError while a container uses it."""
        self.find(name)
        users = self.users(name)
        if users:
            raise ConflictError(f"remove {name}: volume is in use - [{', '.join(users)}]")
        self.forget(name)
        from pyoci.engine.trees import remove_tree

        remove_tree(self.directory(name))

    def forget(self, name: str) -> None:
        """Remove the row of a volume that nobody uses."""
        self.database.change("DELETE FROM volume WHERE name = ?", name)

    def directory(self, name: str) -> str:
        """Return where a volume lies."""
        return f"{self.places.root}/volumes/{name}"

    def unused(self, *, every: bool) -> list[Volume]:
        """Return the volumes that no container uses: the anonymous ones, or all."""
        return [
            volume
            for volume in self.all()
            if (every or volume.anonymous) and not self.users(volume.name)
        ]


def check_name(name: str) -> None:
    """Refuse a name that Docker refuses."""
    if len(name) < 2 or name[0] not in _FIRST or not _LETTERS.issuperset(name):
        if len(name) == 1 and name in _FIRST:
            raise EngineError(
                f"create {name}: volume name is too short, names should be at least two alphanumeric characters"
            )
        raise EngineError(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, use absolute path'
        )


def check_options(volume: str, options: dict[str, str]) -> None:
    """Refuse options that Docker's local driver refuses; those that it takes are for mount(8)."""
    for name in options:
        if name not in ("type", "o", "device", "size"):
            raise EngineError(f'create {volume}: invalid option: "{name}"')
    for name, needed in _TOGETHER:
        if name in options and needed not in options:
            raise EngineError(f'create {volume}: missing required option: "{needed}"')
    if "size" in options:
        raise EngineError(f"create {volume}: quota size requested but no quota support")


def make_name() -> str:
    """Return the name of an anonymous volume."""
    return posix.urandom(32).hex()


def describe(volume: Volume, places: "Places") -> "dict[str, Any]":
    """Return a volume as inspect shows it."""
    from pyoci.engine import moments

    return {
        "CreatedAt": moments.seconds(volume.created),
        "Driver": "local",
        "Labels": volume.labels or None,
        "Mountpoint": f"{places.root}/volumes/{volume.name}/_data",
        "Name": volume.name,
        "Options": volume.options or None,
        "Scope": "local",
    }
