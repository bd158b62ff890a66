"""Agents as files: what is written is read again, and what is wrong is named with its place."""

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from agents.models import Agent, AgentFallback, AgentMcpTool, McpServer
from agents.transfer import exported
from tests.agents.admin_cast import model, text

pytestmark = pytest.mark.django_db
IMPORT = "/admin/agents/agent/import/"


def file_of(*agents: Any, **fields: Any) -> str:
    return json.dumps({"format": "openfang-agents", "version": 1, "agents": list(agents), **fields})


def problems(client: Client, content: str) -> list[str]:
    return list(client.post(IMPORT, {"text": content}).context["form"].non_field_errors())


def test_an_agent_comes_through_export_and_import_as_it_was(admin_client: Client) -> None:
    alpha, beta = model("alpha"), model("beta")
    server = McpServer.objects.create(name="time", url="http://mcp/mcp")
    agent = Agent.objects.create(
        name="coder", description="Writes.", system_prompt="You “write”.\n", model=alpha, temperature=0.2,
        tools=["calculator"], max_tokens=100, tool_activity="hidden", enabled=False, run_timeout=7,
    )  # fmt: skip
    AgentFallback.objects.create(agent=agent, model=beta)
    AgentMcpTool.objects.create(agent=agent, server=server)
    content = exported([agent])
    agent.delete()

    admin_client.post(IMPORT, {"text": content, "confirmed": "1"})

    made = Agent.objects.get()
    assert json.loads(exported([made]))["agents"] == json.loads(content)["agents"]
    assert (made.model, made.system_prompt, made.temperature, made.enabled) == (alpha, "You “write”.\n", 0.2, False)
    assert [row.model for row in made.fallbacks.all()] == [beta]
    assert [row.server for row in made.mcp_tools.all()] == [server]


def test_what_a_file_would_make_is_shown_and_nothing_is_made_before_that_is_confirmed(admin_client: Client) -> None:
    content = file_of({"name": "coder", "model": "x/y", "tools": ["calculator", "zap"], "fallback_models": ["a/b"],
                       "mcp_tools": [{"server": "time", "tool": ""}]})  # fmt: skip
    upload = SimpleUploadedFile("agents.json", content.encode(), "application/json")

    page = text(admin_client.post(IMPORT, {"file": upload}))

    assert "The file would make 1 agent. Nothing is made yet." in page
    assert (
        "the model x/y (the agent gets the server&#x27;s default model); the fallback model a/b; the MCP server time; "
        "the tool zap."
    ) in page
    assert not Agent.objects.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "Choose a file, or paste its text."),
        ("{", "Not JSON: Expecting property name enclosed in double quotes in line 1, column 2."),
        ("[]", 'format: must be "openfang-agents". Is this a file that an OpenFang server has exported?'),
        (file_of(version=2), "version: this server reads version 1, not 2."),
        (file_of(), "agents: must be a list of 1 to 1000 agents."),
        (file_of("coder"), "agents[0]: must be an object."),
        (file_of({"name": "a"}, {"description": "x"}), "agents[1].name: must be a text."),
        (file_of({"name": "a", "prompt": "x"}), "agents[0].prompt: there is no such key."),
        (file_of({"name": "a", "max_tokens": "5"}), "agents[0].max_tokens: must be a whole number."),
        (file_of({"name": "a", "max_tokens": True}), "agents[0].max_tokens: must be a whole number."),
        (file_of({"name": "a", "run_timeout": None}), "agents[0].run_timeout: must be a whole number."),
        (file_of({"name": "a", "tools": "shell"}), "agents[0].tools: must be a list of names."),
        (
            file_of({"name": "a", "mcp_tools": ["time"]}),
            'agents[0].mcp_tools: must be a list of objects {"server": "NAME", "tool": "NAME"}.',
        ),
        (
            file_of({"name": "a", "temperature": 9}),
            "agents[0].temperature: Ensure this value is less than or equal to 2.",
        ),
        (
            file_of({"name": "a", "tool_activity": "loud"}),
            "agents[0].tool_activity: Value 'loud' is not a valid choice.",
        ),
        (
            file_of({"name": "My Agent"}),
            "agents[0].name: Use 1 to 64 of a-z, 0-9, dot, underscore and hyphen, beginning with a letter or digit.",
        ),
        (file_of({"name": "taken"}), "agents[0].name: there is an agent named 'taken' already. Rename one of the two."),
        (
            file_of({"name": "twin"}, {"name": "TWIN"}),
            "agents[1].name: there is an agent named 'twin' already. Rename one of the two.",
        ),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_place(admin_client: Client, content: str, message: str) -> None:
    Agent.objects.create(name="taken")

    assert problems(admin_client, content) == [message]
    assert Agent.objects.count() == 1


def test_everything_that_is_wrong_is_told_at_once(admin_client: Client) -> None:
    found = problems(admin_client, file_of({"name": 1, "enabled": "yes"}, {"name": "no way"}))

    assert [problem.split(":")[0] for problem in found] == ["agents[0].name", "agents[0].enabled", "agents[1].name"]


def test_a_file_that_is_not_text_is_refused(admin_client: Client) -> None:
    response = admin_client.post(IMPORT, {"file": SimpleUploadedFile("agents.json", b"\xff\xfe\x00")})

    assert list(response.context["form"].non_field_errors()) == ["The file is not text in UTF-8."]
