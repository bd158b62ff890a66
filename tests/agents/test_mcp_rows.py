"""MCP servers as rows: what is refused, what agents get of them, and how their lists of tools are kept."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from msgspec.structs import replace

from agents.errors import ToolFailed
from agents.models import Agent, AgentMcpTool, McpServer
from agents.tools.mcp import McpPool, McpServerSpec, read_mcp_tools, refresh
from agents.tools.mcp.specs import told_name
from tests.agents.mcp_parts import PLAIN, SCRIPTED, call, patience, program

__all__ = ["patience"]  # a fixture
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patience")]
WEB = {"name": "web", "transport": "http", "url": "http://mcp:8000/mcp"}
PROGRAM = {"name": "files", "transport": "stdio", "command": "uvx", "args": ["mcp-server-files"]}


@pytest.fixture
def agent() -> Agent:
    return Agent.objects.create(name="coder")


def row_of(spec: McpServerSpec, **values: Any) -> McpServer:
    return McpServer.objects.create(
        name=spec.name, transport="stdio", command=spec.command, args=list(spec.args), **values
    )


def kept(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "description": f"Does {name}.", "parameters": {"type": "object"}} for name in names]


@pytest.mark.parametrize(
    "values", [WEB, PROGRAM, {**WEB, "url": "https://me:${PASSWORD}@example.com/mcp?key=${SEARCH_KEY}&keyword=on"}]
)
def test_servers_of_both_transports_are_accepted(values):
    McpServer(**values).full_clean()


@pytest.mark.parametrize(
    ("values", "field", "message"),
    [
        ({**WEB, "name": "My server"}, "name", "Use 1 to 24 of a-z, 0-9, underscore and hyphen."),
        ({**WEB, "url": ""}, "url", "Not an http or https URL."),
        ({**WEB, "url": "ftp://example.com"}, "url", "Not an http or https URL."),
        ({**WEB, "headers": ["a"]}, "headers", 'Not an object of texts: {"Name": "value"}.'),
        ({**WEB, "headers": {"X Y": "1"}}, "headers", "'X Y' is not the name of a header."),
        (
            {**WEB, "headers": {"X-Team": "a\r\nX: b"}},
            "headers",
            "The value of X-Team has a line break or a character that is not ASCII.",
        ),
        (
            {**WEB, "headers": {"Authorization": "Bearer abc"}},
            "headers",
            "Put what Authorization holds into an environment variable and name it here: ${NAME}.",
        ),
        (
            {**WEB, "url": "https://example.com/mcp?searchKey=abc"},
            "url",
            "Put what searchKey holds into an environment variable and name it here: ${NAME}.",
        ),
        (
            {**WEB, "url": "https://me:abc@example.com/mcp"},
            "url",
            "Put what password holds into an environment variable and name it here: ${NAME}.",
        ),
        ({**PROGRAM, "command": " "}, "command", "A program is needed."),
        ({**PROGRAM, "args": "a b"}, "args", 'Not a list of texts: ["one", "two"].'),
        (
            {**PROGRAM, "environment": ["TOKEN=abc"]},
            "environment",
            'Not a list of the names of environment variables: ["NAME"].',
        ),
    ],
)
def test_what_cannot_work_is_refused_at_its_field(values, field, message):
    with pytest.raises(ValidationError) as refusal:
        McpServer(**values).full_clean()
    assert refusal.value.message_dict == {field: [message]}


def test_an_agent_has_the_tools_chosen_for_it(agent):
    server = McpServer.objects.create(**WEB, tools=kept("find", "delete"))
    AgentMcpTool.objects.create(agent=agent, server=server, tool="find")
    (tool,) = read_mcp_tools()[agent.id]
    assert (tool.name, tool.server.url) == ("find", "http://mcp:8000/mcp")
    assert (tool.told.function.name, tool.told.function.description) == ("web_find", "Does find.")


def test_all_the_tools_of_a_server_can_be_chosen_and_none_comes_twice(agent):
    server = McpServer.objects.create(**WEB, tools=kept("find", "delete"))
    AgentMcpTool.objects.create(agent=agent, server=server, tool="")
    AgentMcpTool.objects.create(agent=agent, server=server, tool="find")
    assert [tool.name for tool in read_mcp_tools()[agent.id]] == ["find", "delete"]


def test_tools_that_the_server_no_longer_lists_and_those_of_disabled_servers_are_left_out(agent):
    listed = McpServer.objects.create(**WEB, tools=kept("find"))
    disabled = McpServer.objects.create(**PROGRAM, tools=kept("read"), enabled=False)
    AgentMcpTool.objects.create(agent=agent, server=listed, tool="gone")
    AgentMcpTool.objects.create(agent=agent, server=disabled, tool="read")
    AgentMcpTool.objects.create(agent=agent, server=disabled, tool="")
    assert read_mcp_tools() == {agent.id: ()}


def test_names_fit_what_models_take_and_no_two_are_the_same(agent):
    names = ["a.b", "a_b", "x" * 100, "x" * 101, "über"]
    server = McpServer.objects.create(**WEB, tools=kept(*names))
    AgentMcpTool.objects.create(agent=agent, server=server, tool="")
    told = [tool.told.function.name for tool in read_mcp_tools()[agent.id]]
    assert len(set(told)) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in told)
    assert told[0] == "web_a_b"
    assert told_name("web", "a_b", set()) == "web_a_b"


def test_refreshing_keeps_every_page_of_two_hundred_tools(agent):
    server = row_of(program(PLAIN, "many"), tools_stale=True)
    assert refresh(server) == 200
    server.refresh_from_db()
    assert server.tool_names() == [f"tool.{n}" for n in range(200)]
    assert server.tools_read_at is not None
    assert not server.tools_stale
    AgentMcpTool.objects.create(agent=agent, server=server, tool="")
    assert len(read_mcp_tools()[agent.id]) == 200


def test_schemas_are_kept_as_models_take_them():
    server = row_of(program(PLAIN))
    refresh(server)
    assert server.tools == [
        {"name": "tool.0", "description": "", "parameters": {"type": "object", "properties": {}}},
    ]


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (lambda: program(PLAIN, "unlisted"), r"'files' does not list its tools: The list is lost\.$"),
        (lambda: program("-c", "raise SystemExit('No licence.')"), r"ended before it was ready\. No licence\.$"),
    ],
)
def test_a_refresh_that_fails_says_why_and_keeps_the_old_list(server: Callable[[], McpServerSpec], reason: str):
    row = row_of(server(), tools=kept("find"))
    with pytest.raises(ToolFailed, match=reason):
        refresh(row)
    row.refresh_from_db()
    assert row.tool_names() == ["find"]
    assert row.tools_read_at is None


@pytest.mark.parametrize(
    ("program_file", "tool", "arguments"),
    [(SCRIPTED, "rename", {}), (PLAIN, "tool.0", {"change": True})],
    ids=["protocol of 2026", "before"],
)
async def test_a_server_that_says_its_tools_have_changed_has_its_list_marked(program_file, tool, arguments):
    row = await McpServer.objects.acreate(name="files", transport="stdio", command="unused")
    pool = McpPool()
    try:
        await call(pool, replace(program(program_file), id=row.pk), tool, **arguments)
        async with asyncio.timeout(60):
            while not row.tools_stale:
                await row.arefresh_from_db()
    finally:
        await pool.aclose()
