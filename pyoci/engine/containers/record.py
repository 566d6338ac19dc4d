# SPDX-License-Identifier: Apache-2.0
"""What is known of a container: its row in the database, and the document in which `inspect` shows it.

The document is what was asked for, in Docker's form (Config, HostConfig, ...), and changes with `update` and `rename` alone. What
becomes of the container is in status.py.
"""

from pyoci.engine.containers import names
from pyoci.engine.errors import ConflictError, EngineError, NotFoundError
from pyoci.engine.places import make_private
from pyoci.jsontext import dumps
from pyoci.spec.reader import parse_object

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from pyoci.engine.places import Places

MIGRATIONS = (
    (
        "CREATE TABLE container (id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL,"
        " image TEXT NOT NULL, document TEXT NOT NULL)",
        "CREATE TABLE volume (name TEXT PRIMARY KEY, created INTEGER NOT NULL, anonymous INTEGER NOT NULL,"
        " labels TEXT NOT NULL, options TEXT NOT NULL)",
        "CREATE TABLE volume_use (container TEXT NOT NULL REFERENCES container ON DELETE CASCADE,"
        " volume TEXT NOT NULL REFERENCES volume, PRIMARY KEY (container, volume))",
        "CREATE INDEX volume_use_by_volume ON volume_use (volume)",
        "CREATE TABLE link (container TEXT NOT NULL REFERENCES container ON DELETE CASCADE,"
        " target TEXT NOT NULL, alias TEXT NOT NULL, PRIMARY KEY (container, alias))",
    ),
)
_COLUMNS = "SELECT id, name, created, image, document FROM container"
_SHORT = 12
_ATTEMPTS = 100


class Container:
    """A container: `created` in nanoseconds since 1970, `image` the id of its image, `document` as inspect shows it."""

    __slots__ = (
        "created",
        "directory",
        "document",
        "id",
        "image",
        "is_new",
        "name",
        "places",
        "run",
    )

    def __init__(self, places: "Places", row: "tuple[Any, ...]") -> None:
        self.is_new = False  # made by this command: nobody can have left anything of it
        self.places = places
        self.id: str = row[0]
        self.name: str = row[1]
        self.created: int = row[2]
        self.image: str = row[3]
        self.document: dict[str, Any] = parse_object(row[4].encode())
        self.directory = f"{places.root}/containers/{self.id}"  # survives a boot
        self.run = f"{places.run}/containers/{self.id}"  # pipes, sockets, lock

    @property
    def short_id(self) -> str:
        """The first twelve letters of the id, as tables show it."""
        return self.id[:_SHORT]

    @property
    def config(self) -> "dict[str, Any]":
        """What belongs to the container wherever it runs: command, environment, labels."""
        part: dict[str, Any] = self.document["Config"]
        return part

    @property
    def host_config(self) -> "dict[str, Any]":
        """What belongs to this host: limits, mounts, ports, restart policy."""
        part: dict[str, Any] = self.document["HostConfig"]
        return part


class Records:
    """The containers of one database."""

    __slots__ = ("database", "places")

    def __init__(self, places: "Places") -> None:
        from pyoci.engine.database import Database  # not for those who are told what a container is

        self.places = places
        self.database = Database(places)
        self.database.require("containers", MIGRATIONS)

    def add(self, container: Container, *, named: bool) -> None:
        """Take the container's name, or invent a free one, and write its row; to be called within a transaction."""
        for attempt in range(1 if named else _ATTEMPTS):
            if not named:
                container.name = names.invent(attempt)
            try:
                self.database.change(
                    "INSERT INTO container VALUES (?, ?, ?, ?, ?)",
                    container.id,
                    container.name,
                    container.created,
                    container.image,
                    dumps(container.document),
                )
            except ConflictError:
                continue
            return
        raise self.name_is_taken(container.name)

    def name_is_taken(self, name: str) -> ConflictError:
        """Return Docker's words for a name that another container has."""
        row = self.database.row("SELECT id FROM container WHERE name = ?", name)
        owner = str(row[0]) if row else ""
        return ConflictError(
            f'Conflict. The container name "/{name}" is already in use by container "{owner}". '
            "You have to remove (or rename) that container to be able to reuse that name."
        )

    def find(self, reference: str) -> Container:
        """Return the container of this id, name or unambiguous beginning of an id, in this order (moby: GetContainer)."""
        name = reference.removeprefix("/")
        for condition, value in (("id = ?", reference), ("name = ?", name)):
            row = self.database.row(f"{_COLUMNS} WHERE {condition}", value)
            if row:
                return Container(self.places, row)
        rows = []
        if reference and not set(reference) - set("0123456789abcdef"):
            rows = self.database.rows(f"{_COLUMNS} WHERE id GLOB ? LIMIT 2", f"{reference}*")
        if len(rows) > 1:
            raise EngineError(f"Multiple IDs found with provided prefix: {reference}")
        if not rows:
            raise NotFoundError(f"No such container: {reference}")
        return Container(self.places, rows[0])

    def has(self, reference: str) -> bool:
        """Tell whether there is a container of this name."""
        try:
            self.find(reference)
        except EngineError:
            return False
        return True

    def all(self) -> list[Container]:
        """Return every container, the newest first."""
        rows = self.database.rows(f"{_COLUMNS} ORDER BY created DESC, id")
        return [Container(self.places, row) for row in rows]

    def save(self, container: Container) -> None:
        """Write a changed document."""
        self.database.change(
            "UPDATE container SET document = ? WHERE id = ?",
            dumps(container.document),
            container.id,
        )

    def rename(self, container: Container, name: str) -> None:
        """Give a container another name, which must be free."""
        try:
            self.database.change("UPDATE container SET name = ? WHERE id = ?", name, container.id)
        except ConflictError:
            raise self.name_is_taken(name) from None
        container.name = name

    def remove(self, container: Container) -> None:
        """Forget a container, its links and which volumes it used."""
        self.database.change("DELETE FROM container WHERE id = ?", container.id)


def make_directories(container: Container) -> None:
    """Make the container's two directories, for us alone."""
    container.places.directory("containers", container.id)
    make_private(container.run)
