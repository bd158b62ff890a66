"""A filtered list of requests as a file: complete, exact, streamed, and harmless to spreadsheets."""

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient

from agents.admin import exports
from agents.models import Agent, Status, UsageRecord
from tests.agents.admin_cast import NOON, request

pytestmark = pytest.mark.django_db(transaction=True)
EXPORT = "/admin/agents/usagerecord/export/"


@pytest.fixture
async def client(async_client: AsyncClient, admin_user: User) -> AsyncClient:
    await async_client.aforce_login(admin_user)
    return async_client


def make(count: int = 1, **fields: Any) -> list[UsageRecord]:
    agent, _ = Agent.objects.get_or_create(name="coder")
    return [request(agent, minutes, **fields) for minutes in range(count)]


async def pieces(client: AsyncClient, form: str, **query: str) -> AsyncIterator[str]:
    response = await client.get(f"{EXPORT}{form}/", query)
    assert response.status_code == 200
    async for piece in response.streaming_content:  # type: ignore[attr-defined]
        yield piece.decode()


async def exported(client: AsyncClient, form: str = "json", **query: str) -> list[dict[str, Any]]:
    text = "".join([piece async for piece in pieces(client, form, **query)])
    rows: list[dict[str, Any]] = json.loads(text) if form == "json" else list(csv.DictReader(io.StringIO(text)))
    return rows


@pytest.mark.parametrize("form", ["csv", "json"])
async def test_every_request_is_in_it_once_the_latest_first(
    client: AsyncClient, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "CHUNK", 3)
    records = await sync_to_async(make)(7, started_at=NOON)  # one moment, so that chunks end in the midst of it
    earlier = await sync_to_async(make)(1, started_at=NOON - timedelta(days=1))

    rows = await exported(client, form)

    ids = [f"req_{record.id.hex}" for record in sorted(records, key=lambda record: record.id, reverse=True)]
    assert [row["request_id"] for row in rows] == [*ids, f"req_{earlier[0].id.hex}"]


async def test_filters_and_search_hold(client: AsyncClient) -> None:
    [fine] = await sync_to_async(make)(end_user="mia")
    [failed] = await sync_to_async(make)(status=Status.FAILED, error_code="provider_timeout")

    [row] = await exported(client, status__exact="failed")
    assert (row["request_id"], row["error_code"]) == (f"req_{failed.id.hex}", "provider_timeout")
    [row] = await exported(client, q="mia")
    assert row["request_id"] == f"req_{fine.id.hex}"
    assert await exported(client, status__exact="lost") == []
    assert await exported(client, "csv", status__exact="lost") == []


async def test_numbers_are_exact_and_the_unknown_is_empty(client: AsyncClient) -> None:
    await sync_to_async(make)(cost=Decimal("0.000000000001"), prompt_tokens=12_345_678_901)
    await sync_to_async(make)(cost=None, started_at=NOON - timedelta(hours=1))

    priced, unpriced = await exported(client)
    assert (priced["cost_usd"], priced["prompt_tokens"]) == ("0.000000000001", 12_345_678_901)
    assert priced["started_at"] == "2026-11-22T12:00:00+00:00"
    assert (unpriced["cost_usd"], unpriced["ended_at"], unpriced["parent_request_id"]) == (None, None, None)
    priced, unpriced = await exported(client, "csv")
    assert (priced["cost_usd"], priced["prompt_tokens"]) == ("0.000000000001", "12345678901")
    assert (unpriced["cost_usd"], unpriced["ended_at"]) == ("", "")


@pytest.mark.parametrize(
    "text", ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(1)", "\t=1", "\r=1", "\n=1", "  =1", '=HYPERLINK("http://x")']
)
async def test_no_cell_is_a_formula(client: AsyncClient, text: str) -> None:
    await sync_to_async(make)(end_user=text, user_agent=text)

    [row] = await exported(client, "csv")
    assert row["end_user"] == f"'{text}"
    assert row["user_agent"] == f"'{text}"
    [row] = await exported(client)
    assert row["end_user"] == text


async def test_commas_quotes_and_lines_stay_in_their_cell(client: AsyncClient) -> None:
    text = 'a, "b"\nc; ü'
    await sync_to_async(make)(end_user=text)

    [row] = await exported(client, "csv")
    assert row["end_user"] == text
    assert list(row) == list(exports.COLUMNS)


async def test_it_is_sent_while_it_is_read(client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "CHUNK", 2)
    await sync_to_async(make)(9)
    answer = pieces(client, "csv")

    await anext(answer)
    await anext(answer)
    oldest = await sync_to_async(UsageRecord.objects.order_by("started_at").first)()
    assert oldest is not None
    await UsageRecord.objects.filter(pk=oldest.pk).aupdate(end_user="late")
    rest = [piece async for piece in answer]

    assert len(rest) == 4
    assert ",late," in rest[-1]


async def test_it_comes_as_a_file(client: AsyncClient) -> None:
    for form, kind in (("csv", "text/csv; charset=utf-8"), ("json", "application/json")):
        response = await client.get(f"{EXPORT}{form}/")
        assert response["Content-Type"] == kind
        assert response["Content-Disposition"].startswith('attachment; filename="openfang-requests-')
        assert response["Content-Disposition"].endswith(f'.{form}"')


async def test_there_is_no_other_form(client: AsyncClient) -> None:
    assert (await client.get(f"{EXPORT}xlsx/")).status_code == 404


async def test_it_is_for_those_who_may_see_requests(async_client: AsyncClient) -> None:
    await sync_to_async(make)()
    clerk = await sync_to_async(User.objects.create_user)("clerk", is_staff=True)
    assert (await async_client.get(f"{EXPORT}csv/")).status_code == 302
    await async_client.aforce_login(clerk)
    assert (await async_client.get(f"{EXPORT}csv/")).status_code == 403


async def test_the_list_links_to_its_export_with_its_filters(client: AsyncClient) -> None:
    page = await client.get("/admin/agents/usagerecord/", {"status__exact": "failed", "q": "mia"})
    assert f'href="{EXPORT}csv/?q=mia&amp;status__exact=failed"' in page.content.decode()
