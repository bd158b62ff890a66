"""/api/usage: the requests themselves, and sums that are those of the rows and of the web admin's start page."""

import csv
import io
import uuid
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from agents.limits.turns import own_turn
from agents.models import Agent, ApiKey, Status, UsageRecord
from agents.usage.rollups import add_to_rollups
from tests.agents.admin_cast import request
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows() -> list[UsageRecord]:
    """Requests of two agents, of a key and without, of four days, some of which failed; all in the sums."""
    coder, writer = (Agent.objects.create(name=name) for name in ("coder", "writer"))
    alice, _ = ApiKey.objects.issue("alice")
    now = datetime.now(UTC)
    made = []
    for number in range(24):
        record = request(
            coder if number % 3 else writer,
            started_at=now - timedelta(hours=4 * number, minutes=20),
            status=Status.FAILED if number % 5 == 0 else Status.OK,
            api_key=alice if number % 2 else None,
            api_key_name="alice" if number % 2 else "",
            model="alpha" if number % 4 else "beta",
            prompt_tokens=100 + number,
            completion_tokens=number,
            cost=None if number % 7 == 0 else Decimal(number) / 1000,
            duration_ms=100 * number,
            end_user="ann" if number < 3 else "",
        )
        made.append(record)
    with own_turn() as cursor:
        add_to_rollups(cursor, made)
    return made


def sums(records: list[UsageRecord]) -> dict[str, Any]:
    """What the rows themselves add up to."""
    cost = sum((record.cost or Decimal(0) for record in records), Decimal(0))
    return {
        "requests": len(records),
        "failed": sum(record.status == Status.FAILED for record in records),
        "prompt_tokens": sum(record.prompt_tokens for record in records),
        "completion_tokens": sum(record.completion_tokens for record in records),
        "unpriced": sum(record.cost is None for record in records),
        "cost": cost,
    }


def told(figures: dict[str, Any]) -> dict[str, Any]:
    names = ("requests", "failed", "prompt_tokens", "completion_tokens", "unpriced")
    return {name: figures[name] for name in names} | {"cost": Decimal(figures["cost_usd"] or 0)}


def grouped(records: list[UsageRecord], by: Callable[[UsageRecord], Any]) -> dict[Any, dict[str, Any]]:
    parts = defaultdict(list)
    for record in records:
        parts[by(record)].append(record)
    return {name: sums(part) for name, part in parts.items()}


def test_the_rows_are_read_in_pages_the_latest_first(api: Caller, rows: list[UsageRecord]) -> None:
    path, read = "/api/usage?page_size=10", []
    while path:
        answer = api.get(path).json()
        read += answer["data"]
        path = answer["next"]

    assert [row["request_id"] for row in read] == [f"req_{record.id.hex}" for record in rows]


def test_rows_that_come_meanwhile_move_no_page(api: Caller, rows: list[UsageRecord]) -> None:
    first = api.get("/api/usage", page_size=10).json()
    request(Agent.objects.get(name="coder"), started_at=datetime.now(UTC) + timedelta(seconds=1))

    second = api.get(first["next"]).json()

    assert second["data"][0]["request_id"] == f"req_{rows[10].id.hex}"


def test_a_row_has_what_the_admins_export_has(api: Caller, rows: list[UsageRecord], admin_client: Client) -> None:
    export = admin_client.get("/admin/agents/usagerecord/export/csv/")
    text = b"".join(admin_stream(export)).decode()
    exported = list(csv.DictReader(io.StringIO(text)))

    shown = api.get("/api/usage").json()["data"]

    assert set(exported[0]) == set(shown[0]) - {"agent_id", "api_key_id"}
    for row, other in zip(shown, exported, strict=True):
        for name in ("request_id", "agent", "api_key", "status", "prompt_tokens", "end_user", "model", "duration_ms"):
            assert str(row[name]) == other[name]
        assert Decimal(row["cost_usd"] or -1) == Decimal(other["cost_usd"] or -1)


def admin_stream(response: Any) -> list[bytes]:
    from asgiref.sync import async_to_sync

    async def read() -> list[bytes]:
        return [piece async for piece in response.streaming_content]

    return async_to_sync(read)()


@pytest.mark.parametrize(
    ("query", "fits"),
    [
        ({"agent": "writer"}, lambda row: row.agent_name == "writer"),
        ({"key": "alice"}, lambda row: row.api_key_name == "alice"),
        ({"key": "none"}, lambda row: row.api_key_name == ""),
        ({"model": "beta"}, lambda row: row.model == "beta"),
        ({"status": "failed"}, lambda row: row.status == "failed"),
        ({"end_user": "ann"}, lambda row: row.end_user == "ann"),
        ({"agent": "coder", "status": "ok"}, lambda row: row.agent_name == "coder" and row.status == "ok"),
        ({"period": "day"}, lambda row: row.started_at > datetime.now(UTC) - timedelta(hours=24)),
    ],
)
def test_rows_are_filtered(
    api: Caller, rows: list[UsageRecord], query: dict[str, str], fits: Callable[[UsageRecord], bool]
) -> None:
    wanted = [f"req_{record.id.hex}" for record in rows if fits(record)]

    found = api.get("/api/usage", **query).json()["data"]

    assert wanted and [row["request_id"] for row in found] == wanted


def test_rows_of_days_are_those_of_utc_days(api: Caller, rows: list[UsageRecord]) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()

    found = api.get("/api/usage", **{"from": str(yesterday), "to": str(yesterday)}).json()["data"]

    wanted = [f"req_{record.id.hex}" for record in rows if record.started_at.date() == yesterday]
    assert [row["request_id"] for row in found] == wanted


def test_what_is_deleted_is_asked_for_by_its_id(api: Caller, rows: list[UsageRecord]) -> None:
    agent_id = Agent.objects.get(name="writer").pk
    Agent.objects.get(name="writer").delete()

    found = api.get("/api/usage", agent=str(agent_id)).json()["data"]

    assert {row["agent"] for row in found} == {"writer"}
    assert error(api.get("/api/usage", agent="writer"), 400)["param"] == "agent"
    assert api.get("/api/usage/summary", agent=str(agent_id), period="7d").json()["total"]["requests"] == len(found)


def test_the_summary_is_the_sum_of_the_rows(api: Caller, rows: list[UsageRecord]) -> None:
    found = api.get("/api/usage/summary", period="7d").json()

    assert told(found["total"]) == sums(rows)
    assert set(found) == {"period", "total", "before"}
    assert found["total"]["duration_ms"]["p50"] in range(800, 1800)
    assert found["before"]["requests"] == 0 and found["before"]["duration_ms"] == {"p50": None, "p95": None}
    narrowed = api.get("/api/usage/summary", period="7d", agent="coder", key="alice", model="alpha").json()
    fit = [r for r in rows if (r.agent_name, r.api_key_name, r.model) == ("coder", "alice", "alpha")]
    assert fit and told(narrowed["total"]) == sums(fit)


def test_the_summary_is_what_the_start_page_shows(api: Caller, rows: list[UsageRecord], admin_client: Client) -> None:
    cards = {card["title"]: card for card in admin_client.get("/admin/?period=7d").context["dashboard"]["cards"]}

    total = api.get("/api/usage/summary", period="7d").json()["total"]

    assert cards["Requests"]["value"] == str(total["requests"])
    assert cards["Tokens"]["note"] == f"{total['prompt_tokens']:,} in, {total['completion_tokens']} out"
    assert cards["Error rate"]["note"] == f"{total['failed'] + total['lost']} of {total['requests']}"


@pytest.mark.parametrize(
    ("path", "name", "by"),
    [
        ("by-agent", lambda part: (part["agent_id"], part["agent"]), lambda row: (str(row.agent_id), row.agent_name)),
        ("by-key", lambda part: part["api_key"], lambda row: row.api_key_name),
        ("by-model", lambda part: (part["provider"], part["model"]), lambda row: (row.provider, row.model)),
    ],
)
def test_the_parts_are_the_sums_of_their_rows(
    api: Caller, rows: list[UsageRecord], path: str, name: Any, by: Callable[[UsageRecord], Any]
) -> None:
    parts = api.get(f"/api/usage/{path}", period="7d").json()["data"]

    assert {name(part): told(part) for part in parts} == grouped(rows, by)
    assert [part["requests"] for part in parts] == sorted((part["requests"] for part in parts), reverse=True)


def test_the_days_are_the_sums_of_their_rows(api: Caller, rows: list[UsageRecord]) -> None:
    days = api.get("/api/usage/daily", period="7d").json()["data"]

    today = datetime.now(UTC).date()
    assert [day["date"] for day in days] == [str(today - timedelta(days=6 - n)) for n in range(7)]
    found = {day["date"]: told(day) for day in days if day["requests"]}
    assert found == grouped(rows, lambda row: str(row.started_at.date()))
    latest = str(rows[0].started_at.date())  # just after midnight that is yesterday
    one = api.get("/api/usage/daily", **{"from": latest, "to": latest}).json()["data"]
    assert [told(day) for day in one] == [found[latest]]
    assert len(api.get("/api/usage/daily").json()["data"]) == 30


def test_nothing_used_is_zero_and_unknown_is_null(api: Caller) -> None:
    total = api.get("/api/usage/summary").json()["total"]
    assert (total["requests"], total["cost_usd"]) == (0, "0")
    record = request(Agent.objects.create(name="coder"), started_at=datetime.now(UTC), cost=None)
    with own_turn() as cursor:
        add_to_rollups(cursor, [record])

    total = api.get("/api/usage/summary").json()["total"]

    assert (total["requests"], total["cost_usd"], total["unpriced"]) == (1, None, 1)
    assert api.get("/api/usage").json()["data"][0]["cost_usd"] is None


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"period": "year"}, "period"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "to"),
        ({"from": "2020-01-01", "to": "2026-01-01"}, "to"),
        ({"from": "0001-01-01", "to": "0001-01-02"}, "to"),
        ({"to": "9999-12-31"}, "to"),
        ({"agent": "nobody"}, "agent"),
        ({"key": "nobody"}, "key"),
        ({"status": "perhaps"}, "status"),
        ({"cursor": "not-base64"}, "cursor"),
        ({"cursor": "cD1ub25zZW5zZQ=="}, None),  # p=nonsense
        ({"model": "a\x00b"}, "model"),
    ],
)
def test_what_is_wrong_is_named(api: Caller, rows: list[UsageRecord], query: dict[str, str], param: str | None) -> None:
    answer = api.get("/api/usage", **query)

    assert error(answer, 400)["param"] == param


def test_an_unknown_agent_id_has_used_nothing(api: Caller) -> None:
    assert api.get("/api/usage", agent=str(uuid.uuid4())).json() == {"data": [], "next": None}


def test_a_page_takes_the_same_number_of_queries_however_long_it_is(
    api: Caller, rows: list[UsageRecord], django_assert_max_num_queries: Any
) -> None:
    with django_assert_max_num_queries(8):
        assert len(api.get("/api/usage").json()["data"]) == 24
    with django_assert_max_num_queries(14):
        api.get("/api/usage/by-agent", period="30d")
