"""A ledger in the tests' process, rows for it, and ways to look at what it has written."""

import asyncio
import sqlite3
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TypeVar
from unittest.mock import patch

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from agents.limits.turns import ADVISORY_LOCK
from agents.models import Status, StepKind, UsageRecord, UsageStep
from agents.usage.ledger import Ledger

T = TypeVar("T")


@contextmanager
def locked(database: str) -> Iterator[None]:
    """Keep every other writer out, as a backup or a long migration does."""
    if database.startswith("postgres:"):
        with psycopg.connect(database) as other_writer:
            other_writer.execute("SELECT pg_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            yield
        return
    with closing(sqlite3.connect(database, isolation_level=None, timeout=20)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.fixture
def ledger(transactional_db: None) -> Iterator[Ledger]:
    ledger = Ledger(open_seconds=60, close_seconds=60)
    ledger.start()
    yield ledger
    ledger.stop()


@contextmanager
def impatient(ledger: Ledger) -> Iterator[None]:
    with patch.multiple(ledger, _open_seconds=0.2, _close_seconds=0.2):
        yield


@pytest.fixture
def database(transactional_db: None) -> str:
    """Where the database of the tests is."""
    if connection.vendor == "postgresql":
        return "postgres://{USER}@{HOST}:{PORT}/{NAME}".format_map(connection.settings_dict)
    return str(connection.settings_dict["NAME"])


def new_row(ledger: Ledger) -> UsageRecord:
    return UsageRecord(
        started_at=timezone.now(),
        worker_id=ledger.worker_id,
        agent_id=uuid.uuid4(),
        agent_name="coder",
        requested_model="coder",
    )


def step_of(row: UsageRecord, position: int = 1) -> UsageStep:
    return UsageStep(
        record_id=row.id, position=position, kind=StepKind.LLM, name="scripted-model", duration_ms=1, cost=0
    )


def ended(row: UsageRecord) -> UsageRecord:
    row.status, row.ended_at, row.duration_ms, row.cost = Status.OK, timezone.now(), 1, 0
    return row


def in_the_table(row: UsageRecord) -> Status | None:
    status = UsageRecord.objects.filter(pk=row.pk).values_list("status", flat=True).first()
    return None if status is None else Status(status)


async def found(look: Callable[[], T]) -> T:
    """Look into the database from a thread, which leaves no connection behind."""

    def look_and_leave() -> T:
        try:
            return look()
        finally:
            connection.close()

    return await asyncio.to_thread(look_and_leave)


async def looked_up(row: UsageRecord) -> Status | None:
    return await found(lambda: in_the_table(row))


@contextmanager
def held_up(ledger: Ledger) -> Iterator[None]:
    """Keep the writer's thread busy."""
    busy, free = threading.Event(), threading.Event()

    def take_long() -> None:
        busy.set()
        free.wait()

    ledger.post(take_long)
    assert busy.wait(60)
    try:
        yield
    finally:
        free.set()
