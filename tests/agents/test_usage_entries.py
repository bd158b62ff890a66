"""A batch of rows that end: written together, whatever has become of some of them meanwhile."""

import uuid
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from django.db.models import Sum
from django.utils import timezone

from agents.models import Status, UsageRecord, UsageRollup, UsageStep
from agents.usage import workers
from agents.usage.entries import Entry, commit_entries

AGENT = uuid.uuid4()

pytestmark = pytest.mark.django_db


def opened(count: int, worker_id: uuid.UUID) -> list[UsageRecord]:
    """Enter requests that begin."""
    rows = [
        UsageRecord(started_at=timezone.now(), worker_id=worker_id, agent_id=AGENT, agent_name="coder")
        for _ in range(count)
    ]
    commit_entries([Entry(row, Mock()) for row in rows])
    return rows


def close(rows: Sequence[UsageRecord]) -> None:
    """Enter the same requests as they end, each with a step."""
    for row in rows:
        row.status, row.prompt_tokens, row.duration_ms = Status.OK, 10, 5
    step = {"position": 1, "kind": "llm", "name": "model", "started_ms": 0, "duration_ms": 5}
    commit_entries([Entry(row, Mock(), [UsageStep(record_id=row.id, **step)]) for row in rows])


def summed() -> dict[str, int]:
    return UsageRollup.objects.aggregate(requests=Sum("requests"), lost=Sum("lost"), tokens=Sum("prompt_tokens"))


@pytest.mark.parametrize("count", [1, 5])
def test_all_are_closed_with_their_steps_and_sums(count: int):
    rows = opened(count, workers.register())
    close(rows)
    assert UsageRecord.objects.filter(status=Status.OK, prompt_tokens=10).count() == count
    assert UsageStep.objects.count() == count
    assert summed() == {"requests": count, "lost": 0, "tokens": 10 * count}


def test_one_that_was_never_opened_and_one_that_was_lost_hold_up_no_other():
    """The one was never there; the other was taken for a dead process's, which it was not."""
    rows = opened(2, workers.register())
    [lost] = opened(1, uuid.uuid4())
    assert workers.mark_lost() == 1
    assert summed() == {"requests": 1, "lost": 1, "tokens": 0}
    never = UsageRecord(started_at=timezone.now(), worker_id=uuid.uuid4(), agent_id=AGENT, agent_name="coder")
    close([rows[0], never, lost, rows[1]])
    assert set(UsageRecord.objects.values_list("id", "status")) == {(row.id, Status.OK.value) for row in (*rows, lost)}
    assert set(UsageStep.objects.values_list("record_id", flat=True)) == {row.id for row in (*rows, lost)}
    assert summed() == {"requests": 3, "lost": 0, "tokens": 30}
