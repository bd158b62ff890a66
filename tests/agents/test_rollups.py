"""Rollups are sums of the rows, to the token and to the picodollar, whatever has become of the requests."""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from agents.limits.turns import own_turn
from agents.models import Status, UsageRecord, UsageRollup
from agents.models.rollup import HISTOGRAM_BOUNDS, HISTOGRAM_BUCKETS
from agents.usage.entries import Entry, commit_entries
from agents.usage.rollups import add_to_rollups, bucket, quarter_hour
from agents.usage.workers import mark_lost, register
from tests.live import Live
from tests.live.asking import ask, closed_row, eventually, read_until, request_id, streaming
from tests.upstream import Upstream, Usage, calls, cuts, fails, says, stalls

NOBODY_WAITS: Any = None

SUMS = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "llm_calls",
    "tool_calls",
    "streamed",
)
SUMS_OF_SUMS = ", ".join(f"sum({name}) AS {name}" for name in SUMS)
SUMS_OF_ROWS = SUMS_OF_SUMS.replace("sum(streamed)", "count(*) FILTER (WHERE streamed)")
ROWS_BY_AGENT_AND_MODEL = f"""
    SELECT agent_name, provider, model, count(*) AS requests, {SUMS_OF_ROWS},
        count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'lost') AS lost,
        count(*) FILTER (WHERE status = 'cancelled') AS cancelled,
        count(*) FILTER (WHERE cost IS NULL) AS unpriced,
        count(duration_ms) AS durations, count(first_token_ms) AS first_tokens
    FROM agents_usagerecord GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def buckets(metric: str) -> str:
    return " + ".join(f"{metric}_{name}" for name in HISTOGRAM_BUCKETS)


ROLLUPS_BY_AGENT_AND_MODEL = f"""
    SELECT agent_name, provider, model, sum(requests) AS requests, {SUMS_OF_SUMS},
        sum(failed) AS failed, sum(cancelled) AS cancelled, sum(lost) AS lost, sum(unpriced) AS unpriced,
        sum({buckets("duration")}) AS durations, sum({buckets("first_token")}) AS first_tokens
    FROM agents_usagerollup GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""


def test_rollups_are_the_sums_of_the_rows(live: Live, upstream: Upstream):
    usage = Usage(prompt_tokens=1001, completion_tokens=77, cached_tokens=333, reasoning_tokens=13)
    tools = [{"type": "function", "function": {"name": "clock"}}]
    upstream.turns(says("Hello", usage=usage), says("Hello", usage=usage), says("Hello", usage=None), calls("clock"))
    ask(live)
    ask(live, stream=True)
    ask(live)
    ask(live, stream=True, tools=tools)
    upstream.turns(fails(400), fails(429, headers={"retry-after": "0"}), says("Hello"), cuts("One two"))
    ask(live)
    ask(live)
    ask(live, stream=True)
    upstream.turns(fails(401), says("Hello", usage=usage), says("Hello", usage=usage))
    ask(live, "understudy")
    ask(live, "blind")
    upstream.turns(stalls("One two"))
    with streaming(live) as response:
        read_until(response.iter_lines(), "two")
    closed_row(live, f"id = '{request_id(response)}'")
    # Other tests have asked the same server: what some of them left behind may just be ending.
    eventually(lambda: not live.usage("status = 'running'"))
    rows = live.rows(ROWS_BY_AGENT_AND_MODEL)
    sums = {(row["agent_name"], row["model"]): row for row in rows}
    assert sums["coder", "scripted-model"]["requests"] >= 8
    assert sums["coder", "scripted-model"]["failed"] >= 2
    assert sums["coder", "scripted-model"]["cancelled"] >= 1
    assert sums["blind", "blind-model"]["unpriced"] >= 1
    assert sums["understudy", "second-model"]["unpriced"] >= 1
    expected = [row | {"cost": row["cost"] or 0} for row in rows]  # a sum of unknown costs is nothing known
    assert live.rows(ROLLUPS_BY_AGENT_AND_MODEL) == expected


@pytest.mark.django_db
class TestLost:
    """Rows of processes that are gone, and of one that was taken for gone."""

    def opened(self, **fields: object) -> UsageRecord:
        row = UsageRecord(
            started_at=datetime(2026, 11, 22, 14, 29, tzinfo=UTC),
            worker_id=uuid.uuid4(),
            agent_id=uuid.UUID(int=1),
            agent_name="coder",
            requested_model="coder",
            **fields,
        )
        UsageRecord.objects.bulk_create([row])
        return row

    def close(self, row: UsageRecord) -> None:
        row.status, row.provider, row.model = Status.OK, "scripted", "scripted-model"
        row.prompt_tokens, row.completion_tokens, row.cost, row.llm_calls = 100, 7, Decimal("0.000027"), 1
        row.duration_ms, row.first_token_ms = 70, 40
        commit_entries([Entry(row, NOBODY_WAITS, steps=[])])

    def test_a_lost_request_counts_as_lost(self):
        row = self.opened()
        assert mark_lost() == 1
        row.refresh_from_db()
        assert (row.status, row.error_code) == (Status.LOST, "server_lost")
        assert row.ended_at is not None
        rollup = UsageRollup.objects.get()
        assert (rollup.requests, rollup.lost, rollup.unpriced, rollup.model) == (1, 1, 0, "")

    def test_it_is_lost_once(self):
        self.opened()
        assert (mark_lost(), mark_lost()) == (1, 0)
        assert UsageRollup.objects.get().lost == 1

    def test_a_request_that_was_given_up_too_early_counts_as_what_it_became(self):
        row = self.opened()
        mark_lost()
        self.close(row)
        row.refresh_from_db()
        assert (row.status, row.cost) == (Status.OK, Decimal("0.000027"))
        assert not UsageRollup.objects.filter(lost__gt=0).exists()
        totals = UsageRollup.objects.filter(requests__gt=0).get()
        assert (totals.model, totals.requests, totals.prompt_tokens, totals.cost) == (
            "scripted-model",
            1,
            100,
            Decimal("0.000027"),
        )

    def test_a_row_that_is_closed_is_not_closed_again(self):
        row = self.opened()
        self.close(row)
        self.close(row)
        assert UsageRollup.objects.get().requests == 1
        assert mark_lost() == 0

    def test_rows_of_a_process_that_lives_are_left_alone(self):
        worker_id = register()
        UsageRecord.objects.filter(pk=self.opened().pk).update(worker_id=worker_id)
        assert mark_lost() == 0


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, "le_50"), (50, "le_50"), (51, "le_100"), (300_000, "le_300000"), (300_001, "over"), (10**9, "over")],
)
def test_a_duration_falls_in_one_bucket(milliseconds: int, expected: str):
    assert bucket(milliseconds) == expected


def test_each_bound_has_its_bucket():
    assert [bucket(bound) for bound in HISTOGRAM_BOUNDS] == list(HISTOGRAM_BUCKETS[:-1])


@pytest.mark.parametrize(
    ("moment", "start"),
    [("14:00:00", "14:00"), ("14:14:59.999", "14:00"), ("14:15:00", "14:15"), ("23:59:59", "23:45")],
)
def test_a_request_counts_for_the_quarter_hour_it_began_in(moment: str, start: str):
    assert quarter_hour(datetime.fromisoformat(f"2026-11-22T{moment}+00:00")) == datetime.fromisoformat(
        f"2026-11-22T{start}:00+00:00"
    )


def test_quarter_hours_are_those_of_utc():
    in_kathmandu = datetime.fromisoformat("2026-11-22T20:20:00+05:45")
    assert quarter_hour(in_kathmandu) == datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
    assert quarter_hour(in_kathmandu).utcoffset() == timedelta(0)


@pytest.mark.django_db
def test_sums_of_costs_are_exact():
    row = UsageRecord(
        started_at=datetime(2026, 11, 22, tzinfo=UTC),
        worker_id=uuid.uuid4(),
        agent_id=uuid.uuid4(),
        agent_name="coder",
        status=Status.OK,
        cost=Decimal("0.000000000001"),
    )
    with own_turn() as cursor:
        add_to_rollups(cursor, [row] * 1000)
        add_to_rollups(cursor, [row])
    assert UsageRollup.objects.get().cost == Decimal("0.000000001001")
    with connection.cursor() as cursor:
        cursor.execute("SELECT cost FROM agents_usagerollup")
        assert cursor.fetchone() == (1001,)
