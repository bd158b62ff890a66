"""One connection to an MCP server, from opening to closing. Slow to import: see the package."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import anyio

from agents.errors import ToolFailed
from agents.tools.mcp.connection import Connection, connect
from agents.tools.mcp.errors import McpServerUnavailable
from agents.tools.mcp.specs import McpServerSpec
from agents.types import ToolAnswer

# How long calls wait for a server to start. It may take longer: `uvx` and `npx` fetch it from a registry first.
WAIT_SECONDS = 5.0
START_SECONDS = 60.0
FAREWELL_SECONDS = 2.0
# A server that lets so many calls pass in silence, and answers none, hangs.
SILENCES = 3

logger = logging.getLogger(__name__)


class Session:
    """A connection that one task opens, keeps and closes, as the library's cancel scopes require.

    Calls run in the tasks of their callers, at the same time. `on_over(reason)` is called once, when the session is of
    no more use: the reason is None when nothing is wrong with the server. The closing takes a while after that, until
    `task` is done.
    """

    def __init__(
        self,
        server: McpServerSpec,
        *,
        idle_seconds: float,
        on_over: Callable[["Session", McpServerUnavailable | None], None],
        on_tools_changed: Callable[[], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        self._server = server
        self._idle_seconds = idle_seconds
        self._on_over = on_over
        self._on_tools_changed = on_tools_changed
        self._opened: asyncio.Future[Connection] = loop.create_future()
        self._wait_until = loop.time() + WAIT_SECONDS
        self._calls = self._silences = 0
        self._used = loop.time()
        self._over = False
        self._leave = asyncio.Event()
        self._scope = anyio.CancelScope()
        self.task = asyncio.create_task(self._live())

    @property
    def late(self) -> bool:
        """True when the server has been starting for so long that calls no longer wait for it."""
        return not self._opened.done() and asyncio.get_running_loop().time() > self._wait_until

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        """Run a tool within the server's timeout. Raises ToolFailed."""
        self._calls += 1
        try:
            return await self._call(await self._connection(), tool, arguments)
        finally:
            self._calls -= 1
            self._used = asyncio.get_running_loop().time()

    def end(self, reason: McpServerUnavailable | None = None) -> None:
        """Close the session, soon."""
        self._tell(reason)
        self._leave.set()
        if self._opened.done():
            self._scope.deadline = anyio.current_time() + FAREWELL_SECONDS
        else:
            self._scope.cancel()

    async def _connection(self) -> Connection:
        try:
            async with asyncio.timeout_at(self._wait_until):
                return await asyncio.shield(self._opened)
        except TimeoutError:
            raise McpServerUnavailable(f"The MCP server {self._server.name!r} is still starting; try later.") from None

    async def _call(self, connection: Connection, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        try:
            async with asyncio.timeout(self._server.timeout):
                result = await connection.call(tool, arguments)
        except TimeoutError:
            raise self._silence() from None
        except McpServerUnavailable as error:
            self.end(error)
            raise
        except ToolFailed:
            self._silences = 0
            raise
        self._silences = 0
        return result

    def _silence(self) -> McpServerUnavailable:
        self._silences += 1
        name, seconds = self._server.name, self._server.timeout
        error = McpServerUnavailable(
            f"The MCP server {name!r} did not answer within {seconds:g} s; the call was ended."
        )
        if self._silences >= SILENCES:
            self.end(error)
        return error

    async def _live(self) -> None:
        reason: McpServerUnavailable | None = None
        try:
            with self._scope:
                async with connect(
                    self._server, within=START_SECONDS, on_tools_changed=self._on_tools_changed
                ) as connection:
                    self._opened.set_result(connection)
                    await self._until_useless(connection)
                    ended = McpServerUnavailable(f"The program of the MCP server {self._server.name!r} has ended.")
                    self._tell(ended if connection.ended.is_set() and self._calls else None)
        except McpServerUnavailable as error:
            logger.warning("%s", error)
            logger.debug("The library said:", exc_info=error.__cause__)
            reason = error
        finally:
            self._tell(reason)
            if not self._opened.done():
                stopped = McpServerUnavailable(f"The connection to the MCP server {self._server.name!r} is closed.")
                self._opened.set_exception(reason or stopped)
                self._opened.exception()  # perhaps nobody waits for it, which asyncio would complain about

    async def _until_useless(self, connection: Connection) -> None:
        """Wait for the server's end, for `end`, or until nothing has been called for a while."""
        async with anyio.create_task_group() as tasks:
            for over in (connection.ended.wait, self._leave.wait, self._idle):
                tasks.start_soon(self._first, over, tasks.cancel_scope)

    async def _first(self, over: Callable[[], Any], others: anyio.CancelScope) -> None:
        await over()
        others.cancel()

    async def _idle(self) -> None:
        while True:
            rest = self._used + self._idle_seconds - asyncio.get_running_loop().time()
            if rest <= 0 and not self._calls:
                self._tell(None)  # at once, before anybody makes another call
                return
            await anyio.sleep(max(rest, 0.0) if not self._calls else self._idle_seconds)

    def _tell(self, reason: McpServerUnavailable | None) -> None:
        if not self._over:
            self._over = True
            self._on_over(self, reason)
