import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from agents.models import Agent, Status, UsageRecord, UsageStep
from tests.agents.admin_cast import key, request, text

pytestmark = pytest.mark.django_db
LIST = "/admin/agents/usagerecord/"


@pytest.fixture
def agent() -> Agent:
    return Agent.objects.create(name="coder")


def found(client: Client, **query: Any) -> list[UsageRecord]:
    response = client.get(LIST, query)
    assert response.status_code == 200
    return list(response.context["cl"].result_list)


def test_a_request_is_found_by_the_ids_that_clients_see(admin_client: Client, agent: Agent) -> None:
    wanted, _ = request(agent), request(agent)

    for term in (f"req_{wanted.id.hex}", f"chatcmpl-{wanted.id}", str(wanted.id), f" REQ_{wanted.id.hex.upper()} "):
        assert found(admin_client, q=term) == [wanted]
    assert found(admin_client, q=f"req_{uuid.uuid4().hex}") == []


def test_requests_are_found_by_agent_and_by_end_user(admin_client: Client, agent: Agent) -> None:
    ours = request(agent, end_user="mia@example.org")
    theirs = request(Agent.objects.create(name="writer"))

    assert found(admin_client, q="Mia@") == [ours]
    assert found(admin_client, q="writ") == [theirs]
    assert found(admin_client, q="nobody") == []


def test_filters_narrow_the_list(admin_client: Client, agent: Agent) -> None:
    alice = key()
    plain = request(agent)
    failed = request(agent, 1, status=Status.FAILED, error_code="upstream_timeout")
    streamed = request(agent, 2, streamed=True, model="beta")
    keyed = request(agent, 3, api_key=alice, api_key_name="alice")
    other = request(Agent.objects.create(name="writer"), 4)

    assert found(admin_client, status__exact="failed") == [failed]
    assert found(admin_client, streamed__exact="1") == [streamed]
    assert found(admin_client, model="beta") == [streamed]
    assert found(admin_client, api_key__id__exact=str(alice.pk)) == [keyed]
    assert found(admin_client, agent__id__exact=str(other.agent_id)) == [other]
    after = {"started_at_from_0": "2026-11-22", "started_at_from_1": "12:02"}
    until = {"started_at_to_0": "2026-11-22", "started_at_to_1": "12:03"}
    assert found(admin_client, **after, **until) == [keyed, streamed]
    assert len(found(admin_client, started_at_from_0="2026-11-22", started_at_to_0="2026-11-22")) == 5
    assert found(admin_client, started_at_from_0="2026-11-23") == []
    assert found(admin_client)[-1] == plain


def test_figures_have_units_and_an_unknown_cost_is_not_free(admin_client: Client, agent: Agent) -> None:
    for minutes, cost in enumerate([None, Decimal(0), Decimal("0.00123"), Decimal("1234.5")]):
        request(agent, minutes, cost=cost, duration_ms=[840, 1234, 65_000, None][minutes])

    rows = text(admin_client.get(LIST))

    assert "22 Nov 2026, 12:00:00 UTC coder acme" not in rows  # the model comes first
    assert "1,234 in, 56 out unknown — 840 ms" in rows
    assert "1,234 in, 56 out $0 — 1.2 s" in rows
    assert "1,234 in, 56 out $0.00123 — 1 min 05 s" in rows
    assert "1,234 in, 56 out $1,234.50 — —" in rows
    assert "22 Nov 2026, 12:03:00 UTC" in rows


def test_the_page_of_a_request_shows_its_steps_in_order(admin_client: Client, agent: Agent) -> None:
    record = request(agent, status=Status.FAILED, error_code="upstream_timeout")
    UsageStep.objects.create(record=record, position=1, kind="tool", name="web_search", duration_ms=90)
    UsageStep.objects.create(record=record, position=2, kind="llm", name="beta", error_code="cut", duration_ms=2500)

    page = text(admin_client.get(f"{LIST}{record.pk}/change/"))

    assert f"req_{record.id.hex}" in page
    assert f"chatcmpl-{record.id}" in page
    assert "Failed · upstream_timeout" in page
    steps = page[page.index("Timeline") :]
    assert steps.index("LLM call: acme/alpha") < steps.index("tool call: web_search") < steps.index("LLM call: beta")
    assert "beta cut 2.5 s" in steps


def test_requests_outlive_their_agent(admin_client: Client, agent: Agent) -> None:
    record = request(agent)
    agent.delete()

    assert found(admin_client) == [record]
    assert "Agent name coder" in text(admin_client.get(f"{LIST}{record.pk}/change/"))


def test_nobody_adds_changes_or_deletes_requests(admin_client: Client, agent: Agent) -> None:
    record = request(agent)
    page = f"{LIST}{record.pk}"

    assert admin_client.get(f"{LIST}add/").status_code == 403
    assert admin_client.post(f"{LIST}add/", {}).status_code == 403
    assert admin_client.post(f"{page}/change/", {"agent_name": "forged"}).status_code == 403
    assert admin_client.post(f"{page}/delete/", {"post": "yes"}).status_code == 403
    admin_client.post(LIST, {"action": "delete_selected", "_selected_action": [str(record.pk)], "post": "yes"})
    assert UsageRecord.objects.get().agent_name == "coder"


def test_a_list_of_many_requests_is_not_counted(
    admin_client: Client, agent: Agent, django_assert_max_num_queries: Callable[[int], AbstractContextManager[Any]]
) -> None:
    for minutes in range(30):
        request(agent, minutes)

    with django_assert_max_num_queries(20) as asked:
        found(admin_client)

    assert not [query["sql"] for query in asked.captured_queries if "COUNT(" in query["sql"].upper()]
