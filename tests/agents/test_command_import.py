"""`openfang export` and `import`: agents as a file that lives in git, and the original's manifests."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agents.models import Agent, AgentFallback, AgentMcpTool, LanguageModel, McpServer
from agents.transfer import exported, read_files, written
from tests.agents.admin_cast import model
from tests.agents.command_line import command

pytestmark = pytest.mark.django_db
HEAD = 'format = "openfang-agents"\nversion = 1\n'


@pytest.fixture(autouse=True)
def place(settings: Any, tmp_path: Path) -> None:
    settings.OPENFANG_DATA_DIR = tmp_path / "data"


@pytest.fixture
def two_agents() -> None:
    alpha, beta = model("alpha"), model("beta")
    server = McpServer.objects.create(name="time", url="http://mcp/mcp")
    coder = Agent.objects.create(
        name="co.der", description='Writes "code".', model=alpha,
        system_prompt='You “write”.\n\n"""Always\\ well."""\n',
        temperature=0.2, top_p=1, tools=["calculator", "shell"], max_tokens=100, max_llm_calls=3, max_tool_calls=0,
        run_timeout=7, tool_activity="hidden", honour_client_parameters=True, enabled=False,
    )  # fmt: skip
    AgentFallback.objects.create(agent=coder, model=beta)
    AgentMcpTool.objects.create(agent=coder, server=server)
    AgentMcpTool.objects.create(agent=coder, server=server, tool="convert/time")
    Agent.objects.create(name="plain", system_prompt="a\r\nb")


def import_text(tmp_path: Path, text: str, *options: str) -> Any:
    (tmp_path / "agents.toml").write_bytes(text.encode())
    return command("import", str(tmp_path / "agents.toml"), *options)


def mistakes(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(CommandError) as error:
        import_text(tmp_path, text)
    count, *places = str(error.value).splitlines()
    assert count.endswith("so nothing was changed:")
    assert not Agent.objects.exists()
    return [place.strip().removeprefix(f"{tmp_path}/agents.toml: ") for place in places]


def test_what_is_exported_and_imported_is_exported_the_same(two_agents: None, tmp_path: Path) -> None:
    file = command("export").out
    assert import_text(tmp_path, file).out == "Agents: 2 as in the file.\n"
    before = exported(list(Agent.objects.all())).partition('"agents"')[2]
    Agent.objects.all().delete()

    assert import_text(tmp_path, file).out == "+ co.der\n+ plain\nAgents: 2 made, 0 as in the file.\n"

    assert command("export").out == file
    assert exported(list(Agent.objects.all())).partition('"agents"')[2] == before


def test_a_file_holds_what_differs_from_the_defaults_in_a_form_for_git(two_agents: None) -> None:
    assert command("export").out == (
        "# The agents of an OpenFang server: openfang import FILE makes a server's agents like these.\n"
        f"{HEAD}\n"
        '[agents."co.der"]\n'
        'description = "Writes \\"code\\"."\n'
        'model = "acme/alpha"\n'
        'fallback_models = [\n    "acme/beta",\n]\n'
        'tools = [\n    "calculator",\n    "shell",\n]\n'
        'mcp_tools = [\n    "time/*",\n    "time/convert/time",\n]\n'
        "temperature = 0.2\n"
        "top_p = 1.0\n"
        "max_tokens = 100\n"
        "max_llm_calls = 3\n"
        "max_tool_calls = 0\n"
        "run_timeout = 7\n"
        "honour_client_parameters = true\n"
        'tool_activity = "hidden"\n'
        "enabled = false\n"
        'system_prompt = """\nYou “write”.\n\n""\\"Always\\\\ well.""\\"\n"""\n'
        "\n"
        "[agents.plain]\n"
        'system_prompt = "a\\r\\nb"\n'
    )


@example("\n")
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_every_prompt_comes_through(prompt: str) -> None:
    agent = Agent(name="coder", system_prompt=prompt)
    [plan] = read_files({"file": written([agent])}).plans
    assert plan.agent.system_prompt == prompt


def test_changes_are_told_field_by_field_and_a_dry_run_makes_none(two_agents: None, tmp_path: Path) -> None:
    file = command("export").out
    new = (
        file.replace("temperature = 0.2", "temperature = 0.5").replace('    "shell",\n', '    "web_fetch",\n')
        .replace("You “write”.", "You “rewrite”.").replace("acme/beta", "acme/new").replace('    "time/*",\n', "")
        .replace('[agents.plain]\nsystem_prompt = "a\\r\\nb"\n', '[agents.new]\nmodel = "acme/new"\n')
    )  # fmt: skip
    told = (
        "~ co.der\n"
        "    system_prompt:\n"
        "      -You “write”.\n"
        "      +You “rewrite”.\n"
        "\n"
        "    temperature: 0.2 → 0.5\n"
        "    fallback_models: - acme/beta, + acme/new\n"
        "    tools: - shell, + web_fetch\n"
        "    mcp_tools: - time/*\n"
        "+ new\n"
        "- plain\n"
    )

    dry = import_text(tmp_path, new, "--prune", "--dry-run").out
    assert dry == (told + "Agents: 1 to be made, 1 to be changed, 1 to be deleted, 0 as in the file.\n")
    assert command("export").out == file
    assert not LanguageModel.objects.filter(name="new").exists()

    assert import_text(tmp_path, new, "--prune").out == (
        told + "Agents: 1 made, 1 changed, 1 deleted, 0 as in the file.\n"
    )
    assert command("export").out == new
    assert LanguageModel.objects.filter(name="new").count() == 1


def test_without_prune_what_is_not_in_the_file_stays(two_agents: None, tmp_path: Path) -> None:
    import_text(tmp_path, HEAD + '[agents.plain]\ndescription = "x"\n')
    plain = Agent.objects.get(name="plain")
    # The file is all that an agent is: a field that is not there has its default.
    assert (plain.description, plain.system_prompt) == ("x", "")
    assert Agent.objects.filter(name="co.der").exists()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("format = ", "Not TOML: Invalid value (at end of document)."),
        ('format = "x"\n', "format: must be 'openfang-agents'. Has openfang export written this file?"),
        (HEAD.replace("1", "2"), "version: must be 1. Has openfang export written this file?"),
        (f"{HEAD}agent = 1\n", "line 3: agent: there is no such key."),
        (f"{HEAD}agents = 1\n", "agents: must be up to 1000 tables [agents.NAME]."),
        (f"{HEAD}[agents]\na = 1\n", "line 4: agents.a: must be an object."),
        (f'{HEAD}[agents.a]\nname = "b"\n', "line 4: agents.a.name: the name is the table's, [agents.a]."),
        (
            f'{HEAD}[agents.a]\nsystem_prompt = """\nprompts = 1\n"""\nprompts = [\n1,\n]\n',
            "line 7: agents.a.prompts: there is no such key.",
        ),
        (f'{HEAD}[agents.a]\nmax_tokens = "5"\n', "line 4: agents.a.max_tokens: must be a whole number."),
        (f"{HEAD}[agents.a]\ntemperature = 9\n", "line 4: agents.a.temperature: Ensure this value is less"),
        (f'{HEAD}[agents.a]\nmcp_tools = ["time"]\n', "line 4: agents.a.mcp_tools: must be a list of"),
        (f'{HEAD}[agents."A b"]\n', "agents.A b.name: Use 1 to 64 of a-z"),
        (f"{HEAD}[agents.a]\n[agents.A]\n", "agents.A.name: there is an agent named 'a' already."),
        (f'{HEAD}[agents.a]\ntools = ["zap"]\n', "line 3: agents.a: this server does not have the tool zap."),
        (
            f'{HEAD}[agents.a]\nmodel = "lab/x"\n',
            "line 3: agents.a: this server does not have the model lab/x, nor its provider.",
        ),
        (f'{HEAD}[agents.a]\nmcp_tools = ["time/x"]\n', "agents.a: this server does not have the MCP server time."),
    ],
)
def test_a_mistake_is_told_with_its_line_and_field(tmp_path: Path, text: str, found: str) -> None:
    [mistake] = mistakes(tmp_path, text)
    assert found in mistake


def test_one_mistake_keeps_everything_from_being_changed(tmp_path: Path) -> None:
    found = mistakes(
        tmp_path, f'{HEAD}[agents.good]\nmodel = "openai/new"\n[agents.bad]\nzap = 1\n[agents.bad2]\nzip = 1\n'
    )
    assert found == ["line 6: agents.bad.zap: there is no such key.", "line 8: agents.bad2.zip: there is no such key."]
    assert not LanguageModel.objects.filter(name="new").exists()


def test_the_mistakes_of_a_file_are_lines_in_a_terminal(tmp_path: Path) -> None:
    from tests.agents.command_line import Installation

    (tmp_path / "agents.toml").write_text(f"{HEAD}[agents.a]\nzap = 1\nzip = 1\n")
    failed = Installation(tmp_path / "data").openfang("import", str(tmp_path / "agents.toml"))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert failed.stderr == (
        "openfang: 2 mistakes, so nothing was changed:\n"
        f"  {tmp_path}/agents.toml: line 4: agents.a.zap: there is no such key.\n"
        f"  {tmp_path}/agents.toml: line 5: agents.a.zip: there is no such key.\n"
    )


def test_it_reads_its_standard_input_and_the_admins_json(monkeypatch: pytest.MonkeyPatch, two_agents: None) -> None:
    content = exported(list(Agent.objects.all()))
    Agent.objects.all().delete()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    assert command("import", "-").out.endswith("Agents: 2 made, 0 as in the file.\n")
    assert json.loads(exported(list(Agent.objects.all())))["agents"] == json.loads(content)["agents"]


def test_some_agents_can_be_exported_alone(two_agents: None) -> None:
    assert "[agents.plain]" in command("export", "plain").out
    assert "co.der" not in command("export", "plain").out
    assert command("agent", "export", "plain").out == command("export", "plain").out


MANIFEST = """
name = "orchestrator"
version = "0.1.0"
description = "Delegates."
author = "openfang"
module = "builtin:chat"
tags = ["x"]
mcp_servers = ["time", "github"]

[model]
provider = "anthropic"
model = "claude-opus-4-7"
api_key_env = "DEEPSEEK_API_KEY"
max_tokens = 8192
temperature = 0
system_prompt = "You delegate."

[[fallback_models]]
provider = "groq"
model = "llama-3.3-70b-versatile"

[[fallback_models]]
provider = "default"
model = "default"

[[fallback_models]]
provider = "nobody"
model = "x"

[schedule]
periodic = { cron = "every 1h" }

[resources]
max_llm_tokens_per_hour = 500000
max_cost_per_day_usd = 5.0

[autonomous]
max_iterations = 20

[capabilities]
tools = ["agent_send", "agent_spawn", "shell_exec", "file_read"]
shell = ["git *"]
"""


def test_a_manifest_of_the_original_becomes_an_agent_and_what_it_loses_is_named(tmp_path: Path) -> None:
    McpServer.objects.create(name="time", url="http://mcp/mcp")

    said = import_text(tmp_path, MANIFEST)

    assert said.out == "+ orchestrator\nAgents: 1 made, 0 as in the file.\n"
    agent = Agent.objects.get()
    assert (agent.name, agent.description, agent.system_prompt) == ("orchestrator", "Delegates.", "You delegate.")
    assert (str(agent.model), agent.temperature, agent.max_tokens) == ("anthropic/claude-opus-4-7", 0, 8192)
    assert (agent.max_llm_calls, agent.tools) == (20, ["agent_ask", "shell", "file_read"])
    assert [str(row.model) for row in agent.fallbacks.all()] == ["groq/llama-3.3-70b-versatile"]
    assert [str(row) for row in agent.mcp_tools.all()] == ["time: all tools"]
    assert [line.removeprefix("orchestrator: no equal here: ") for line in said.err.splitlines()] == [
        "model.api_key_env",
        "schedule",
        "resources.max_llm_tokens_per_hour",
        "resources.max_cost_per_day_usd (here a budget: budget set 5.0 --agent NAME --per day)",
        "capabilities.shell",
        "the model nobody/x: there is no provider nobody here",
        "the tool agent_spawn",
        "the MCP server github, which this server does not have",
    ]


@pytest.mark.parametrize(
    ("lines", "tools"),
    [
        ('profile = "coding"', ["file_read", "file_write", "file_list", "shell", "web_fetch"]),
        ('profile = "coding"\ntool_blocklist = ["shell_exec"]', ["file_read", "file_write", "file_list", "web_fetch"]),
        ('profile = "research"\ntool_allowlist = ["web_search"]', ["web_search"]),
        ('profile = "full"', []),
    ],
)
def test_the_originals_profiles_of_tools_are_known(tmp_path: Path, lines: str, tools: list[str]) -> None:
    import_text(tmp_path, f'name = "a"\n{lines}\n[model]\nprovider = "default"\nmodel = "default"\n')
    assert (Agent.objects.get().tools, Agent.objects.get().model) == (tools, None)
