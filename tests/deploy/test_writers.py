"""Eight writers of usage at once, to the same sums and in different orders."""

import asyncio
import random
import uuid
from datetime import UTC, datetime

import pytest
from django.db import connection, connections
from django.db.models import Sum

from agents.models import DailyRollup, EndUserDay, Status, UsageRecord, UsageRollup
from agents.usage.ledger import Ledger

WRITERS, REQUESTS = 8, 40
AGENTS = [uuid.UUID(int=number) for number in range(1, 6)]
STARTED = datetime(2026, 3, 1, 12, tzinfo=UTC)

pytestmark = pytest.mark.django_db(transaction=True)


async def write(ledger: Ledger, number: int) -> None:
    """Open and close requests as fast as the ledger takes them, of every agent in an order of this writer's own."""
    order = random.Random(number)

    async def request() -> None:
        agent = order.choice(AGENTS)
        row = UsageRecord(
            started_at=STARTED,
            worker_id=ledger.worker_id,
            agent_id=agent,
            agent_name=str(agent),
            endpoint="/v1/chat/completions",
            requested_model="coder",
            end_user=f"user-{order.randrange(5)}",
        )
        await ledger.open(row)
        row.status, row.prompt_tokens, row.duration_ms = Status.OK, 10, 5
        await ledger.close(row, [])

    await asyncio.gather(*(request() for _ in range(REQUESTS)))


async def test_no_row_is_lost_and_the_sums_are_exact(caplog, monkeypatch):
    """A ledger has a thread and a connection of its own, as a process has."""
    if connection.vendor == "postgresql":  # the pool of a process is meant for one ledger
        await asyncio.to_thread(connection.close_pool)  # type: ignore[attr-defined]
        monkeypatch.setitem(connections.settings["default"]["OPTIONS"], "pool", None)
    ledgers = [Ledger(open_seconds=60, close_seconds=60) for _ in range(WRITERS)]
    for ledger in ledgers:
        await asyncio.to_thread(ledger.start)
    await asyncio.gather(*(write(ledger, number) for number, ledger in enumerate(ledgers)))
    for ledger in ledgers:
        await asyncio.to_thread(ledger.stop)
    assert not [record.getMessage() for record in caplog.records if "could not be written" in record.getMessage()]
    await asyncio.to_thread(check)


def check() -> None:
    total = WRITERS * REQUESTS
    assert UsageRecord.objects.filter(status=Status.OK).count() == UsageRecord.objects.count() == total
    for table in (UsageRollup, DailyRollup, EndUserDay):
        sums = table._default_manager.aggregate(requests=Sum("requests"), tokens=Sum("prompt_tokens"))
        assert sums == {"requests": total, "tokens": total * 10}
    connection.close()  # this thread outlives the database
