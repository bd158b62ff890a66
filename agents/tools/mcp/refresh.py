"""Reading the list of a server's tools into its row, where agents' runs find it."""

import asyncio
import logging
from typing import Any

from django.db import connections
from django.utils import timezone

from agents.errors import ToolFailed
from agents.models import McpServer
from agents.tools.mcp.errors import McpServerUnavailable
from agents.tools.mcp.listing import LeftOut
from agents.tools.mcp.specs import McpServerSpec

CONNECT_SECONDS = 30.0
LIST_SECONDS = 30.0
MOST_LEFT_OUT = 100

logger = logging.getLogger(__name__)


def refresh(server: McpServer) -> int:
    """Ask a server for its tools and keep the list; return how many there are. Raises ToolFailed with the reason.

    For code outside an event loop: the admin's button, and commands.
    """
    server.tools, left_out = asyncio.run(_tools_of(McpServerSpec.of(server)))
    server.tools_left_out = left_out[:MOST_LEFT_OUT]
    server.tools_read_at = timezone.now()
    server.tools_stale = False
    server.save(update_fields=["tools", "tools_left_out", "tools_read_at", "tools_stale"])
    for member in server.tools_left_out:
        logger.warning("The MCP server %r: left out %s", server.name, member)
    return len(server.tools)


def mark_stale(server_id: int) -> None:
    """Note that a server's tools have changed since they were read. For a thread: it closes its connection."""
    try:
        McpServer.objects.filter(pk=server_id, tools_stale=False).update(tools_stale=True)
    finally:
        connections.close_all()


async def _tools_of(server: McpServerSpec) -> tuple[list[dict[str, Any]], list[LeftOut]]:
    from agents.tools.mcp.connection import connect  # noqa: PLC0415 -- slow to import: see the package

    try:
        async with connect(server, within=CONNECT_SECONDS, on_tools_changed=lambda: None) as connection:
            return await connection.tools(within=LIST_SECONDS)
    except McpServerUnavailable as error:
        raise ToolFailed(f"{error} {error.detail}".strip()) from error
