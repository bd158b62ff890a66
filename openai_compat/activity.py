"""What a client gets to see of the tools that the server runs."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from msgspec.structs import replace

from agents.types import AgentSpec, CallsMade, Delta, Event, Finished, ToolCall, ToolCallDelta

LONGEST_ARGUMENTS = 200


class ToolActivity:
    """Shows executed calls as tool calls, as lines of reasoning, or not at all, as the agent is set to.

    A client that sends tools of its own takes every tool call it sees for its own and tries to run it; "automatic"
    shows such a client reasoning. Indexes count the calls that are shown.
    """

    def __init__(self, agent: AgentSpec, *, client_has_tools: bool) -> None:
        automatic = "reasoning" if client_has_tools else "tool_calls"
        self._mode = automatic if agent.tool_activity == "automatic" else agent.tool_activity
        self._index: dict[int, int] = {}

    async def shown(self, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Delta | Finished, None]:
        """Yield the run as the client sees it."""
        async with aclosing(events):
            async for event in events:
                if type(event) is Delta:
                    if event.tool_calls:
                        event = self._with_shown_calls(event)  # noqa: PLW2901 -- the same delta, less what is hidden
                    if event.text or event.reasoning or event.refusal or event.tool_calls:
                        yield event
                elif type(event) is CallsMade:
                    if self._mode == "reasoning" and event.executed:
                        yield Delta(reasoning="".join(map(_line, event.executed)))
                elif type(event) is Finished:
                    yield event

    def _with_shown_calls(self, delta: Delta) -> Delta:
        shown = (piece for piece in delta.tool_calls if not piece.server or self._mode == "tool_calls")
        return replace(delta, tool_calls=tuple(map(self._reindexed, shown)))

    def _reindexed(self, piece: ToolCallDelta) -> ToolCallDelta:
        return replace(piece, index=self._index.setdefault(piece.index, len(self._index)))


def _line(call: ToolCall) -> str:
    arguments = call.function.arguments
    cut = arguments if len(arguments) <= LONGEST_ARGUMENTS else f"{arguments[:LONGEST_ARGUMENTS]}…"
    return f"[{call.function.name} {cut}]\n"
