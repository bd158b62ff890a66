"""A new version on an old database: brought up to date while others read it, from a backup, too."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db.migrations.loader import MigrationLoader

from tests.agents.command_line import ROOT
from tests.agents.databases import Database, engine, make, postgres

__all__ = ["engine", "make", "postgres"]  # fixtures
MANY = 100_000


def old_database(database: Database, rows: int) -> None:
    program = [sys.executable, "-m", "tests.agents.old_schema", str(rows)]
    subprocess.run(program, env=database.environment({}), cwd=ROOT, check=True)


def applied(database: Database) -> set[str]:
    said = database.done("showmigrations", "agents", "--plan")
    names = {line.split()[-1] for line in said.splitlines() if line.startswith("[X]")}
    return {name for name in names if name.startswith("agents.")}


def newest() -> set[str]:
    return {f"agents.{name}" for app, name in MigrationLoader(None).disk_migrations if app == "agents"}


@pytest.mark.slow
def test_a_backup_of_the_first_version_is_served_by_this_one(make: Callable[[str], Database], tmp_path: Path) -> None:
    old, new, path = make("old"), make("new"), tmp_path / "backup.tar.gz"
    old_database(old, 500)

    old.done("backup", str(path))  # by this version, before it touches the database
    assert applied(old) == {"agents.0001_initial"}

    assert "Restored: 1 agent, 0 keys, 500 requests." in new.done("restore", str(path))
    assert applied(new) == newest()
    assert new.done("agents").splitlines()[1].startswith("coder ")


class Reader(threading.Thread):
    """Reads the usage rows again and again, as an old worker does; `problems` has what went wrong."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self._database = database
        self._done = threading.Event()
        self.looks = 0
        self.problems: list[str] = []
        self.began = threading.Event()

    def run(self) -> None:
        with closing(self._connect()) as connection:
            while not self._done.is_set():
                try:
                    [(rows,)] = connection.execute("SELECT count(*) FROM agents_usagerecord").fetchall()
                    if rows != MANY:
                        self.problems.append(f"{rows} rows")
                except (sqlite3.Error, psycopg.Error) as error:
                    self.problems.append(str(error))
                self.looks += 1
                self.began.set()

    def _connect(self) -> Any:
        if self._database.url:
            # Waits no longer than this for a lock that a migration holds.
            return psycopg.connect(self._database.url, autocommit=True, options="-c lock_timeout=20s")
        return sqlite3.connect(self._database.data_dir / "openfang.sqlite3", timeout=20)

    def end(self) -> None:
        self._done.set()
        self.join()


@pytest.mark.slow
def test_readers_read_on_while_100_000_rows_are_brought_up_to_date(make: Callable[[str], Database]) -> None:
    database = make("data")
    old_database(database, MANY)
    reader = Reader(database)
    reader.start()
    try:
        assert reader.began.wait(60)
        before = reader.looks
        database.done("agents")  # every command brings the database to its version first
    finally:
        reader.end()

    assert applied(database) == newest()
    assert reader.problems == []
    assert reader.looks > before
