"""A request that was taken for lost, and was not, leaves nothing of that behind in the sums."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from agents.limits.turns import own_turn
from agents.models import DailyRollup, Status, UsageRecord, UsageRollup
from agents.usage.rollups import add_to_rollups, take_back_lost


@pytest.mark.django_db(transaction=True)
def test_a_request_taken_for_lost_leaves_no_tokens_and_no_cost_behind():
    record = UsageRecord(
        id=uuid.uuid4(),
        worker_id=uuid.uuid4(),
        agent_id=uuid.uuid4(),
        agent_name="coder",
        started_at=datetime.now(UTC),
        status=Status.LOST,
        streamed=False,
        prompt_tokens=9,
        cost=Decimal("0.000123"),
    )
    with own_turn() as cursor:
        add_to_rollups(cursor, [record])
        take_back_lost(record)
    for table in (UsageRollup, DailyRollup):
        row = table._default_manager.get()
        assert (row.requests, row.lost, row.prompt_tokens, row.cost) == (0, 0, 0, 0)
