"""The MCP servers that this process talks to: a connection each, made at the first call and kept for the next ones."""

import asyncio
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from agents.tools.mcp.breaker import Breaker
from agents.tools.mcp.errors import McpServerUnavailable, McpSessionExpired
from agents.tools.mcp.refresh import mark_stale
from agents.tools.mcp.specs import McpServerSpec, McpToolSpec
from agents.tools.mcp.tool import McpTool
from agents.types import ToolAnswer

if TYPE_CHECKING:
    from agents.tools.mcp.session import Session

IDLE_SECONDS = 300.0


class McpPool:
    """Every MCP server of this process; made, used and closed on one event loop."""

    def __init__(self, *, idle_seconds: float = IDLE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._idle_seconds = idle_seconds
        self._clock = clock
        # By the whole spec: a server whose row was changed is another one, and the connection of before becomes idle.
        self._servers: dict[McpServerSpec, PooledServer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def tools_for(self, specs: Iterable[McpToolSpec]) -> list[McpTool]:
        """Return the tools, without those of servers that are known to be down. Nothing is connected for it."""
        return [McpTool(spec, self._call) for spec in specs if not self._is_down(spec.server)]

    def notice_for(self, specs: Iterable[McpToolSpec]) -> str:
        """Return what a model should know of the tools that it does not get, or nothing if it gets them all."""
        missing = [spec.told.function.name for spec in specs if self._is_down(spec.server)]
        if not missing:
            return ""
        return f"These tools are unavailable now, because their server does not answer: {', '.join(missing)}."

    @property
    def breakers(self) -> dict[str, bool]:
        """Which servers that were called are kept from being called, by their names."""
        return {spec.name: server.is_down for spec, server in self._servers.copy().items()}

    async def aclose(self) -> None:
        """Close every connection; the programs of stdio servers have ended then."""
        self._closed = True
        for server in self._servers.values():
            server.end()
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _is_down(self, server: McpServerSpec) -> bool:
        return server in self._servers and self._servers[server].is_down

    async def _call(self, spec: McpToolSpec, arguments: dict[str, Any]) -> ToolAnswer:
        # Importing the library takes 2 s: in a thread, so that the answers of others go on.
        await asyncio.to_thread(import_module, "agents.tools.mcp.session")
        if self._closed:
            raise McpServerUnavailable("The server is stopping.")
        if spec.server not in self._servers:
            self._servers[spec.server] = PooledServer(spec.server, self)
        return await self._servers[spec.server].call(spec.name, arguments)

    def open(self, server: "PooledServer") -> "Session":
        from agents.tools.mcp.session import Session  # noqa: PLC0415 -- slow to import: see the package

        session = Session(
            server.spec,
            idle_seconds=self._idle_seconds,
            on_over=server.over,
            on_tools_changed=lambda: self._keep(asyncio.create_task(asyncio.to_thread(mark_stale, server.spec.id))),
        )
        self._keep(session.task)
        return session

    def breaker(self) -> Breaker:
        return Breaker(self._clock)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class PooledServer:
    """A server's one session, and whether to try another after it."""

    def __init__(self, spec: McpServerSpec, pool: McpPool) -> None:
        self.spec = spec
        self._pool = pool
        self._breaker = pool.breaker()
        self._session: Session | None = None

    @property
    def is_down(self) -> bool:
        return self._breaker.pause > 0 or (self._session is not None and self._session.late)

    async def call(self, tool: str, arguments: dict[str, Any]) -> ToolAnswer:
        try:
            result = await self._current().call(tool, arguments)
        except McpSessionExpired:
            result = await self._current().call(tool, arguments)
        self._breaker.succeeded()
        return result

    def end(self) -> None:
        if self._session is not None:
            self._session.end()

    def over(self, session: "Session", reason: McpServerUnavailable | None) -> None:
        """The session is of no more use; the next call opens another."""
        if self._session is session:
            self._session = None
        if reason is not None and not isinstance(reason, McpSessionExpired):
            self._breaker.failed(str(reason))

    def _current(self) -> "Session":
        if self._session is None:
            if self._breaker.pause:
                raise McpServerUnavailable(f"{self._breaker.reason} The next try is in {self._breaker.pause:.0f} s.")
            self._session = self._pool.open(self)
        return self._session
