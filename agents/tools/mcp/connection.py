"""A connection to an MCP server, in the library's terms."""

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import mcp_types as protocol
from mcp import Client, MCPError
from mcp.client.session import IncomingMessage
from mcp.client.subscriptions import SubscriptionLost
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import ValidationError

from agents.errors import ToolFailed
from agents.tools.mcp.errors import McpServerUnavailable, McpSessionExpired
from agents.tools.mcp.lenient import Lenient
from agents.tools.mcp.listing import LeftOut, listed
from agents.tools.mcp.rendering import rendered
from agents.tools.mcp.specs import McpServerSpec
from agents.tools.mcp.transports import Http, Program
from agents.types import ToolAnswer

MOST_PAGES = 100
CLOSED = (protocol.CONNECTION_CLOSED, "Connection closed")  # servers use the code for errors of their own, too


class Connection:
    """An open connection. `ended` is set when the server's program has ended."""

    def __init__(self, server: McpServerSpec, client: Client, transport: Http | Program, lenient: Lenient) -> None:
        self._server = server
        self._client = client
        self._transport = transport
        self._lenient = lenient
        self.ended = transport.ended

    async def tools(self, *, within: float = math.inf) -> tuple[list[dict[str, Any]], list[LeftOut]]:
        """Ask for all the server's tools; return them as a row keeps them, and what was left out of the list.

        Raises ToolFailed if not even the first page can be read.
        """
        tools: dict[str, dict[str, Any]] = {}
        left_out = self._lenient.left_out = []
        until = anyio.current_time() + within
        cursor, number = None, 0
        while number < MOST_PAGES:
            number += 1
            try:
                with anyio.fail_after(until - anyio.current_time()):
                    page = await self._client.list_tools(cursor=cursor)
            except (MCPError, ValidationError, TimeoutError) as error:
                why = "it took too long" if isinstance(error, TimeoutError) else str(error)
                if number == 1:
                    raise ToolFailed(f"The MCP server {self._server.name!r} does not list its tools: {why}") from error
                left_out.append(LeftOut("", f"page {number} of the list could not be read, nor any after it: {why}"))
                break
            for tool in page.tools:
                if tool.name in tools:
                    left_out.append(LeftOut(tool.name, "another tool of the list has this name"))
                else:
                    tools[tool.name] = listed(tool.name, tool.description or "", tool.input_schema)
            if page.next_cursor is None:
                break
            if page.next_cursor == cursor:
                left_out.append(LeftOut("", f"page {number} of the list is followed by itself"))
                break
            cursor = page.next_cursor
        else:
            left_out.append(LeftOut("", f"the list has more than {MOST_PAGES} pages"))
        return list(tools.values()), left_out

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        """Run a tool and return its result. Raises ToolFailed; a cancellation is passed on to the server."""
        try:
            return rendered(await self._result(tool, arguments))
        except MCPError as error:
            raise self._failure(error) from error
        except ValidationError as error:
            raise ToolFailed("The tool answered something that is no result of a tool.") from error

    async def _result(self, tool: str, arguments: dict[str, Any]) -> protocol.CallToolResult:
        # Not `client.call_tool`: that lists the tools to check the result.
        request = protocol.CallToolRequest(params=protocol.CallToolRequestParams(name=tool, arguments=arguments))
        try:
            return await self._client.session.send_request(request, protocol.CallToolResult)
        except MCPError as error:
            if error.code != protocol.HEADER_MISMATCH:
                raise
        await self.tools()  # they tell which arguments this server wants in headers, too
        return await self._client.session.send_request(request, protocol.CallToolResult)

    def _failure(self, error: MCPError) -> ToolFailed:
        if self._transport.session_unknown:
            return McpSessionExpired(f"The MCP server {self._server.name!r} has forgotten the session.")
        if (error.code, error.message) == CLOSED:
            return McpServerUnavailable(
                f"The MCP server {self._server.name!r} was lost during the call; whether it did anything is not known."
            )
        return ToolFailed(error.message or "The tool failed and did not say why.")


@asynccontextmanager
async def connect(
    server: McpServerSpec, *, within: float, on_tools_changed: Callable[[], None]
) -> AsyncGenerator[Connection, None]:
    """Connect to a server in so many seconds; enter and leave it in one task. Raises McpServerUnavailable."""
    transport = Http(server) if server.transport == "http" else Program(server)
    lenient = Lenient()

    async def receive(message: IncomingMessage) -> None:
        if isinstance(message, protocol.ToolListChangedNotification):
            on_tools_changed()

    try:
        with anyio.fail_after(within) as opening:
            async with Client(lenient.over(transport.streams()), message_handler=receive, cache=None) as client:
                opening.deadline = float("inf")
                transport.opened = True
                async with _hearing_of_changes(client):
                    yield Connection(server, client, transport, lenient)
    except TimeoutError as error:
        if transport.opened:
            raise
        why = f"The MCP server {server.name!r} did not answer within {within:.0f} s."
        raise McpServerUnavailable(why) from error
    except Exception as error:
        first = _first(error)
        if isinstance(first, (ToolFailed, TimeoutError)):
            raise first from None
        if transport.opened:
            raise McpServerUnavailable(f"The connection to the MCP server {server.name!r} broke.") from error
        raise transport.failure(first) from error


def _first(error: BaseException) -> BaseException:
    """Return what went wrong first; the library's task groups wrap it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@asynccontextmanager
async def _hearing_of_changes(client: Client) -> AsyncGenerator[None, None]:
    """Keep the stream open on which servers tell of changes since the protocol of 2026; older ones tell unasked."""
    tools = client.server_capabilities.tools
    if client.protocol_version not in MODERN_PROTOCOL_VERSIONS or not (tools and tools.list_changed):
        yield
        return
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, client)
        yield
        tasks.cancel_scope.cancel()


async def _listen(client: Client) -> None:
    with suppress(MCPError, SubscriptionLost, TimeoutError):
        async with client.listen(tools_list_changed=True) as changes:
            async for _ in changes:
                pass  # `receive` is told, too
