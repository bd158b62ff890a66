"""`openfang agent`: one agent shown, changed, copied and deleted."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from agents.models import Agent, ApiKey, LanguageModel, McpServer, Revision
from tests.agents.command_line import command, refused

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path
    settings.OPENFANG_DEFAULT_PROVIDER = "embedded"


@pytest.fixture
def coder() -> Agent:
    command("spawn", "coder")
    return Agent.objects.get()


def test_an_agent_is_shown_with_its_prompt_and_the_model_that_answers(coder: Agent) -> None:
    shown = command("agent", "show", "coder").out
    assert f"id                        {coder.id}\n" in shown
    assert "answers_with              embedded/smollm2-135m-instruct\n" in shown
    assert shown.endswith(f"\n{coder.system_prompt}\n")
    facts = json.loads(command("agent", "show", "coder", "--json").out)
    assert (facts["model"], facts["answers_with"]) == (None, "embedded/smollm2-135m-instruct")
    assert (facts["tools"], facts["enabled"], facts["max_tokens"]) == (coder.tools, True, None)


def test_fields_are_set_and_what_has_changed_is_told(coder: Agent, tmp_path: Path) -> None:
    (tmp_path / "prompt.txt").write_text("You write.\nIn two lines.")
    McpServer.objects.create(name="time", url="http://mcp/mcp")
    before = Revision.current()

    said = command(
        *("agent", "set", "coder", "temperature=0.2", "max_tokens=100", "tools=calculator", "mcp_tools=time/*"),
        *("model=openai/gpt-5.4-mini", "fallback_models=groq/not-in-the-catalog", "honour_client_parameters=TRUE"),
        f"system_prompt=@{tmp_path / 'prompt.txt'}",
    ).out

    coder.refresh_from_db()
    assert (coder.temperature, coder.max_tokens, coder.tools) == (0.2, 100, ["calculator"])
    assert (str(coder.model), coder.honour_client_parameters) == ("openai/gpt-5.4-mini", True)
    assert coder.system_prompt == "You write.\nIn two lines."
    assert [str(row.model) for row in coder.fallbacks.all()] == ["groq/not-in-the-catalog"]
    assert [str(row) for row in coder.mcp_tools.all()] == ["time: all tools"]
    assert Revision.current() > before
    assert "    temperature: (default) → 0.2\n" in said
    assert "    mcp_tools: + time/*\n" in said
    assert "      +In two lines.\n" in said


def test_nothing_after_the_equals_sign_is_the_default(coder: Agent) -> None:
    command("agent", "set", "coder", "temperature=1", "model=openai/gpt-5.4-mini")
    command("agent", "set", "coder", "temperature=", "model=", "tools=", "description=")
    coder.refresh_from_db()
    assert (coder.temperature, coder.model, coder.tools, coder.description) == (None, None, [], "")


def test_what_is_like_that_already_is_left_alone(coder: Agent) -> None:
    before = Revision.current()
    assert command("agent", "set", "coder", "enabled=true").out == "coder is like that already.\n"
    assert Revision.current() == before


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("prompt=x", "'prompt=x' is not FIELD=VALUE with one of these fields: name, description, system_prompt,"),
        ("temperature", "'temperature' is not FIELD=VALUE"),
        ("temperature=hot", "temperature: must be a number."),
        ("temperature=9", "temperature: Ensure this value is less than or equal to 2."),
        ("max_tokens=1.5", "max_tokens: must be a whole number."),
        ("run_timeout=", "run_timeout: must be a whole number."),
        ("enabled=maybe", "enabled: must be true or false."),
        ("tools=zap", "This server does not have the tool zap."),
        ("model=nobody/x", "This server does not have the model nobody/x, nor its provider."),
        ("mcp_tools=time/x", "This server does not have the MCP server time."),
        ("mcp_tools=time", "mcp_tools: 'time' is not SERVER/TOOL; SERVER/* is all of them"),
        ("name=writer", "There is an agent named 'writer' already."),
        ("name=My Agent", "name: Use 1 to 64 of a-z, 0-9, dot, underscore and hyphen"),
        ("system_prompt=@/no/such/file", "/no/such/file cannot be read (No such file or directory)."),
    ],
)
def test_a_field_that_is_wrong_is_one_clear_line_and_changes_nothing(coder: Agent, field: str, message: str) -> None:
    command("spawn", "writer")
    models = LanguageModel.objects.count()
    assert message in refused("agent", "set", "coder", "description=changed", field)
    coder.refresh_from_db()
    assert coder.description != "changed"
    assert LanguageModel.objects.count() == models


def test_an_agent_can_be_renamed(coder: Agent) -> None:
    assert 'name: "coder" → "programmer"' in command("agent", "set", "coder", "name=Programmer").out
    assert Agent.objects.get().pk == coder.pk


def test_a_disabled_agent_comes_back_when_it_is_enabled(coder: Agent) -> None:
    assert command("agent", "disable", "coder").out == "Disabled coder: no client sees it.\n"
    assert not Agent.objects.get().enabled
    assert command("agent", "enable", "CODER").out == "Enabled coder: clients see it.\n"
    assert Agent.objects.get().enabled


def test_a_clone_is_like_the_first_but_for_its_name(coder: Agent) -> None:
    command("agent", "set", "coder", "fallback_models=openai/gpt-5.4-mini", "temperature=0.5")
    assert command("agent", "clone", "coder", "reviewer").out == "Made the agent reviewer, which is like coder.\n"
    clone = json.loads(command("agent", "show", "reviewer", "--json").out)
    first = json.loads(command("agent", "show", "coder", "--json").out)
    own = dict.fromkeys(("id", "name", "created_at", "updated_at"))
    assert {**clone, **own} == {**first, **own}
    assert "name: Agent with this Name already exists." in refused("agent", "clone", "coder", "reviewer")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_agent_is_killed_when_that_is_meant(coder: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused("agent", "kill", "coder") == "To delete coder for good, say --yes."
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert command("agent", "kill", "coder").out.endswith("Nothing was changed.\n")
    assert Agent.objects.exists()
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    assert "Deleted the agent coder." in command("agent", "kill", "coder").out
    assert not Agent.objects.exists()


def test_a_key_that_was_for_a_killed_agent_does_not_open_others(coder: Agent) -> None:
    command("key", "create", "ci", "--agent", "coder")
    command("agent", "kill", "coder", "--yes")
    assert ApiKey.objects.get().limited


@pytest.mark.parametrize("action", ["show", "enable", "kill", "export"])
def test_an_agent_that_is_not_there_is_named(action: str) -> None:
    assert refused("agent", action, "nobody") == "There is no agent 'nobody'. Agents: there are none."


def test_a_tool_that_this_version_no_longer_has_stays_with_its_agent(coder: Agent, tmp_path: Path) -> None:
    Agent.objects.update(tools=["bygone", "calculator"])
    command("agent", "set", "coder", "temperature=0.5")
    (tmp_path / "agents.toml").write_text(command("export").out)
    assert command("import", str(tmp_path / "agents.toml")).out == "Agents: 1 as in the file.\n"
    assert Agent.objects.get().tools == ["bygone", "calculator"]
