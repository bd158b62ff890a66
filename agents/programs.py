"""Who may give agents programs of the server's machine: the shell, and MCP servers over stdio.

Whoever may not give them to agents may not change an agent that has them either: its prompt decides what they do.
"""

from collections.abc import Iterable

from django.contrib.auth.models import AnonymousUser, User

from agents.models import Agent, McpServer, McpTransport

PROGRAMS = frozenset({"shell"})


def may_run_programs(user: User | AnonymousUser) -> bool:
    return user.has_perm("agents.run_programs")


def runs_programs(agent: Agent) -> bool:
    return are_programs(agent.tools, [chosen.server for chosen in agent.mcp_tools.select_related("server")])


def are_programs(tools: Iterable[str], servers: Iterable[McpServer]) -> bool:
    """Say whether one of these tools, or one of the servers whose tools are meant, is a program."""
    return bool(PROGRAMS & set(tools)) or any(server.transport == McpTransport.STDIO for server in servers)
