# SPDX-License-Identifier: Apache-2.0
"""Names and relations in SQLite: many commands at once, none of which a SIGKILL can leave half done.

Each package has its own tables, as a tuple of migrations; `Database.require` brings them up to date:

    MIGRATIONS = (("CREATE TABLE image (id TEXT PRIMARY KEY)", "CREATE INDEX ..."), ("ALTER TABLE ...",))

    database = Database(places)
    database.require("images", MIGRATIONS)
    with database.writing():                    # BEGIN IMMEDIATE: one writer at a time, until the block ends
        database.change("INSERT INTO image VALUES (?)", identity)

Transactions are short: nothing waits, downloads or extracts inside one. A connection is used by one thread, and never after
fork(2) or setns(2). WAL with synchronous=NORMAL: a power cut may take the last commits, never the consistency.
`_sqlite3` without the `sqlite3` around it, which brings datetime and 2 ms; see sqlite.py for the rest.
"""

import fcntl
import posix

from pyoci.engine.errors import ConflictError, EngineError
from pyoci.engine.sqlite import _sqlite3

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pyoci.engine.places import Places

    Value = str | int | float | bytes | None
    Row = tuple[Value, ...]
    Migrations = tuple[tuple[str, ...], ...]

NAME = "pypod.db"
WAIT_SECONDS = 30.0
LONG_LOG = (
    1 << 20
)  # bytes: 20 containers; to read 4 MB, where SQLite itself would write them, takes 2 ms
_VERSIONS = (
    "CREATE TABLE IF NOT EXISTS schema_version (package TEXT PRIMARY KEY, version INTEGER NOT NULL)"
)


class Database:
    """A connection to the database below a root."""

    __slots__ = ("_connection", "path")

    def __init__(self, places: "Places") -> None:
        self.path = f"{places.directory()}/{NAME}"
        self._connection = _sqlite3.connect(self.path, timeout=WAIT_SECONDS, isolation_level=None)
        if self.row("PRAGMA journal_mode") != ("wal",):
            self._begin_life(places)
        self.rows("PRAGMA synchronous = NORMAL")
        self.rows("PRAGMA foreign_keys = ON")

    def _begin_life(self, places: "Places") -> None:
        """Turn WAL on in a new database; SQLite would not wait here for another that does the same."""
        lock = posix.open(places.root, posix.O_RDONLY | posix.O_DIRECTORY | posix.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.rows(_VERSIONS)  # before WAL, by which others see that all is there
            self.rows("PRAGMA journal_mode = WAL")
            places.keep_reserve()
        finally:
            posix.close(lock)

    def require(self, package: str, migrations: "Migrations") -> None:
        """Bring a package's tables up to date; refuse those of a newer pypod."""
        if self._version(package) == len(migrations):
            return
        with self.writing():
            version = self._version(package)
            if version > len(migrations):
                raise EngineError(f"{self.path}: written by a newer pypod ({package} {version})")
            for migration in migrations[version:]:
                for statement in migration:
                    self.change(statement)
            self.change("REPLACE INTO schema_version VALUES (?, ?)", package, len(migrations))

    def _version(self, package: str) -> int:
        found = self.row("SELECT version FROM schema_version WHERE package = ?", package)
        return int(str(found[0])) if found else 0

    def writing(self) -> "Transaction":
        """Return a transaction for a with block: whole at its end, nothing when an error leaves it."""
        return Transaction(self)

    def rows(self, statement: str, *values: "Value") -> "list[Row]":
        """Return all rows that a statement gives."""
        return self._execute(statement, values).fetchall()

    def row(self, statement: str, *values: "Value") -> "Row | None":
        """Return the first row that a statement gives; None when there is none."""
        found: Row | None = self._execute(statement, values).fetchone()
        return found

    def change(self, statement: str, *values: "Value") -> int:
        """Change rows and return how many. Raise ConflictError where a constraint forbids it."""
        return int(self._execute(statement, values).rowcount)

    def tidy(self) -> None:
        """Write a long log into the database: each command reads all of it first. For when nobody waits: the disk is waited for."""
        try:
            if posix.stat(f"{self.path}-wal").st_size < LONG_LOG:
                return
        except FileNotFoundError:
            return
        self.rows("PRAGMA busy_timeout = 0")  # others at work: another time
        self.rows("PRAGMA wal_checkpoint(TRUNCATE)")
        self.rows(f"PRAGMA busy_timeout = {int(WAIT_SECONDS * 1000)}")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _execute(self, statement: str, values: "tuple[Value, ...]") -> "_sqlite3.Cursor":
        try:
            return self._connection.execute(statement, values)
        except _sqlite3.IntegrityError as error:
            raise ConflictError(f"{self.path}: {error}") from error
        except _sqlite3.DatabaseError as error:
            raise EngineError(f"{self.path}: {error}") from error


class Transaction:
    """A with block whose changes are made together or not at all."""

    __slots__ = ("_database",)

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> Database:
        self._database.change("BEGIN IMMEDIATE")
        return self._database

    def __exit__(self, kind: "type[BaseException] | None", *_: object) -> None:
        self._database.change("COMMIT" if kind is None else "ROLLBACK")
