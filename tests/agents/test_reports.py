"""The report of a period says what adding up its requests one by one says, to the token and to the picodollar."""

import random
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from agents.limits.turns import own_turn
from agents.models import Agent, Status, UsageRecord
from agents.models.rollup import HISTOGRAM_BOUNDS
from agents.usage.percentiles import about
from agents.usage.periods import DAY, HOUR, Lately, Period, Stretch
from agents.usage.rankings import end_users, failing, slowest
from agents.usage.reports import Figures, Share, report
from agents.usage.rollups import add_to_rollups, bucket
from tests.agents.admin_cast import NOON

NOW = NOON + timedelta(minutes=7)
AGENTS = [(uuid.UUID(int=number), name) for number, name in enumerate(["coder", "writer", "tutor"])]
KEYS = [(None, ""), (uuid.UUID(int=8), "alice"), (uuid.UUID(int=9), "bob")]
NUMBERS = ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens", "llm_calls", "tool_calls")


def fill(count: int = 300) -> list[UsageRecord]:
    """Requests of the last 200 days, most of them of the last hours, with every status and with unknown prices."""
    chance = random.Random(5)
    records = [one(chance) for _ in range(count)]
    UsageRecord.objects.bulk_create(records)
    with own_turn() as cursor:
        add_to_rollups(cursor, records)
    return records


def one(chance: random.Random) -> UsageRecord:
    (agent_id, agent_name), (key_id, key_name) = chance.choice(AGENTS), chance.choice(KEYS)
    duration = int(chance.lognormvariate(7, 2))
    ago = timedelta(seconds=200 * 86400 * chance.random() ** 6)
    return UsageRecord(
        started_at=NOW - ago,
        worker_id=uuid.UUID(int=1),
        agent_id=agent_id,
        agent_name=agent_name,
        api_key_id=key_id,
        api_key_name=key_name,
        status=chance.choice([Status.OK, Status.OK, Status.FAILED, Status.CANCELLED, Status.LOST]),
        streamed=chance.random() < 0.5,
        provider="acme",
        model=chance.choice(["alpha", "beta"]),
        cost=chance.choice([None, Decimal(0), Decimal(chance.randrange(10**13)).scaleb(-12)]),
        first_token_ms=duration // 3,
        duration_ms=duration,
        end_user=chance.choice(["", "mia", "noah"]),
        **{name: chance.randrange(5000) for name in NUMBERS},
    )


def added_up(records: Iterable[UsageRecord]) -> dict[str, Any]:
    """What the requests come to, added up one by one and in no other way than this."""
    sums: dict[str, Any] = defaultdict(int)
    for record in records:
        sums["requests"] += 1
        sums["streamed"] += record.streamed
        for status in (Status.FAILED, Status.CANCELLED, Status.LOST):
            sums[status.value] += record.status == status
        for name in NUMBERS:
            sums[name] += getattr(record, name)
        sums["cost"] += record.cost or Decimal(0)
        # A request that was lost before it could call a model has no cost to know.
        sums["unpriced"] += record.cost is None and (record.status != Status.LOST or record.prompt_tokens > 0)
    return dict(sums)


def reported(figures: Figures) -> dict[str, Any]:
    names = ("requests", "streamed", "failed", "cancelled", "lost", *NUMBERS, "cost", "unpriced")
    return {name: getattr(figures, name) for name in names} if figures.requests else {}


def within(records: Iterable[UsageRecord], stretch: Stretch) -> list[UsageRecord]:
    return [record for record in records if stretch.start <= record.started_at < stretch.end]


PERIODS = [
    *[pytest.param(Period.lately(lately, NOW), id=lately.code) for lately in Lately],
    pytest.param(Period.between(date(2026, 11, 3), date(2026, 11, 20), NOW), id="days that are over"),
    pytest.param(Period.between(date(2026, 11, 21), date(2026, 11, 22), NOW), id="yesterday and today"),
    pytest.param(Period.between(date(2026, 11, 22), date(2026, 11, 22), NOW), id="today"),
]


@pytest.mark.django_db
@pytest.mark.parametrize("period", PERIODS)
def test_a_report_is_the_sum_of_its_requests(period: Period) -> None:
    records = fill()
    found = report(period, {})
    ours = within(records, period.stretch)
    assert len(ours) > 10

    assert reported(found.total) == added_up(ours)
    assert reported(found.before) == added_up(within(records, period.before))
    for shares, key in (
        (found.agents, lambda record: record.agent_id),
        (found.keys, lambda record: record.api_key_id),
        (found.models, lambda record: (record.provider, record.model)),
    ):
        assert by_key(shares) == parts(ours, key)
    for start, figures in found.points:
        assert reported(figures) == added_up(within(ours, Stretch(start, start + period.step)))
    assert sum(figures.requests for _, figures in found.points) == len(ours)


def by_key(shares: list[Share]) -> dict[Any, dict[str, Any]]:
    return {share.key: reported(share.figures) for share in shares}


def parts(records: list[UsageRecord], key: Callable[[UsageRecord], Any]) -> dict[Any, dict[str, Any]]:
    return {value: added_up(r for r in records if key(r) == value) for value in {key(r) for r in records}}


@pytest.mark.django_db
@pytest.mark.parametrize("scope", [{"agent_id": AGENTS[1][0]}, {"api_key_id": None}, {"model": "beta"}])
def test_a_report_can_be_narrowed_to_an_agent_a_key_or_a_model(scope: dict[str, Any]) -> None:
    records = fill()
    period = Period.lately(Lately.DAYS_30, NOW)
    ours = [
        record
        for record in within(records, period.stretch)
        if all(getattr(record, name) == value for name, value in scope.items())
    ]
    users = {name: {r for r in ours if r.end_user == name} for name in ("mia", "noah")}

    assert reported(report(period, scope).total) == added_up(ours)
    assert {share.key: share.figures.requests for share in end_users(period, scope).shares} == {
        name: len(theirs) for name, theirs in users.items()
    }


@pytest.mark.django_db
@pytest.mark.parametrize("period", PERIODS)
def test_end_users_are_ranked_by_what_they_asked(period: Period) -> None:
    ours = within(fill(), period.stretch)
    ranked = end_users(period, {})

    assert ranked.of_latest is None
    expected = parts([record for record in ours if record.end_user], lambda record: record.end_user)
    assert len(ranked.shares) == len(expected) == 2
    for share in ranked.shares:
        used, sums = share.figures, expected[share.key]
        assert (used.requests, used.failed, used.lost) == (sums["requests"], sums["failed"], sums["lost"])
        assert (used.prompt_tokens, used.completion_tokens) == (sums["prompt_tokens"], sums["completion_tokens"])
        assert (used.cost, used.unpriced) == (sums["cost"], sums["unpriced"])
    assert [share.figures.requests for share in ranked.shares] == sorted(
        (share.figures.requests for share in ranked.shares), reverse=True
    )


@pytest.mark.django_db
def test_the_slowest_are_the_same_however_many_there_are() -> None:
    period = Period.lately(Lately.DAYS_30, NOW)
    ours = within(fill(), period.stretch)
    expected = sorted((record.duration_ms or 0 for record in ours), reverse=True)[:5]

    for requests in (len(ours), 10**6):
        assert [record.duration_ms for record in slowest(period, {}, requests)] == expected


@pytest.mark.django_db
def test_the_latest_failures_come_first() -> None:
    period = Period.lately(Lately.DAYS_7, NOW)
    failed = [record for record in within(fill(), period.stretch) if record.status == Status.FAILED]

    latest = sorted(failed, key=lambda record: record.started_at, reverse=True)[:5]
    assert [record.pk for record in failing(period, {})] == [record.pk for record in latest]


@pytest.mark.django_db
def test_an_agent_that_was_renamed_is_one_agent_under_its_commoner_name() -> None:
    agent = Agent.objects.create(name="new")
    for name, count in (("old", 2), ("new", 3)):
        for _ in range(count):
            with own_turn() as cursor:
                add_to_rollups(
                    cursor, [UsageRecord(started_at=NOON, agent_id=agent.id, agent_name=name, status=Status.OK)]
                )

    [share] = report(Period.lately(Lately.A_DAY, NOW), {}).agents
    assert (share.name, share.figures.requests) == ("new", 5)


class TestPeriods:
    def test_the_periods_of_days_begin_at_midnight_and_end_with_today(self):
        period = Period.lately(Lately.DAYS_7, NOW)
        assert period.stretch == Stretch(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC))
        assert (len(period.steps), period.step) == (7, DAY)

    def test_what_is_under_way_is_compared_with_as_much_time(self):
        period = Period.lately(Lately.DAYS_7, NOW)
        assert period.before == Stretch(datetime(2026, 11, 9, tzinfo=UTC), datetime(2026, 11, 15, 12, 0, tzinfo=UTC))

    def test_a_period_that_is_over_is_compared_with_the_one_before(self):
        period = Period.between(date(2026, 11, 1), date(2026, 11, 2), NOW)
        assert period.before.end == period.stretch.start
        assert period.before.end - period.before.start == period.stretch.end - period.stretch.start == 2 * DAY
        assert (period.step, len(period.steps)) == (HOUR, 48)

    @pytest.mark.parametrize("lately", Lately)
    @pytest.mark.parametrize("minutes", [0, 1, 14, 15, 59])
    def test_no_request_of_now_is_left_out(self, lately: Lately, minutes: int):
        now = NOON + timedelta(minutes=minutes)
        stretch = Period.lately(lately, now).stretch
        assert stretch.start <= now - min(lately.length, DAY) < now < stretch.end


class TestPercentiles:
    def test_nothing_has_none(self):
        assert about([0] * 18, 0.5) is None

    def test_they_are_right_to_within_their_bucket(self):
        chance = random.Random(3)
        durations = sorted(int(chance.lognormvariate(7, 1.5)) for _ in range(5000))
        names = [bucket(bound) for bound in HISTOGRAM_BOUNDS] + ["over"]
        histogram = [sum(bucket(duration) == name for duration in durations) for name in names]
        for share in (0.5, 0.95):
            real = durations[int(share * len(durations))]
            edges = next((low, high) for low, high in pairwise((0, *HISTOGRAM_BOUNDS)) if low < real <= high)
            read = about(histogram, share)
            assert read is not None
            assert edges[0] <= read <= edges[1]
            assert read == pytest.approx(real, rel=0.15)

    def test_beyond_the_last_bound_is_the_last_bound(self):
        assert about([0] * 17 + [3], 0.5) == 300_000
