"""/api/mcp/servers: changed as in the admin, with programs for administrators only, and without secrets."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from agents.models import AdminToken, Agent, AgentMcpTool, McpServer, changes_of
from tests.agents.mcp_parts import PLAIN
from tests.agents_api.conftest import Caller, error

pytestmark = pytest.mark.django_db

SERVERS = "/api/mcp/servers"
WEB = {"name": "web", "url": "https://mcp.test/mcp", "headers": {"Authorization": "Bearer ${WEB_TOKEN}"}}
PROGRAM = {"name": "plain", "transport": "stdio", "command": sys.executable, "args": [PLAIN]}


@pytest.fixture
def local() -> Caller:
    """Somebody who may change MCP servers, but not run programs."""
    user = User.objects.create_user("local", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(content_type__model="mcpserver"))
    _, raw = AdminToken.objects.issue("local", user, ["mcp:write"])
    return Caller(raw)


def test_a_server_is_made_changed_listed_and_deleted_and_each_change_is_somebodys(
    caller: Callable[..., Caller],
) -> None:
    token = caller("mcp:write")

    made = token.post(SERVERS, WEB)

    assert made.status_code == 201
    assert made.json() == {
        "name": "web",
        "transport": "http",
        "url": "https://mcp.test/mcp",
        "headers": {"Authorization": "Bearer ${WEB_TOKEN}"},
        "command": "",
        "args": [],
        "environment": [],
        "timeout": 60,
        "enabled": True,
        "tools": [],
        "tools_left_out": [],
        "tools_read_at": None,
        "tools_stale": False,
        "why_withheld": "",
        "agents": 0,
    }
    changed = token.patch(f"{SERVERS}/web", {"timeout": 5, "enabled": False}).json()
    assert changed == {**made.json(), "timeout": 5, "enabled": False}
    assert token.get(SERVERS).json() == {"data": [changed], "total": 1, "next": None}
    assert token.get(f"{SERVERS}/web").json() == changed
    assert token.delete(f"{SERVERS}/web").status_code == 204
    assert error(token.get(f"{SERVERS}/web"), 404)["code"] == "not_found"
    kept = [(change.history_type, change.history_user.username) for change in changes_of(McpServer).all()]
    assert kept == [("-", "boss"), ("~", "boss"), ("+", "boss")]


def test_the_tools_are_read_when_that_is_asked_for(api: Caller) -> None:
    api.post(SERVERS, PROGRAM)

    refreshed = api.post(f"{SERVERS}/plain/refresh")

    assert refreshed.status_code == 200
    assert refreshed.json()["tools"] == [{"name": "tool.0", "description": ""}]
    assert refreshed.json()["tools_read_at"] is not None
    assert api.get(f"{SERVERS}/plain").json() == refreshed.json()


def test_a_server_that_does_not_answer_is_a_bad_gateway_and_no_variables_value_is_told(
    api: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEB_HOST", "127.0.0.1:9")
    api.post(SERVERS, {**WEB, "url": "http://${WEB_HOST}/mcp"})

    without = error(api.post(f"{SERVERS}/web/refresh"), 502)
    assert without == {
        "message": "The environment variable WEB_TOKEN of an MCP server is not set.",
        "type": "api_error",
        "param": None,
        "code": "mcp_server_failed",
    }
    monkeypatch.setenv("WEB_TOKEN", "very-secret-0123456789")
    unreachable = error(api.post(f"{SERVERS}/web/refresh"), 502)["message"]
    assert unreachable.startswith("The MCP server 'web' cannot be reached: ")
    assert "very-secret" not in unreachable and "127.0.0.1:9" not in unreachable
    assert McpServer.objects.get().tools_read_at is None


def test_it_tells_how_many_agents_use_its_tools(api: Caller) -> None:
    server = McpServer.objects.create(name="web", url="https://mcp.test/mcp")
    for name in ("coder", "writer"):
        agent = Agent.objects.create(name=name)
        AgentMcpTool.objects.create(agent=agent, server=server, tool="find")
        AgentMcpTool.objects.create(agent=agent, server=server, tool="read")

    assert api.get(f"{SERVERS}/web").json()["agents"] == 2
    assert api.patch(f"{SERVERS}/web", {"timeout": 5}).json()["agents"] == 2


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"name": "web", "url": "https://mcp.test"}, "name"),
        ({"name": "No name", "url": "https://mcp.test"}, "name"),
        ({"name": "x"}, "url"),
        ({"name": "x", "url": "ftp://mcp.test"}, "url"),
        ({"name": "x", "url": "https://mcp.test", "timeout": 0}, "timeout"),
        ({"name": "x", "url": "https://mcp.test", "headers": {"X Y": "1"}}, "headers"),
        ({"name": "x", "url": "https://mcp.test", "headers": {"X-Team": 1, "X-Part": []}}, "headers.X-Part"),
        ({"name": "x", "transport": "stdio"}, "command"),
        ({"name": "x", "transport": "stdio", "command": "uvx", "args": "a b"}, "args"),
        ({"name": "x", "transport": "stdio", "command": "uvx", "environment": ["A=b"]}, "environment"),
        ({"name": "x", "transport": "sse", "url": "https://mcp.test"}, "transport"),
        ({"name": "x", "url": "https://mcp.test", "password": "p"}, "password"),
    ],
)
def test_what_is_wrong_is_named(api: Caller, body: dict[str, Any], param: str) -> None:
    api.post(SERVERS, WEB)

    assert error(api.post(SERVERS, body), 400)["param"] == param
    assert McpServer.objects.count() == 1


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"headers": {"Authorization": "Bearer very-secret"}}, "headers"),
        ({"headers": {"X-Api-Key": "very-secret"}}, "headers"),
        ({"url": "https://mcp.test/mcp?apiKey=very-secret"}, "url"),
        ({"url": "https://user:very-secret@mcp.test/mcp"}, "url"),
    ],
)
def test_a_secret_is_not_taken_and_where_it_belongs_is_said(api: Caller, body: dict[str, Any], param: str) -> None:
    api.post(SERVERS, WEB)

    refused = error(api.patch(f"{SERVERS}/web", body), 400)

    assert refused["param"] == param
    assert refused["message"].endswith("into an environment variable and name it here: ${NAME}.")
    assert "very-secret" not in refused["message"]
    assert McpServer.objects.get().url == WEB["url"]


def test_only_an_administrator_sets_up_programs(local: Caller) -> None:
    McpServer.objects.create(name="web", url="https://mcp.test/mcp")

    for answer in (
        local.post(SERVERS, PROGRAM),
        local.patch(f"{SERVERS}/web", {"transport": "stdio", "command": "rm"}),
    ):
        refused = error(answer, 400)
        assert (refused["param"], refused["code"]) == ("transport", "permission_denied")
    assert [server.transport for server in McpServer.objects.all()] == ["http"]
    assert local.patch(f"{SERVERS}/web", {"timeout": 5}).json()["timeout"] == 5


def test_only_an_administrator_changes_deletes_or_starts_a_program(local: Caller) -> None:
    McpServer.objects.create(**PROGRAM)

    assert local.get(f"{SERVERS}/plain").json()["command"] == sys.executable
    for answer in (
        local.patch(f"{SERVERS}/plain", {"command": "rm"}),
        local.patch(f"{SERVERS}/plain", {"transport": "http", "url": "https://mcp.test"}),
        local.post(f"{SERVERS}/plain/refresh"),
        local.delete(f"{SERVERS}/plain"),
    ):
        assert error(answer, 403)["code"] == "permission_denied"
    server = McpServer.objects.get()
    assert (server.command, server.tools_read_at) == (sys.executable, None)


def test_a_token_without_the_scope_for_programs_makes_changes_and_starts_none(caller: Callable[..., Caller]) -> None:
    token = caller("mcp:write")
    assert error(token.post(SERVERS, PROGRAM), 400)["code"] == "insufficient_scope"
    assert not McpServer.objects.exists()
    McpServer.objects.create(**PROGRAM)

    for answer in (
        token.patch(f"{SERVERS}/plain", {"command": "rm"}),
        token.post(f"{SERVERS}/plain/refresh"),
        token.delete(f"{SERVERS}/plain"),
    ):
        assert error(answer, 403)["code"] == "insufficient_scope"
    assert token.get(f"{SERVERS}/plain").json()["command"] == sys.executable
    assert McpServer.objects.get().tools_read_at is None
    with_it = caller("mcp:write", "programs:write")
    assert with_it.patch(f"{SERVERS}/plain", {"timeout": 5}).json()["timeout"] == 5
