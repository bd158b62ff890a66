"""Budgets in the web admin, and the rotation of keys."""

import re
from datetime import datetime

import pytest
from django.test import Client
from django.utils import timezone

from agents.models import Agent, ApiKey, Budget, BudgetPeriod, Period, Unit
from agents.models.api_key import key_digest
from agents.models.money import PICO
from tests.agents.admin_cast import errors, key, text

pytestmark = pytest.mark.django_db
LIST, ADD = "/admin/agents/budget/", "/admin/agents/budget/add/"
KEY = re.compile(r"of_\w{40}")


def form(**fields: object) -> dict[str, object]:
    return {"amount": "20", "unit": "usd", "period": "month", "warn_percent": "80", **fields}


def test_a_budget_is_entered_in_dollars_or_tokens(admin_client: Client) -> None:
    alice, coder = key(), Agent.objects.create(name="coder")

    admin_client.post(ADD, form(api_key=str(alice.pk), amount="1.25"))
    admin_client.post(ADD, form(agent=str(coder.pk), unit="tokens", amount="5000"))

    of_key, of_agent = Budget.objects.order_by("id")
    assert (of_key.whose, of_key.limit) == ("the key 'alice'", 1.25 * 10**12)
    assert (of_agent.whose, of_agent.limit) == ("the agent 'coder'", 5000)
    assert 'value="1.25"' in admin_client.get(f"{LIST}{of_key.pk}/change/").content.decode()


def test_what_cannot_be_a_budget_is_refused(admin_client: Client) -> None:
    alice, coder = key(), Agent.objects.create(name="coder")
    for fields, said in [
        ({"api_key": str(alice.pk), "agent": str(coder.pk)}, "A budget is of a key or of an agent, not of both."),
        ({"unit": "tokens", "amount": "1.5"}, "Tokens are whole."),
        ({"amount": "9000001"}, "At most 9000000."),
    ]:
        assert said in errors(admin_client.post(ADD, form(**fields)))
    assert not Budget.objects.exists()


def test_the_list_shows_how_far_each_budget_is(admin_client: Client) -> None:
    budget = Budget.objects.create(limit=int(10 * PICO), unit=Unit.USD, period=Period.MONTH)
    period(budget, spent=9 * PICO, assumed=PICO)

    page = admin_client.get(LIST)

    assert 'class="of-spent of-much" max="100" value="90"' in page.content.decode()
    assert "This server Month $10.00 $9.00 (90 %, $1.00 of it at an assumed price) ⚠" in text(page)


def test_a_budgets_page_shows_its_periods(admin_client: Client) -> None:
    budget = Budget.objects.create(limit=5000, unit=Unit.TOKENS, period=Period.DAY)
    period(budget, spent=1234, reserved=567)

    page = text(admin_client.get(f"{LIST}{budget.pk}/change/"))

    assert "1,234 tokens" in page and "567 tokens" in page


def period(budget: Budget, **fields: object) -> BudgetPeriod:
    start: datetime = Period(budget.period).start(timezone.now())
    return BudgetPeriod.objects.create(budget=budget, start=start, **fields)


def test_a_key_is_rotated_and_its_new_characters_shown_once(admin_client: Client) -> None:
    alice = key()
    page = f"/admin/agents/apikey/{alice.pk}/"
    assert f"{page}rotate/" in admin_client.get(f"{page}change/").content.decode()
    assert not KEY.search(admin_client.get(f"{page}rotate/").content.decode())
    assert ApiKey.objects.get().digest == alice.digest

    answer = admin_client.post(f"{page}rotate/", {"hours": "24"})

    [raw] = set(KEY.findall(answer.content.decode()))
    rotated = ApiKey.objects.get()
    assert (rotated.digest, rotated.previous_digest) == (key_digest(raw), alice.digest)
    assert rotated.previous_until is not None and rotated.previous_until > timezone.now()
    assert raw not in admin_client.get(f"{page}change/").content.decode()


def test_a_revoked_key_is_not_rotated(admin_client: Client) -> None:
    alice = key()
    alice.revoke()
    assert admin_client.post(f"/admin/agents/apikey/{alice.pk}/rotate/", {"hours": "24"}).status_code == 403


def test_a_keys_limits_are_entered_with_it(admin_client: Client) -> None:
    limits = {"requests_per_minute": "60", "tokens_per_minute": "", "networks": "10.0.0.0/8\n192.0.2.7"}
    admin_client.post("/admin/agents/apikey/add/", {"name": "ci", "owner": "Alice", **limits})
    issued = ApiKey.objects.get()
    assert (issued.requests_per_minute, issued.tokens_per_minute, issued.owner) == (60, 0, "Alice")
    assert issued.networks == "10.0.0.0/8, 192.0.2.7/32"

    answer = admin_client.post("/admin/agents/apikey/add/", {"name": "bad", "networks": "10.0.0.1/8"})
    assert errors(answer) == ["'10.0.0.1/8' is not a network such as 10.0.0.0/8 or 2001:db8::/32."]
