# SPDX-License-Identifier: Apache-2.0
"""The database under many commands at once and under SIGKILL."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pyoci.engine.database import LONG_LOG, Database
from pyoci.engine.errors import ConflictError, EngineError
from pyoci.engine.places import Places

TABLE = (("CREATE TABLE pair (name TEXT PRIMARY KEY, other TEXT NOT NULL)",),)
COUNT = (("CREATE TABLE counter (value INTEGER NOT NULL)", "INSERT INTO counter VALUES (0)"),)

WORK = """
import sys
from pyoci.engine.database import Database
from pyoci.engine.places import Places
database = Database(Places(sys.argv[1], ""))
database.require("count", (("CREATE TABLE counter (value INTEGER NOT NULL)", "INSERT INTO counter VALUES (0)"),))
for _ in range(int(sys.argv[2])):
    with database.writing():
        value = database.row("SELECT value FROM counter")[0]
        database.change("UPDATE counter SET value = ?", value + 1)
"""
HALF = """
import os, signal, sys
from pyoci.engine.database import Database
from pyoci.engine.places import Places
database = Database(Places(sys.argv[1], ""))
with database.writing():
    database.change("INSERT INTO pair VALUES ('one', 'two')")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_transaction_is_whole_or_nothing(database: Database) -> None:
    database.require("pairs", TABLE)
    with pytest.raises(RuntimeError), database.writing():
        database.change("INSERT INTO pair VALUES ('a', 'b')")
        raise RuntimeError
    assert database.rows("SELECT * FROM pair") == []


def test_a_name_is_taken_once(database: Database) -> None:
    database.require("pairs", TABLE)
    database.change("INSERT INTO pair VALUES ('a', 'b')")
    with pytest.raises(ConflictError, match="UNIQUE"):
        database.change("INSERT INTO pair VALUES ('a', 'c')")


def test_eight_processes_that_begin_at_once_lose_no_change(places: Places) -> None:
    workers = [
        subprocess.Popen([sys.executable, "-c", WORK, places.root, "50"], stderr=subprocess.PIPE)
        for _ in range(8)
    ]
    for worker in workers:
        _, errors = worker.communicate(timeout=60)
        assert (worker.returncode, errors) == (0, b"")
    database = Database(places)
    assert database.row("SELECT value FROM counter") == (400,)
    database.close()


def test_a_kill_inside_a_transaction_leaves_nothing_of_it(places: Places) -> None:
    database = Database(places)
    database.require("pairs", TABLE)
    ran = subprocess.run([sys.executable, "-c", HALF, places.root], check=False, timeout=30)
    assert ran.returncode == -signal.SIGKILL
    assert database.rows("SELECT * FROM pair") == []
    with database.writing():
        database.change("INSERT INTO pair VALUES ('one', 'three')")
    database.close()


def test_migrations_run_once_and_in_order(database: Database) -> None:
    database.require("count", COUNT)
    database.require("count", COUNT)
    later = (*COUNT, ("UPDATE counter SET value = value + 7",))
    database.require("count", later)
    database.require("count", later)
    assert database.rows("SELECT value FROM counter") == [(7,)]


def test_tables_of_a_newer_pypod_are_refused(database: Database) -> None:
    database.require("count", (*COUNT, ()))
    with pytest.raises(EngineError, match="written by a newer pypod"):
        database.require("count", COUNT)


def test_what_is_no_database_is_refused(places: Places) -> None:
    os.makedirs(places.root)
    with open(f"{places.root}/pypod.db", "w") as file:
        file.write("no database at all, but long enough to be looked at" * 10)
    with pytest.raises(EngineError, match=r"pypod\.db: file is not a database"):
        Database(places)


def test_others_cannot_enter_the_root(database: Database, places: Places) -> None:
    assert os.stat(places.root).st_mode & 0o777 == 0o700


def test_a_long_log_is_written_into_the_database(database: Database) -> None:
    """Each command reads all of the log first; what is short stays, for that it is written the disk is waited for."""
    log = Path(f"{database.path}-wal")
    database.require("pairs", TABLE)
    database.tidy()
    assert log.stat().st_size > 0
    database.change("INSERT INTO pair VALUES ('long', ?)", "x" * LONG_LOG)
    database.tidy()
    assert log.stat().st_size == 0
    assert database.row("SELECT length(other) FROM pair") == (LONG_LOG,)


def test_a_log_that_others_read_is_left_to_them(database: Database, places: Places) -> None:
    """Nobody waits for that."""
    log = Path(f"{database.path}-wal")
    database.require("pairs", TABLE)
    other = Database(places)
    other.change("BEGIN")
    assert other.rows("SELECT * FROM pair") == []
    database.change("INSERT INTO pair VALUES ('long', ?)", "x" * LONG_LOG)
    database.tidy()
    assert log.stat().st_size >= LONG_LOG
    other.change("COMMIT")
    database.tidy()
    assert log.stat().st_size == 0
    with database.writing():
        database.change("INSERT INTO pair VALUES ('after', '')")
