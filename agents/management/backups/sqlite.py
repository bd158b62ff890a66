"""SQLite's part of a backup: its database is copied as it was at one moment, while others write."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from django.contrib.sessions.models import Session
from django.core.management import CommandError
from django.db import connection, connections

from agents.management.backups.progress import Progress
from agents.management.server_state import database_files

NAME = "database.sqlite3"
PAGES = 1000  # at once, 4 MB: between two of them it is told how far it is


def dump(path: Path, progress: Progress) -> None:
    progress.step("Copying the database")
    source_path = connection.settings_dict["NAME"]
    with closing(sqlite3.connect(f"file:{source_path}?mode=ro", uri=True)) as source, closing(_open(path)) as copy:
        # What is read is held at one moment: else each write of a server would begin the copying anew.
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()
        source.backup(copy, pages=PAGES, progress=lambda _, left, total: progress.share(total - left, total), sleep=0)
        copy.execute("PRAGMA journal_mode=DELETE")
        _leave_out(copy, Session._meta.db_table)


def _leave_out(copy: sqlite3.Connection, table: str) -> None:
    """Empty a table so that nothing of its rows stays in the file."""
    if copy.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [table]).fetchone():
        copy.execute("PRAGMA secure_delete=ON")
        copy.execute(f"DELETE FROM {table}")


def check(path: Path, progress: Progress) -> None:
    progress.step("Checking the database")
    with closing(_open(path)) as copy:
        try:
            [[found]] = copy.execute("PRAGMA quick_check(1)").fetchall()
        except sqlite3.DatabaseError as error:
            found = str(error)
    if found != "ok":
        raise CommandError(f"The database in this backup is damaged ({found}), so nothing was changed.")


def load(path: Path) -> None:
    """Put a copy in the place of the database, which has been moved away."""
    connections.close_all()
    shutil.move(path, connection.settings_dict["NAME"])


def move_away(aside: Path) -> None:
    connections.close_all()
    for file in database_files():
        if file.exists():
            shutil.move(file, aside / file.name)


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)
