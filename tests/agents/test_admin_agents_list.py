"""The list of agents, and what is done from it."""

import json
import uuid
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.test import Client
from django.utils import timezone

from agents.models import Agent, AgentFallback, AgentMcpTool, McpServer, UsageRollup
from tests.agents.admin_cast import model, request, text

pytestmark = pytest.mark.django_db
LIST = "/admin/agents/agent/"


def used(agent: Agent, **fields: Any) -> None:
    start = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
    defaults = {"start": start, "agent_id": agent.pk, "agent_name": agent.name}
    UsageRollup.objects.create(id=uuid.uuid4(), **defaults | fields)


def test_it_shows_what_agents_have_used_today(admin_client: Client) -> None:
    busy = Agent.objects.create(name="busy", tools=["calculator", "current_time", "web_fetch", "shell"])
    Agent.objects.create(name="idle")
    used(busy, requests=3, cost=Decimal("0.25"))
    used(busy, requests=4, cost=Decimal("1"), provider="acme")
    used(busy, requests=90, cost=Decimal("90"), start=timezone.now() - timedelta(days=2))
    request(busy)

    page = text(admin_client.get(LIST))

    assert "busy default (none) calculator, current_time, web_fetch and 1 more 7 $1.25 22 Nov 2026, 12:00 UTC" in page
    assert "idle default (none) — 0 $0 never" in page


def test_a_cost_that_is_not_known_in_full_says_so(admin_client: Client) -> None:
    some, none = Agent.objects.create(name="some"), Agent.objects.create(name="none")
    used(some, requests=2, cost=Decimal("0.5"), unpriced=1)
    used(none, requests=2, unpriced=2)

    page = text(admin_client.get(LIST))

    assert "2 $0.50 or more" in page
    assert "2 unknown" in page


def test_an_agent_is_cloned_with_its_models_and_tools(admin_client: Client) -> None:
    alpha, beta = model("alpha"), model("beta")
    server = McpServer.objects.create(name="time", url="http://mcp/mcp")
    agent = Agent.objects.create(name="coder", system_prompt="You code.", model=alpha, tools=["shell"], max_llm_calls=3)
    AgentFallback.objects.create(agent=agent, model=beta)
    AgentMcpTool.objects.create(agent=agent, server=server, tool="now")
    page = f"{LIST}{agent.pk}/clone/"

    offered = admin_client.get(page).content.decode()
    response = admin_client.post(page, {"name": "Coder-Two", "_form_submitted": "1"})

    assert 'value="coder-copy"' in offered
    copied = Agent.objects.get(name="coder-two")
    assert response["HX-Redirect"] == f"{LIST}{copied.pk}/change/"
    assert (copied.system_prompt, copied.model, copied.tools, copied.max_llm_calls) == (
        "You code.",
        alpha,
        ["shell"],
        3,
    )
    assert [row.model for row in copied.fallbacks.all()] == [beta]
    assert [(row.server, row.tool) for row in copied.mcp_tools.all()] == [(server, "now")]


def test_a_clone_needs_a_name_of_its_own(admin_client: Client) -> None:
    agent = Agent.objects.create(name="coder")

    taken = admin_client.post(f"{LIST}{agent.pk}/clone/", {"name": "coder", "_form_submitted": "1"})
    bad = admin_client.post(f"{LIST}{agent.pk}/clone/", {"name": "my agent", "_form_submitted": "1"})

    assert "There is an agent of this name already" in text(taken)
    assert "Use 1 to 64 of a-z" in text(bad)
    assert Agent.objects.count() == 1


def test_chosen_agents_are_exported_together_and_one_by_itself(admin_client: Client) -> None:
    agents = [Agent.objects.create(name=name) for name in ("one", "two", "three")]

    some = admin_client.post(LIST, {"action": "export", "_selected_action": [str(a.pk) for a in agents[:2]]})
    one = admin_client.get(f"{LIST}{agents[2].pk}/export/")

    assert some["Content-Disposition"] == 'attachment; filename="openfang-agents.json"'
    assert [entry["name"] for entry in json.loads(some.content)["agents"]] == ["one", "two"]
    assert one["Content-Disposition"] == 'attachment; filename="openfang-three.json"'


def test_whoever_may_only_look_changes_nothing(client: Client) -> None:
    agent = Agent.objects.create(name="coder")
    viewer = User.objects.create_user("viewer", is_staff=True)
    viewer.user_permissions.add(Permission.objects.get(codename="view_agent"))
    client.force_login(viewer)

    assert client.get(LIST).status_code == 200
    assert client.get(f"{LIST}{agent.pk}/connect/").status_code == 200
    assert client.get(f"{LIST}{agent.pk}/history/").status_code == 200
    for page in ("playground/", "clone/"):
        assert client.get(f"{LIST}{agent.pk}/{page}").status_code == 403
    assert client.get(f"{LIST}import/").status_code == 403
    assert client.post(f"{LIST}{agent.pk}/playground/token/").status_code == 403
