"""/api/budgets: set for a key, an agent or the server, with what is spent and reserved of them now."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.utils import timezone

from agents.models import Agent, ApiKey, Budget, BudgetPeriod, Period
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def owners() -> None:
    Agent.objects.create(name="coder")
    ApiKey.objects.issue("alice")


def month() -> datetime:
    return Period.MONTH.start(timezone.now())


def written(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def test_a_budget_tells_how_far_it_is(api: Caller) -> None:
    made = api.post("/api/budgets", {"api_key": "alice", "limit": "20.50"})

    assert made.status_code == 201
    budget = Budget.objects.get()
    assert (budget.limit, budget.api_key) == (20_500_000_000_000, ApiKey.objects.get())
    before = made.json()
    BudgetPeriod.objects.create(
        budget=budget, start=month(), spent=1_250_000_000_000, reserved=1, assumed=250_000_000_000
    )
    shown = {
        "id": budget.pk,
        "api_key": "alice",
        "agent": None,
        "period": "month",
        "unit": "usd",
        "limit": "20.5",
        "warn_percent": 80,
        "period_start": written(month()),
        "resets_at": written(Period.MONTH.end(month())),
    }
    assert before == {**shown, "spent": "0", "reserved": "0", "assumed": "0"}
    now = {**shown, "spent": "1.25", "reserved": "0.000000000001", "assumed": "0.25"}
    assert api.get(f"/api/budgets/{budget.pk}").json() == now
    assert api.get("/api/budgets").json() == {"data": [now], "total": 1, "next": None}


def test_a_budget_of_tokens_and_one_of_the_server(api: Caller) -> None:
    tokens = api.post("/api/budgets", {"agent": "coder", "unit": "tokens", "period": "day", "limit": 1_000_000}).json()
    server = api.post("/api/budgets", {"limit": "5"}).json()

    assert (tokens["agent"], tokens["limit"], tokens["period"]) == ("coder", "1000000", "day")
    assert (server["agent"], server["api_key"], server["limit"]) == (None, None, "5")
    assert sorted(Budget.objects.values_list("limit", flat=True)) == [1_000_000, 5 * 10**12]


def test_a_limit_is_changed_and_whose_it_is_is_not(api: Caller) -> None:
    pk = api.post("/api/budgets", {"agent": "coder", "limit": "5"}).json()["id"]

    assert api.patch(f"/api/budgets/{pk}", {"limit": "7.5", "warn_percent": 50}).json()["limit"] == "7.5"
    for fixed in ({"agent": None}, {"api_key": "alice"}, {"period": "day"}, {"unit": "tokens"}):
        found = error(api.patch(f"/api/budgets/{pk}", fixed), 400)
        assert (found["param"], found["code"]) == (next(iter(fixed)), "fixed")
    assert api.patch(f"/api/budgets/{pk}", {"agent": "coder", "period": "month"}).status_code == 200
    assert api.delete(f"/api/budgets/{pk}").status_code == 204
    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "limit"),
        ({"limit": "much"}, "limit"),
        ({"limit": "-1"}, "limit"),
        ({"limit": "NaN"}, "limit"),
        ({"limit": "9000001"}, "limit"),
        ({"limit": "1.5", "unit": "tokens"}, "limit"),
        ({"limit": "1", "unit": "euros"}, "unit"),
        ({"limit": "1", "warn_percent": 0}, "warn_percent"),
        ({"limit": "1", "agent": "nobody"}, "agent"),
        ({"limit": "1", "agent": "coder", "api_key": "alice"}, None),
        ({"limit": "1", "spent": "1", "period": "year"}, "period"),
    ],
)
def test_what_is_wrong_is_named(api: Caller, body: dict[str, Any], param: str | None) -> None:
    assert error(api.post("/api/budgets", body), 400)["param"] == param
    assert not Budget.objects.exists()


def test_there_is_one_budget_of_a_kind(api: Caller) -> None:
    api.post("/api/budgets", {"limit": "5"})

    assert error(api.post("/api/budgets", {"limit": "6"}), 400)["type"] == "invalid_request_error"
    assert Budget.objects.get().limit == 5 * 10**12


def test_a_list_takes_the_same_number_of_queries_however_long_it_is(
    api: Caller, django_assert_max_num_queries: Any
) -> None:
    for number in range(10):
        agent = Agent.objects.create(name=f"agent-{number}")
        budget = Budget.objects.create(agent=agent, limit=1)
        BudgetPeriod.objects.create(budget=budget, start=month(), spent=1)

    with django_assert_max_num_queries(10):
        assert [row["spent"] for row in api.get("/api/budgets").json()["data"]] == ["0.000000000001"] * 10
