"""MCP servers and tools as the rows were when they were read; the pool never sees the database."""

import hashlib
import re
from typing import Any, Literal
from uuid import UUID

from msgspec import Struct, field

from agents.models import AgentMcpTool, McpServer, McpTransport
from agents.types import ToolFunction, ToolSpec

LONGEST_NAME = 64  # of a function, in OpenAI's API
NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_-]")


class McpServerSpec(Struct, frozen=True):
    """How to reach a server. `${NAME}` in the URL and the headers stands for an environment variable."""

    id: int
    name: str
    transport: Literal["http", "stdio"]
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    command: str = ""
    args: tuple[str, ...] = ()
    environment: tuple[str, ...] = ()
    timeout: float = 60

    @classmethod
    def of(cls, row: McpServer) -> "McpServerSpec":
        http = row.transport == McpTransport.HTTP
        return cls(
            id=row.pk,
            name=row.name,
            transport="http" if http else "stdio",
            url=row.url if http else "",
            headers=tuple(row.headers.items()) if http else (),
            command="" if http else row.command,
            args=() if http else tuple(row.args),
            environment=() if http else tuple(row.environment),
            timeout=row.timeout,
        )


class McpToolSpec(Struct, frozen=True):
    """A tool that an agent has: its server's name for it, and how the model sees it.

    `renamed` maps the model's names of parameters to the server's, where providers refuse those.
    """

    server: McpServerSpec
    name: str
    told: ToolSpec
    renamed: dict[str, str] = field(default_factory=dict)


def read_mcp_tools() -> dict[UUID, tuple[McpToolSpec, ...]]:
    """Read the MCP tools of every agent, by the agent's id."""
    servers = {row.pk: row for row in McpServer.objects.filter(enabled=True)}
    specs = {key: McpServerSpec.of(row) for key, row in servers.items()}
    listed = {key: {tool["name"]: tool for tool in row.tools} for key, row in servers.items()}
    chosen: dict[UUID, dict[tuple[int, str], None]] = {}
    for agent_id, server_id, name in AgentMcpTool.objects.values_list("agent_id", "server_id", "tool"):
        names = [name] if name else listed.get(server_id, [])
        # A tool that its server has no longer is left out: nobody could tell the model how to call it.
        known = [(server_id, each) for each in names if each in listed.get(server_id, {})]
        chosen.setdefault(agent_id, {}).update(dict.fromkeys(known))
    return {
        agent_id: _named_apart([(specs[server_id], listed[server_id][name]) for server_id, name in tools])
        for agent_id, tools in chosen.items()
    }


def _named_apart(tools: list[tuple[McpServerSpec, dict[str, Any]]]) -> tuple[McpToolSpec, ...]:
    taken: set[str] = set()
    specs = []
    for server, tool in tools:
        name = told_name(server.name, tool["name"], taken)
        taken.add(name)
        function = ToolFunction(name, tool["description"], tool["parameters"])
        specs.append(McpToolSpec(server, tool["name"], ToolSpec(function), tool.get("renamed", {})))
    return tuple(specs)


def told_name(server: str, tool: str, taken: set[str]) -> str:
    """Return what models call a tool: `<server>_<tool>`, with a digest where that is too long or means another one."""
    name = NOT_IN_NAMES.sub("_", f"{server}_{tool}")
    if len(name) <= LONGEST_NAME and name not in taken:
        return name
    digest = hashlib.sha256(f"{server}\n{tool}".encode()).hexdigest()[:8]
    return f"{name[: LONGEST_NAME - len(digest) - 1]}_{digest}"
