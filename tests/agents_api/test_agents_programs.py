"""Whoever may not give agents programs of the server's machine gives them none over /api either."""

from collections.abc import Callable

import pytest

from agents.models import Agent, McpServer, changes_of
from agents.setup.roles import EDITOR
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db


@pytest.fixture
def editor(caller: Callable[..., Caller]) -> Caller:
    return caller("agents:write", role=EDITOR)


def test_an_editor_makes_agents_without_programs(editor: Caller) -> None:
    McpServer.objects.create(name="local", transport="stdio", command="uvx")

    assert editor.post("/api/agents", {"name": "x", "tools": ["calculator"]}).status_code == 201
    for body, param in (
        ({"tools": ["shell"]}, "tools"),
        ({"mcp_tools": [{"server": "local"}]}, "mcp_tools"),
    ):
        found = error(editor.post("/api/agents", {"name": "y", **body}), 400)
        assert (found["param"], found["code"]) == (param, "permission_denied")
        assert error(editor.patch("/api/agents/x", body), 400)["param"] == param


def test_an_editor_changes_no_agent_that_has_a_program(editor: Caller, api: Caller) -> None:
    agent = Agent.objects.create(name="ops", tools=["shell"])
    version = changes_of(Agent).get(id=agent.id).history_id

    assert editor.client.head("/api/agents/ops").status_code == 200
    for path in ("clone", "enable", "disable", f"history/{version}/restore"):
        assert error(editor.post(f"/api/agents/ops/{path}"), 403)["code"] == "permission_denied"
    assert error(editor.patch("/api/agents/ops", {"system_prompt": "rm"}), 403)["code"] == "permission_denied"
    api.patch("/api/agents/ops", {"tools": []})
    assert error(editor.post(f"/api/agents/ops/history/{version}/restore"), 403)["code"] == "permission_denied"
    agent.refresh_from_db()
    assert agent.tools == []


def test_a_token_without_the_scope_for_programs_gives_agents_none_even_in_an_administrators_name(
    caller: Callable[..., Caller],
) -> None:
    token = caller("agents:write", "mcp:write")
    McpServer.objects.create(name="local", transport="stdio", command="uvx")
    Agent.objects.create(name="ops", tools=["shell"])

    for body, param in (({"tools": ["shell"]}, "tools"), ({"mcp_tools": [{"server": "local"}]}, "mcp_tools")):
        found = error(token.post("/api/agents", {"name": "y", **body}), 400)
        assert (found["param"], found["code"]) == (param, "insufficient_scope")
        assert "does not have the scope programs:write" in found["message"]
    assert error(token.patch("/api/agents/ops", {"system_prompt": "rm"}), 403)["code"] == "insufficient_scope"
    assert error(token.post("/api/agents/ops/clone"), 403)["code"] == "insufficient_scope"


@pytest.mark.parametrize("scopes", [["agents:write", "programs:write"], ["admin"]])
def test_a_token_with_the_scope_for_programs_gives_agents_the_shell(
    caller: Callable[..., Caller], scopes: list[str]
) -> None:
    assert caller(*scopes).post("/api/agents", {"name": "ops", "tools": ["shell"]}).status_code == 201


def test_the_scope_for_programs_alone_makes_no_agents(caller: Callable[..., Caller]) -> None:
    answer = caller("programs:write").post("/api/agents", {"name": "ops", "tools": ["shell"]})
    assert error(answer, 403)["code"] == "insufficient_scope"


def test_the_scope_for_programs_gives_an_editor_nothing(caller: Callable[..., Caller]) -> None:
    token = caller("agents:write", "programs:write", role=EDITOR)
    found = error(token.post("/api/agents", {"name": "ops", "tools": ["shell"]}), 400)
    assert (found["param"], found["code"]) == ("tools", "permission_denied")
