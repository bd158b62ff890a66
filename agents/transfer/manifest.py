"""The manifests of the original OpenFang, `agents/*/agent.toml`: what has an equal here is taken, the rest is named."""

from collections.abc import Iterator
from typing import Any

from agents.tools import BUILT_IN
from agents.transfer.entries import Known, Where

# The original's names of tools that are called otherwise here.
TOOLS = {"shell_exec": "shell", "agent_send": "agent_ask", "apply_patch": "file_edit"}
# What its profiles of tools stand for, where a manifest lists no tools itself.
PROFILES = {
    "minimal": ["file_read", "file_list"],
    "coding": ["file_read", "file_write", "file_list", "shell_exec", "web_fetch"],
    "research": ["web_fetch", "web_search", "file_read", "file_write"],
    "messaging": ["agent_send", "memory_store", "memory_recall"],
    "automation": [
        *("file_read", "file_write", "file_list", "shell_exec", "web_fetch", "web_search"),
        *("agent_send", "memory_store", "memory_recall"),
    ],
}
# The original's word for its settings' model.
DEFAULT = "default"
TAKEN = frozenset({"name", "description", "model", "fallback_models", "mcp_servers", "profile"})
TAKEN_OF = {
    "model": frozenset({"provider", "model", "name", "max_tokens", "temperature", "system_prompt"}),
    "capabilities": frozenset({"tools"}),
    "autonomous": frozenset({"max_iterations"}),
}
# Nothing is lost without these.
SILENT = frozenset({"version", "author", "tags", "module", "tool_allowlist", "tool_blocklist"})
CHAT = "builtin:chat"
BUDGETS = {"max_cost_per_day_usd": "day", "max_cost_per_month_usd": "month"}


def is_manifest(document: dict[str, Any]) -> bool:
    return "agents" not in document and "format" not in document and isinstance(document.get("model"), dict)


def entry_of(document: dict[str, Any], known: Known) -> tuple[dict[str, Any], list[str]]:
    """Return the agent of a manifest as data, and what of the manifest it lacks."""
    lost = list(_without_equal(document))
    model = _table(document, "model")
    entry: dict[str, Any] = {"name": document.get("name")}
    for name, source in (("description", document), ("system_prompt", model), ("max_tokens", model)):
        if name in source:
            entry[name] = source[name]
    if "temperature" in model:
        entry["temperature"] = model["temperature"]
    if calls := _table(document, "autonomous").get("max_iterations"):
        entry["max_llm_calls"] = calls
    entry["model"] = _model(model, known, lost)
    fallbacks = (
        _model(table, known, lost) for table in _listed(document, "fallback_models") if isinstance(table, dict)
    )
    entry["fallback_models"] = list(dict.fromkeys(name for name in fallbacks if name and name != entry["model"]))
    entry["tools"] = list(_tools(document, lost))
    entry["mcp_tools"] = list(_mcp_tools(document, known, lost))
    return entry, lost


def where_in(document: dict[str, Any]) -> Where:
    def where(key: str) -> str:
        inside = "model." if key in TAKEN_OF["model"] - {"name"} and key != "model" else ""
        return f"{inside}{key}" if key else str(document.get("name"))

    return where


def _model(table: dict[str, Any], known: Known, lost: list[str]) -> str | None:
    provider, name = table.get("provider", DEFAULT), table.get("model", table.get("name", DEFAULT))
    if DEFAULT in (provider, name):
        if provider != name:
            lost.append(f"the model {provider}/{name}, of which one half is the server's default")
        return None
    if known.model(f"{provider}/{name}") is None:
        lost.append(f"the model {provider}/{name}: there is no provider {provider} here")
        return None
    return f"{provider}/{name}"


def _tools(document: dict[str, Any], lost: list[str]) -> Iterator[str]:
    names = _names(_table(document, "capabilities"), "tools") or PROFILES.get(str(document.get("profile")), [])
    if "*" in names or document.get("profile") in ("full", "custom"):
        lost.append('the tools "*": here an agent has those it is given, one by one')
    allowed, blocked = _names(document, "tool_allowlist"), _names(document, "tool_blocklist")
    names = [name for name in names if name != "*" and (not allowed or name in allowed) and name not in blocked]
    lost += [f"the tool {name}" for name in names if TOOLS.get(name, name) not in BUILT_IN]
    yield from dict.fromkeys(tool for name in names if (tool := TOOLS.get(name, name)) in BUILT_IN)


def _mcp_tools(document: dict[str, Any], known: Known, lost: list[str]) -> Iterator[dict[str, str]]:
    for name in _names(document, "mcp_servers"):
        if name in known.servers:
            yield {"server": name, "tool": ""}
        else:
            lost.append(f"the MCP server {name}, which this server does not have")


def _without_equal(document: dict[str, Any]) -> Iterator[str]:
    """Name what this server has nothing for."""
    if document.get("module", CHAT) != CHAT:
        yield f"module = {document['module']!r}, a program of its own"
    for key, value in document.items():
        if isinstance(value, dict) and key in (*TAKEN_OF, "resources"):
            for name in (name for name in value if name not in TAKEN_OF.get(key, ())):
                period = BUDGETS.get(name)
                hint = f" (here a budget: budget set {value[name]} --agent NAME --per {period})" if period else ""
                yield f"{key}.{name}{hint}"
        elif key not in TAKEN | SILENT:
            yield key


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return value if isinstance(value, dict) else {}


def _listed(document: dict[str, Any], name: str) -> list[Any]:
    value = document.get(name)
    return value if isinstance(value, list) else []


def _names(document: dict[str, Any], name: str) -> list[str]:
    return [item for item in _listed(document, name) if isinstance(item, str)]
