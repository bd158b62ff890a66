from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from agents.errors import ToolFailed
from agents.tools.context import RunContext
from agents.tools.mcp.specs import McpToolSpec
from agents.types import ToolAnswer

# A server's own timeout ends a call and tells the server so; the run's is for what that does not end.
GRACE = 10


class McpTool:
    """A tool of an MCP server. `timeout` is in seconds, `max_result` in characters."""

    max_result = 32_000

    def __init__(self, spec: McpToolSpec, call: Callable[[McpToolSpec, dict[str, Any]], Awaitable[ToolAnswer]]) -> None:
        self._spec = spec
        self._call = call
        self.name = spec.told.function.name
        self.spec = spec.told
        self.timeout = spec.server.timeout + GRACE

    async def call(self, context: RunContext, arguments: str) -> ToolAnswer:
        """Run the tool with the model's arguments (JSON text). Raises ToolFailed, which the model gets to read."""
        try:
            checked = msgspec.json.decode(arguments or "{}", type=dict[str, Any])
        except (msgspec.ValidationError, msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ToolFailed(f"The arguments of {self.name} are not right: {error}") from None
        renamed = self._spec.renamed
        return await self._call(self._spec, {renamed.get(name, name): value for name, value in checked.items()})
