"""The turns that processes take in writing usage, its sums and the budgets."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction

from agents.sql.driver import driver_cursor

ADVISORY_LOCK = 0x0FA18  # any number, the same in every process


@contextmanager
def own_turn() -> Iterator[Any]:
    """The driver's cursor in a transaction that runs while no other process is in one of these.

    All of them change the same few rows of sums and budgets, each in an order of its own, and would wait for each other
    in a circle. SQLite has one writer at a time anyway.
    """
    with transaction.atomic(), driver_cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
        yield cursor
