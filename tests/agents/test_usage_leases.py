"""A lease is renewed however slow the writer is, and a process that was late itself declares no runs lost."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from unittest.mock import patch
from uuid import UUID, uuid4

import pytest
from django.db import OperationalError
from django.utils import timezone

from agents.models import Status, Worker
from agents.usage import workers
from agents.usage.failures import failures
from agents.usage.leases import Lease
from agents.usage.ledger import Ledger
from tests.agents.ledger_parts import database, found, held_up, in_the_table, ledger, locked, looked_up, new_row
from tests.live.asking import eventually

__all__ = ["database", "ledger"]  # fixtures


@pytest.fixture(autouse=True)
def short_leases() -> Iterator[None]:
    """Leases of a second and a half, renewed every tenth of a second."""
    lease = timedelta(seconds=1.5)
    with patch.multiple(workers, LEASE=lease, RENEW_SECONDS=0.1), patch("agents.usage.leases.RETRY_SECONDS", 0.05):
        yield


def expiry(worker_id: UUID) -> datetime:
    return Worker.objects.get(pk=worker_id).lease_expires_at


async def renewed(worker_id: UUID, *, times: int = 2) -> None:
    """Wait until a lease has been renewed."""
    for _ in range(times):
        before = await found(lambda: expiry(worker_id))
        await found(lambda before=before: eventually(lambda: expiry(worker_id) != before))  # type: ignore[misc]


def stranger(*, expired: bool) -> UUID:
    """Enter another process among the workers."""
    moment = timezone.now() + timedelta(hours=-1 if expired else 1)
    return Worker.objects.create(hostname="elsewhere", pid=1, lease_expires_at=moment).pk


async def test_it_is_renewed_while_the_writer_is_busy(ledger: Ledger):
    row = new_row(ledger)
    await ledger.open(row)
    with held_up(ledger):
        await renewed(ledger.worker_id)
        await found(workers.reap)  # as another process does
        assert await looked_up(row) == Status.RUNNING


async def test_it_is_renewed_after_the_database_was_locked_for_longer_than_it_lasts(ledger: Ledger, database: str):
    row = new_row(ledger)
    await ledger.open(row)
    with locked(database):
        await asyncio.sleep(2)  # longer than the lease
    await renewed(ledger.worker_id)
    assert await looked_up(row) == Status.RUNNING
    assert not ledger.has_stopped


@pytest.mark.parametrize("error", [OperationalError("locked"), TypeError("a bug")])
async def test_it_is_renewed_after_renewals_that_failed(ledger: Ledger, error: Exception):
    failing = threading.Semaphore(3)
    renew: Callable[[UUID], None] = workers.renew

    def fail_at_first(worker_id: UUID) -> None:
        if failing.acquire(blocking=False):
            raise error
        renew(worker_id)

    before = failures["lease"]
    with patch.object(workers, "renew", fail_at_first):
        await renewed(ledger.worker_id)
    assert failures["lease"] >= before + 3
    assert not ledger.has_stopped


async def test_runs_of_a_worker_whose_lease_expired_are_lost(ledger: Ledger):
    row = new_row(ledger)
    row.worker_id = await found(lambda: stranger(expired=True))
    await ledger.open(row)
    await found(lambda: eventually(lambda: in_the_table(row) == Status.LOST))


def test_a_process_that_was_late_itself_judges_nobody():
    clock = [100.0]
    with patch("agents.usage.leases.time.monotonic", lambda: clock[0]), patch.object(workers, "renew"):
        lease = Lease(uuid4(), lambda error: None)
        assert not lease.is_sound  # the others may have been locked out as long as it was not there
        clock[0] += 0.3
        assert lease._renew() and lease.is_sound
        clock[0] += 2  # the database was locked for everyone
        assert not lease.is_sound
        assert lease._renew() and not lease.is_sound
        clock[0] += 0.3
        assert lease.is_sound


async def test_a_thread_that_ends_by_itself_ends_the_process(ledger: Ledger):
    ended = threading.Event()
    ledger.on_end = ended.set
    with patch.object(workers, "renew", side_effect=SystemExit):
        assert await asyncio.to_thread(ended.wait, 60)
    assert ledger.has_stopped
