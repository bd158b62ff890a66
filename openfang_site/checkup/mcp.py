"""Whether the MCP servers' lists of tools could be read whole."""

from collections.abc import Iterator

from agents.models import McpServer
from agents.tools.mcp import LeftOut
from openfang_site.checkup.finding import Finding, warning

SHOWN = 3


def left_out_tools() -> Iterator[Finding]:
    for server in McpServer.objects.filter(enabled=True).exclude(tools_left_out=[]):
        reasons = [str(LeftOut(**member)) for member in server.tools_left_out]
        more = f"; and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        yield warning(
            f"MCP server {server.name}",
            f"Agents do not have all of its tools. {'; '.join(reasons[:SHOWN])}{more}.",
            "Its makers can correct that. Read its tools again afterwards, on its page of the web admin.",
        )
