"""Agents as a file: written by one server, read by another, with an error for each place that is wrong."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction

from agents.models import Agent, AgentFallback, AgentMcpTool, LanguageModel, McpServer
from agents.tools import BUILT_IN

FORMAT, VERSION = "openfang-agents", 1
MOST_AGENTS = 1000
PLAIN = {
    "description": str,
    "system_prompt": str,
    "temperature": float,
    "top_p": float,
    "max_tokens": int,
    "max_llm_calls": int,
    "max_tool_calls": int,
    "run_timeout": int,
    "honour_client_parameters": bool,
    "tool_activity": str,
    "enabled": bool,
}
KINDS = {
    str: "a text",
    float: "a number",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}
OPTIONAL = ("temperature", "top_p", "max_tokens")
KEYS = ("name", *PLAIN, "model", "fallback_models", "tools", "mcp_tools")


class NotReadable(ValueError):
    """What is wrong with a file, a line for each place."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass
class Planned:
    """An agent that a file would make, with what of it this server does not have."""

    agent: Agent
    fallbacks: list[LanguageModel] = field(default_factory=list)
    mcp_tools: list[tuple[McpServer, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def exported(agents: list[Agent]) -> str:
    """Return agents as the text of a file. Models and MCP servers are named, not included; there are no secrets."""
    document = {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "agents": [_as_data(agent) for agent in agents],
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _as_data(agent: Agent) -> dict[str, Any]:
    return {
        "name": agent.name,
        **{name: getattr(agent, name) for name in PLAIN},
        "model": str(agent.model) if agent.model else None,
        "fallback_models": [str(fallback.model) for fallback in agent.fallbacks.all()],
        "tools": agent.tools,
        "mcp_tools": [{"server": chosen.server.name, "tool": chosen.tool} for chosen in agent.mcp_tools.all()],
    }


def read(text: str) -> list[Planned]:
    """Return what a file would make. Raises NotReadable with everything that is wrong with it."""
    entries = _entries(text)
    known = _Known()
    problems: list[str] = []
    plans = [_plan(entry, f"agents[{number}]", known, problems) for number, entry in enumerate(entries)]
    if problems:
        raise NotReadable(problems)
    return [plan for plan in plans if plan is not None]


def _entries(text: str) -> list[Any]:
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise NotReadable([f"Not JSON: {error.msg} in line {error.lineno}, column {error.colno}."]) from None
    except RecursionError:
        raise NotReadable(["Not a file of agents: it is nested too deeply."]) from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise NotReadable([f'format: must be "{FORMAT}". Is this a file that an OpenFang server has exported?'])
    if document.get("version") != VERSION:
        raise NotReadable([f"version: this server reads version {VERSION}, not {document.get('version')!r}."])
    entries = document.get("agents")
    if not isinstance(entries, list) or not 0 < len(entries) <= MOST_AGENTS:
        raise NotReadable([f"agents: must be a list of 1 to {MOST_AGENTS} agents."])
    return entries


class _Known:
    """What this server has of what agents name."""

    def __init__(self) -> None:
        self.names = set(Agent.objects.values_list("name", flat=True))
        self.models = {str(model): model for model in LanguageModel.objects.select_related("provider")}
        self.servers = {server.name: server for server in McpServer.objects.all()}


def _plan(entry: Any, place: str, known: _Known, problems: list[str]) -> Planned | None:
    if not isinstance(entry, dict):
        problems.append(f"{place}: must be an object.")
        return None
    wrong = [f"{place}.{key}: there is no such key." for key in entry if key not in KEYS]
    wrong += _wrong_kinds(entry, place)
    if wrong:
        problems.extend(wrong)
        return None
    plain = {name: entry[name] for name in PLAIN if name in entry}
    plan = Planned(Agent(name=entry["name"], tools=list(entry.get("tools") or []), **plain))
    _take_names(plan, entry, place, known)
    problems.extend(_wrong_values(plan.agent, place, known))
    known.names.add(plan.agent.name)
    return plan


def _wrong_kinds(entry: dict[str, Any], place: str) -> list[str]:
    wrong = [] if isinstance(entry.get("name"), str) else [f"{place}.name: must be a text."]
    for name, kind in PLAIN.items():
        value = entry.get(name)
        if name not in entry or (value is None and name in OPTIONAL):
            continue
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            wrong.append(f"{place}.{name}: must be {KINDS[kind]}.")
    if not isinstance(entry.get("model"), str | None):
        wrong.append(f"{place}.model: must be the name of a model, such as openai/gpt-5, or null.")
    for name in ("tools", "fallback_models"):
        if not all(isinstance(item, str) for item in _listed(entry, name)):
            wrong.append(f"{place}.{name}: must be a list of names.")
    if not all(_is_mcp_tool(item) for item in _listed(entry, "mcp_tools")):
        wrong.append(f'{place}.mcp_tools: must be a list of objects {{"server": "NAME", "tool": "NAME"}}.')
    return wrong


def _listed(entry: dict[str, Any], name: str) -> list[Any]:
    value = entry.get(name, [])
    return value if isinstance(value, list) else [None]


def _is_mcp_tool(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"server", "tool"} and all(isinstance(v, str) for v in item.values())


def _take_names(plan: Planned, entry: dict[str, Any], place: str, known: _Known) -> None:
    """Find what the file names in this server; what is not here is left out, and said."""
    if name := entry.get("model"):
        plan.agent.model = known.models.get(name)
        if plan.agent.model is None:
            plan.missing.append(f"the model {name} (the agent gets the server's default model)")
    for name in dict.fromkeys(entry.get("fallback_models", [])):
        if model := known.models.get(name):
            plan.fallbacks.append(model)
        else:
            plan.missing.append(f"the fallback model {name}")
    for item in entry.get("mcp_tools", []):
        if server := known.servers.get(item["server"]):
            plan.mcp_tools.append((server, item["tool"]))
        else:
            plan.missing.append(f"the MCP server {item['server']}")
    missing = [name for name in plan.agent.tools if name not in BUILT_IN]
    plan.missing += [f"the tool {name}" for name in missing]
    plan.agent.tools = [name for name in plan.agent.tools if name in BUILT_IN]


def _wrong_values(agent: Agent, place: str, known: _Known) -> list[str]:
    wrong = []
    try:
        agent.clean_fields()
    except ValidationError as error:
        wrong = [f"{place}.{name}: {' '.join(texts)}" for name, texts in error.message_dict.items()]
    if agent.name in known.names:
        wrong.append(f"{place}.name: there is an agent named {agent.name!r} already. Rename one of the two.")
    return wrong


@transaction.atomic
def make(plans: list[Planned]) -> list[Agent]:
    """Make the agents of a file, all or none."""
    for plan in plans:
        plan.agent.save()
        for position, model in enumerate(plan.fallbacks):
            AgentFallback.objects.create(agent=plan.agent, model=model, position=position)
        for server, tool in dict.fromkeys(plan.mcp_tools):
            AgentMcpTool.objects.create(agent=plan.agent, server=server, tool=tool)
    return [plan.agent for plan in plans]
