"""Statements given to the database's driver as they are: Django's cursors take as long as SQLite over a small one."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from django.db import DEFAULT_DB_ALIAS, connection, connections

PLACE = "?" if connection.vendor == "sqlite" else "%s"


def places(values: Collection[object]) -> str:
    """Return the placeholders of a list of values."""
    return ", ".join([PLACE] * len(values))


@contextmanager
def driver_cursor() -> Iterator[Any]:
    """The driver's own cursor, in Django's transaction if there is one. Raises Django's errors."""
    database = connections[DEFAULT_DB_ALIAS]
    database.ensure_connection()
    make = database.connection.cursor if database.vendor == "sqlite" else database.create_cursor
    with database.wrap_database_errors, closing(make()) as cursor:
        yield cursor


def execute_each(cursor: Any, statement: str, rows: Sequence[Sequence[Any]]) -> None:
    """Execute a statement for each row. The pipeline in which psycopg sends many costs more than it saves for one."""
    if len(rows) == 1:
        cursor.execute(statement, rows[0])
    else:
        cursor.executemany(statement, rows)
