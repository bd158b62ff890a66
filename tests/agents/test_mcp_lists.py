"""A server's list of tools: what is bad in it costs itself alone, and is named to the administrator."""

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from agents.errors import ToolFailed
from agents.models import Agent, AgentMcpTool, McpServer
from agents.tools.mcp import McpPool, McpServerSpec, McpToolSpec, read_mcp_tools, refresh
from openfang_site.checkup.mcp import left_out_tools
from tests.agents.admin_cast import text
from tests.agents.mcp_parts import CONTEXT, PLAIN, patience, scripted

__all__ = ["patience"]  # a fixture
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("patience")]
GOOD: dict[str, Any] = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}


def named(name: object, schema: object = None, **members: object) -> dict[str, Any]:
    return {"name": name, "inputSchema": GOOD if schema is None else schema, **members}


def row_of(spec: McpServerSpec) -> McpServer:
    return McpServer.objects.create(name=spec.name, transport="stdio", command=spec.command, args=list(spec.args))


def listed(file: Path, *pages: Any) -> McpServer:
    row = row_of(scripted(file, *pages))
    refresh(row)
    row.refresh_from_db()
    return row


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "script.json"


def test_of_31_tools_one_with_an_empty_schema_is_repaired_and_none_is_lost(script):
    tools = [*(named(f"tool_{n}") for n in range(30)), named("odd", {})]
    row = listed(script, {"tools": tools})
    assert row.tool_names() == [*(f"tool_{n}" for n in range(30)), "odd"]
    assert row.tools[-1]["parameters"] == {"type": "object", "properties": {}}
    assert row.tools_left_out == []


def test_bad_tools_are_left_out_and_named(script, caplog):
    bad = [
        (named("list", [1]), "list", "its schema is not an object"),
        (named("array", {"type": "array"}), "array", "its arguments are of type 'array', not an object"),
        (named("huge", {"properties": {"a": {"enum": ["x" * 70_000]}}}), "huge", "its schema has more than 64 KB"),
        (named(None), "", "it has no name"),
        (named(7), "7", "it has no name"),
        (named("x" * 201), "x" * 200, "its name is longer than 200 characters"),
        (named("a\x00b"), "ab", "its name has a control character"),
        ("nonsense", "", "entry 9 of the page is not an object"),
        (None, "", "entry 10 of the page is not an object"),
    ]
    tools = [named("first"), *(tool for tool, _, _ in bad), named("last"), named("first")]
    with caplog.at_level(logging.WARNING):
        row = listed(script, {"tools": tools})
    assert row.tool_names() == ["first", "last"]
    expected = [*((name, reason) for _, name, reason in bad), ("first", "another tool of the list has this name")]
    assert [(member["name"], member["reason"]) for member in row.tools_left_out] == expected
    assert "The MCP server 'files': left out list: its schema is not an object" in caplog.messages
    assert "The MCP server 'files': left out a tool without a name: it has no name" in caplog.messages


def test_odd_members_that_nobody_needs_cost_nothing(script):
    odd: list[dict[str, Any]] = [
        {"description": 5},
        {"title": None, "annotations": "none", "outputSchema": [], "execution": 3, "icons": {}, "_meta": []},
        {"outputSchema": {"type": "string"}, "annotations": {"readOnlyHint": "maybe"}},
        {"description": "A NUL \x00 that PostgreSQL would refuse, half an emoji \ud83d."},
    ]
    tools = [named(f"tool_{number}", **members) for number, members in enumerate(odd)]
    row = listed(script, {"tools": tools, "_meta": 1, "ttlMs": -1})
    assert row.tool_names() == ["tool_0", "tool_1", "tool_2", "tool_3"]
    assert row.tools_left_out == []
    odd_text = "A NUL \ufffd that PostgreSQL would refuse, half an emoji \ufffd."
    assert [tool["description"] for tool in row.tools] == ["", "", "", odd_text]


@pytest.mark.parametrize(
    ("pages", "names", "reason"),
    [
        (
            [{"tools": [named("a")], "nextCursor": "1"}, None, {"tools": [named("c")]}],
            ["a"],
            "page 2 of the list could not be read, nor any after it: The page is lost.",
        ),
        (
            [{"tools": [named("a")], "nextCursor": "1"}, {"tools": "none", "nextCursor": "2"}, {"tools": [named("c")]}],
            ["a", "c"],
            "the page has no list of tools",
        ),
        ([{"tools": [named("a")], "nextCursor": 1}], ["a"], "the list goes on, but its cursor is not a text"),
        (
            [{"tools": [named("a")], "nextCursor": "1"}, {"tools": [named("b")], "nextCursor": "1"}],
            ["a", "b"],
            "page 2 of the list is followed by itself",
        ),
    ],
)
def test_a_broken_page_keeps_the_good_ones(script, pages, names, reason):
    row = listed(script, *pages)
    assert row.tool_names() == names
    assert row.tools_left_out == [{"name": "", "reason": reason}]


def test_a_list_without_a_readable_first_page_is_an_error_and_keeps_the_old_one(script):
    row = row_of(scripted(script, None))
    row.tools = [{"name": "old", "description": "", "parameters": {}}]
    row.save()
    with pytest.raises(ToolFailed, match="does not list its tools: The page is lost"):
        refresh(row)
    row.refresh_from_db()
    assert row.tool_names() == ["old"]


def test_the_next_good_list_forgets_what_was_left_out(script):
    row = listed(script, {"tools": [named("a"), named("bad", [1])]})
    scripted(script, {"tools": [named("a"), named("bad")]})
    refresh(row)
    assert (row.tool_names(), row.tools_left_out) == (["a", "bad"], [])


def test_the_administrator_reads_it_on_the_page_of_the_server(admin_client: Client, script):
    scripted(script, {"tools": [named("a"), named("<bad>", [1]), None]})
    posted = {"name": "plain", "transport": "stdio", "command": sys.executable, "timeout": 60, "enabled": "on"}
    posted |= {"headers": "{}", "args": json.dumps([PLAIN, "script", str(script)]), "environment": "[]"}

    made = text(admin_client.post("/admin/agents/mcpserver/add/", posted | {"_continue": "1"}, follow=True))

    assert "2 entries of its list were left out" in made
    assert "&lt;bad&gt;: its schema is not an object" in made
    assert "a tool without a name: entry 3 of the page is not an object" in made


def test_doctor_names_them_too(script):
    listed(script, {"tools": [named("a"), *(named(f"bad_{number}", [1]) for number in range(5))]})
    said = {finding.check: finding for finding in left_out_tools()}
    assert said["MCP server files"].text == (
        "Agents do not have all of its tools. bad_0: its schema is not an object; bad_1: its schema is not an object; "
        "bad_2: its schema is not an object; and 2 more."
    )
    McpServer.objects.update(enabled=False)
    assert not list(left_out_tools())


def test_a_parameter_with_a_name_that_providers_refuse_is_renamed_for_the_model_alone(script):
    properties = {"file path": {"type": "string"}, "file_path": {"type": "integer"}}
    page = {"tools": [named("read", {"type": "object", "properties": properties, "required": ["file path"]})]}
    row = listed(script, page)
    agent = Agent.objects.create(name="coder")
    AgentMcpTool.objects.create(agent=agent, server=row, tool="read")
    (spec,) = read_mcp_tools()[agent.id]
    assert spec.told.function.parameters == {
        "type": "object",
        "properties": {"file_path_2": {"type": "string"}, "file_path": {"type": "integer"}},
        "required": ["file_path_2"],
    }
    answer = asyncio.run(answer_of(spec, '{"file_path_2": "a.txt", "file_path": 1}'))
    assert json.loads(answer)["arguments"] == {"file path": "a.txt", "file_path": 1}


async def answer_of(spec: McpToolSpec, arguments: str) -> str:
    pool = McpPool()
    try:
        (tool,) = pool.tools_for([spec])
        return (await tool.call(CONTEXT, arguments)).text
    finally:
        await pool.aclose()
