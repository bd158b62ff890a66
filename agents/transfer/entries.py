"""Agents as plain data, whatever file it comes in: taken from the rows, and read back with every mistake named."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import ValidationError

from agents.models import Agent, LanguageModel, McpServer, Provider
from agents.tools import BUILT_IN

FORMAT, VERSION = "openfang-agents", 1
MOST_AGENTS = 1000
Where = Callable[[str], str]
"""Names the place of an agent's field in its file; that of the agent itself for the empty name."""
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
    "workspace_per_key": bool,
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


def data_of(agent: Agent) -> dict[str, Any]:
    """Return an agent as data. Models and MCP servers are named, not included; there are no secrets."""
    fallbacks = [fallback.model for fallback in agent.fallbacks.all()]
    return _data(agent, fallbacks, [(chosen.server, chosen.tool) for chosen in agent.mcp_tools.all()])


def data_of_plan(plan: Planned) -> dict[str, Any]:
    """Return the data that the agent of a plan would have."""
    return _data(
        plan.agent, plan.fallbacks, sorted(set(plan.mcp_tools), key=lambda chosen: (str(chosen[0]), chosen[1]))
    )


def _data(
    agent: Agent, fallbacks: Iterable[LanguageModel], mcp_tools: Iterable[tuple[McpServer, str]]
) -> dict[str, Any]:
    return {
        "name": agent.name,
        **{name: getattr(agent, name) for name in PLAIN},
        "model": str(agent.model) if agent.model else None,
        "fallback_models": [str(model) for model in fallbacks],
        "tools": agent.tools,
        "mcp_tools": [{"server": server.name, "tool": tool} for server, tool in mcp_tools],
    }


class Known:
    """What this server has of what agents name.

    Where agents may be `replaced`, only their file's own names are taken, and models that a provider is not known to
    have are made.
    """

    def __init__(self, *, replaced: bool) -> None:
        self.replaced = replaced
        self.names = set() if replaced else set(Agent.objects.values_list("name", flat=True))
        self._models = {str(model): model for model in LanguageModel.objects.select_related("provider")}
        self._providers = {provider.name: provider for provider in Provider.objects.all()} if replaced else {}
        self.servers = {server.name: server for server in McpServer.objects.all()}
        # A tool that this version no longer has stays with the agents that have it.
        kept = Agent.objects.values_list("tools", flat=True) if replaced else []
        self.tools = {*BUILT_IN, *(tool for tools in kept for tool in tools)}

    def model(self, name: str) -> LanguageModel | None:
        provider, _, called = name.partition("/")
        if name not in self._models and provider in self._providers:
            made = LanguageModel(provider=self._providers[provider], name=called)
            try:
                made.full_clean()
            except ValidationError:
                return None
            self._models[name] = made
        return self._models.get(name)


def plan_of(entry: Any, where: Where, known: Known, problems: list[str]) -> Planned | None:
    """Return the agent that an entry of a file describes, or None if something is wrong, which goes to `problems`."""
    if not isinstance(entry, dict):
        problems.append(f"{where('')}: must be an object.")
        return None
    wrong = [f"{where(key)}: there is no such key." for key in entry if key not in KEYS]
    wrong += _wrong_kinds(entry, where)
    if wrong:
        problems.extend(wrong)
        return None
    plain = {name: entry[name] for name in PLAIN if name in entry}
    plan = Planned(Agent(name=entry["name"], tools=list(entry.get("tools") or []), **plain))
    _take_names(plan, entry, known)
    problems.extend(_wrong_values(plan.agent, where, known))
    known.names.add(plan.agent.name)
    return plan


def _wrong_kinds(entry: dict[str, Any], where: Where) -> list[str]:
    wrong = [] if isinstance(entry.get("name"), str) else [f"{where('name')}: must be a text."]
    for name, kind in PLAIN.items():
        value = entry.get(name)
        if name not in entry or (value is None and name in OPTIONAL):
            continue
        accepted = (int, float) if kind is float else kind
        if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
            wrong.append(f"{where(name)}: must be {KINDS[kind]}.")
    if not isinstance(entry.get("model"), str | None):
        wrong.append(f"{where('model')}: must be the name of a model, such as openai/gpt-5, or null.")
    for name in ("tools", "fallback_models"):
        if not all(isinstance(item, str) for item in _listed(entry, name)):
            wrong.append(f"{where(name)}: must be a list of names.")
    if not all(_is_mcp_tool(item) for item in _listed(entry, "mcp_tools")):
        wrong.append(f'{where("mcp_tools")}: must be a list of objects {{"server": "NAME", "tool": "NAME"}}.')
    return wrong


def _listed(entry: dict[str, Any], name: str) -> list[Any]:
    value = entry.get(name, [])
    return value if isinstance(value, list) else [None]


def _is_mcp_tool(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"server", "tool"} and all(isinstance(v, str) for v in item.values())


def _take_names(plan: Planned, entry: dict[str, Any], known: Known) -> None:
    """Find what the file names in this server; what is not here is left out, and said."""
    if name := entry.get("model"):
        plan.agent.model = known.model(name)
        if plan.agent.model is None:
            instead = ", nor its provider" if known.replaced else " (the agent gets the server's default model)"
            plan.missing.append(f"the model {name}{instead}")
    for name in dict.fromkeys(entry.get("fallback_models", [])):
        if model := known.model(name):
            plan.fallbacks.append(model)
        else:
            plan.missing.append(f"the fallback model {name}")
    for item in entry.get("mcp_tools", []):
        if server := known.servers.get(item["server"]):
            plan.mcp_tools.append((server, item["tool"]))
        else:
            plan.missing.append(f"the MCP server {item['server']}")
    missing = [name for name in plan.agent.tools if name not in known.tools]
    plan.missing += [f"the tool {name}" for name in missing]
    plan.agent.tools = [name for name in plan.agent.tools if name in known.tools]


def _wrong_values(agent: Agent, where: Where, known: Known) -> list[str]:
    wrong = []
    try:
        agent.clean_fields()
    except ValidationError as error:
        wrong = [f"{where(name)}: {' '.join(texts)}" for name, texts in error.message_dict.items()]
    if agent.name in known.names:
        wrong.append(f"{where('name')}: there is an agent named {agent.name!r} already. Rename one of the two.")
    return wrong
