import re
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from agents.limits.turns import own_turn
from agents.models import Agent, ApiKey, Budget, BudgetPeriod, Period, Status, UsageRecord
from agents.usage.rollups import add_to_rollups
from tests.agents.admin_cast import key, request, text

pytestmark = pytest.mark.django_db
PAGE = "/admin/"


@pytest.fixture
def agent() -> Agent:
    return Agent.objects.create(name="coder")


def used(agent: Agent, ago: timedelta = timedelta(minutes=1), **fields: Any) -> UsageRecord:
    """A request that ended, counted as the server counts it."""
    record = request(agent, **{"started_at": timezone.now() - ago, **fields})
    with own_turn() as cursor:
        add_to_rollups(cursor, [record])
    return record


def card(page: Any, title: str) -> tuple[str, str]:
    """What a figure's card says, and its link."""
    for href, inside in re.findall(r'<a href="([^"]*)" class="of-card">(.*?)</a>', page.content.decode(), re.S):
        words = " ".join(re.sub(r"<[^>]+>", " ", unescape(inside)).replace("\N{NO-BREAK SPACE}", " ").split())
        if words.startswith(title):
            return words.removeprefix(title).strip(), unescape(href)
    raise AssertionError(f"There is no card {title}.")


def links(page: Any) -> dict[str, str]:
    return {
        name.strip(): unescape(href)
        for href, name in re.findall(r'<a href="([^"]*)" class="of-link">([^<]*)</a>', page.content.decode())
    }


def listed(client: Client, url: str) -> list[UsageRecord]:
    response = client.get(url)
    assert response.status_code == 200, url
    return list(response.context["cl"].result_list)


def test_the_figures_of_a_period_and_of_the_one_before(admin_client: Client, agent: Agent) -> None:
    used(agent, prompt_tokens=1000, completion_tokens=200, cost=Decimal("1.25"), duration_ms=1500)
    used(agent, cost=None, status=Status.FAILED, duration_ms=1500)
    used(agent, timedelta(hours=30), prompt_tokens=100, completion_tokens=20, cost=Decimal("0.5"))

    page = admin_client.get(PAGE)

    assert card(page, "Requests")[0] == "2 ▲ 100 % before: 1"
    assert card(page, "Tokens")[0].startswith("2,490 2,234 in, 256 out ▲")
    assert card(page, "Cost")[0] == "$1.25 + 1 request of unknown price ▲ 150 % before: $0.50"
    assert card(page, "Error rate")[0] == "50 % 1 of 2 before: 0 %"
    assert card(page, "Duration (p50)")[0].startswith("≈ 1.3 s p95 ≈ 1.6 s")


def test_every_figure_links_to_its_requests(admin_client: Client, agent: Agent) -> None:
    alice, writer = key(), Agent.objects.create(name="writer")
    fine = used(agent, api_key=alice, api_key_name="alice", end_user="mia")
    failed = used(agent, status=Status.FAILED, error_code="provider_timeout")
    lost = used(writer, status=Status.LOST, model="", provider="")
    beta = used(writer, model="beta")
    used(agent, timedelta(days=100))

    page = admin_client.get(PAGE, {"period": "7d"})
    named = links(page)

    assert set(listed(admin_client, card(page, "Requests")[1])) == {fine, failed, lost, beta}
    assert set(listed(admin_client, card(page, "Error rate")[1])) == {failed, lost}
    assert listed(admin_client, named["all"]) == [failed]
    assert listed(admin_client, named["alice"]) == [fine]
    assert listed(admin_client, named["mia"]) == [fine]
    assert listed(admin_client, named["beta"]) == [beta]
    assert set(listed(admin_client, named["alpha"])) == {fine, failed}
    keyless = re.findall(r'<a href="([^"]*)" class="of-link">none</a>', page.content.decode())
    assert {frozenset(listed(admin_client, unescape(url))) for url in keyless} == {
        frozenset({failed, lost, beta}),
        frozenset({lost}),
    }
    day = f"{fine.started_at.day} {fine.started_at:%b}"  # yesterday, in the first minute of a day
    assert fine in listed(admin_client, named[day])
    assert set(listed(admin_client, named[day])) <= {fine, failed, lost, beta}


def test_a_step_in_time_links_to_the_requests_of_that_time_alone(admin_client: Client, agent: Agent) -> None:
    early = used(agent, started_at=datetime.fromisoformat("2026-01-05T10:59:59.999Z"))
    late = used(agent, started_at=datetime.fromisoformat("2026-01-05T11:00:00Z"))

    named = links(admin_client.get(PAGE, {"from": "2026-01-05", "to": "2026-01-05"}))

    assert listed(admin_client, named["10:00"]) == [early]
    assert listed(admin_client, named["11:00"]) == [late]


def test_filters_are_in_the_url_and_in_its_links(admin_client: Client, agent: Agent) -> None:
    alice = key()
    ours = used(agent, api_key=alice, api_key_name="alice", model="beta")
    used(agent, model="beta")
    used(Agent.objects.create(name="writer"), api_key=alice, api_key_name="alice", model="beta")
    asked = {"period": "30d", "agent": str(agent.pk), "key": str(alice.pk), "model": "beta"}

    page = admin_client.get(PAGE, asked)

    assert card(page, "Requests")[0].startswith("1 ")
    assert listed(admin_client, card(page, "Requests")[1]) == [ours]
    html = page.content.decode()
    assert f'<option value="{agent.pk}" selected>coder</option>' in html
    assert f'<option value="{alice.pk}" selected>alice</option>' in html
    assert '<option value="beta" selected>beta</option>' in html
    week = unescape(next(iter(re.findall(r'<a href="([^"]*period=7d[^"]*)"', html))))
    assert all(f"{name}={value}" in week for name, value in asked.items() if name != "period")
    assert card(admin_client.get(PAGE, {"key": "none"}), "Requests")[0].startswith("1 ")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"period": "aeon"}, "There is no period 'aeon'."),
        ({"agent": "coder"}, "There is no agent 'coder'."),
        ({"from": "yesterday"}, "A day is written as 2026-11-22."),
        ({"from": "2026-02-02", "to": "2026-02-01"}, "The last day comes after the first"),
        ({"from": "1999-01-01"}, "at most a year after it"),
    ],
)
def test_what_cannot_be_read_is_said(admin_client: Client, agent: Agent, asked: dict[str, str], words: str) -> None:
    used(agent)

    page = admin_client.get(PAGE, asked)

    assert words in unescape(text(page))
    assert card(page, "Requests")[0].startswith("1 ")


def test_a_new_server_says_what_to_do_first(admin_client: Client, agent: Agent) -> None:
    page = unescape(text(admin_client.get(PAGE)))

    assert "curl http://testserver/v1/chat/completions" in page
    assert '"model": "openfang:coder"' in page
    assert "Authorization" not in page

    ApiKey.objects.issue("alice")
    assert "Authorization: Bearer $OPENFANG_API_KEY" in text(admin_client.get(PAGE))
    agent.delete()
    assert "First there has to be an agent." in text(admin_client.get(PAGE))


def test_a_period_without_requests_says_so(admin_client: Client, agent: Agent) -> None:
    used(agent, timedelta(days=3))

    page = text(admin_client.get(PAGE, {"period": "hour"}))

    assert "No request began in this period." in page
    assert "canvas" not in admin_client.get(PAGE, {"period": "hour"}).content.decode()


def test_budgets_show_how_far_they_are_spent(admin_client: Client, agent: Agent) -> None:
    used(agent)
    month = Budget.objects.create(period="month", unit="usd", limit=10 * 10**12)
    Budget.objects.create(agent=agent, period="day", unit="tokens", limit=5000)
    start = Period.MONTH.start(timezone.now())
    BudgetPeriod.objects.create(budget=month, start=start, spent=9 * 10**12, reserved=10**11)

    page = unescape(text(admin_client.get(PAGE)))

    assert "This server, a month $9.00 of $10.00 (90 %), $0.10 reserved" in page
    assert "The agent 'coder', a day 0 tokens of 5,000 tokens (0 %)" in page
    assert 'class="of-warn" style="width: 90%"' in admin_client.get(PAGE).content.decode()


def test_figures_are_for_those_who_may_see_requests(client: Client, agent: Agent) -> None:
    used(agent)
    client.force_login(User.objects.create_user("clerk", is_staff=True))

    page = client.get(PAGE)

    assert page.status_code == 200
    assert "dashboard" not in page.context
    assert "of-card" not in page.content.decode()


def test_the_page_asks_the_database_the_same_questions_however_much_there_is(
    admin_client: Client, django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    def more(count: int) -> None:
        for number in range(count):
            agent = Agent.objects.create(name=f"agent-{uuid.uuid4().hex[:8]}")
            used(agent, timedelta(hours=number), end_user=f"user-{number}", model=f"model-{number}")
            used(agent, timedelta(hours=number), status=Status.FAILED)
            Budget.objects.create(agent=agent, limit=10**12)

    more(2)
    admin_client.get(PAGE, {"period": "7d"})
    with django_assert_max_num_queries(25) as few:
        admin_client.get(PAGE, {"period": "7d"})
    more(20)
    with django_assert_max_num_queries(len(few)):
        assert admin_client.get(PAGE, {"period": "7d"}).status_code == 200


def test_names_are_shown_as_they_are(admin_client: Client, agent: Agent) -> None:
    used(agent, end_user="<script>alert(1)</script>", model='"><img src=x>')

    html = admin_client.get(PAGE).content.decode()

    assert "<script>alert(1)" not in html
    assert "<img src=x>" not in html
