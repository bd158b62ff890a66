from typing import Any

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from agents.types import (
    Delta,
    FinishReason,
    FunctionCall,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    Toolbox,
    ToolCall,
    ToolCallDelta,
)


class _Call(Struct):
    """A tool call that is being written. Until its name is known, nobody can be told whose it is."""

    index: int = 0
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    server: bool = False
    extra_content: dict[str, Any] | UnsetType = UNSET

    def whole(self) -> ToolCall:
        return ToolCall(
            self.id, FunctionCall(self.name, "".join(self.pieces) or "{}"), extra_content=self.extra_content
        )


class Turn:
    """One answer of the model within a run; gives its tool calls ids and indexes that are unique in the run."""

    def __init__(self, toolbox: Toolbox, *, first_call: int) -> None:
        self._toolbox = toolbox
        self._next_call = first_call
        self._text: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._named: list[_Call] = []
        self._said_reason = FinishReason.STOP
        self.answered = False

    def read(self, event: LLMCallStarted | Delta | LLMCallEnded) -> LLMCallStarted | Delta | LLMCallEnded:
        """Take an event in and return it as the rest of the run sees it."""
        if isinstance(event, LLMCallEnded):
            self._said_reason = event.finish_reason or self._said_reason
        elif isinstance(event, Delta):
            self.answered = True
            self._text.append(event.text)
            if event.tool_calls:
                pieces = tuple(piece for piece in map(self._piece, event.tool_calls) if piece is not None)
                event = replace(event, tool_calls=pieces)
        return event

    def _piece(self, piece: ToolCallDelta) -> ToolCallDelta | None:
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _Call()
        call.pieces.append(piece.arguments)
        if piece.extra_content is not UNSET:
            call.extra_content = piece.extra_content
        if call.name:
            return ToolCallDelta(call.index, arguments=piece.arguments, server=call.server)
        if piece.name is None:
            return None
        call.index, call.id = self._next_call, self._toolbox.call_id(self._next_call)
        call.name, call.server = piece.name, self._toolbox.is_server(piece.name)
        self._next_call += 1
        self._named.append(call)
        return ToolCallDelta(call.index, call.id, call.name, "".join(call.pieces), call.server)

    def server_calls(self) -> list[ToolCall]:
        return [call.whole() for call in self._named if call.server]

    @property
    def finish_reason(self) -> FinishReason:
        """Why the turn ended, if it ends the run; providers say `stop` beside calls, and `tool_calls` beside none."""
        if self._said_reason in (FinishReason.LENGTH, FinishReason.CONTENT_FILTER):
            return self._said_reason
        calls_client = any(not call.server for call in self._named)
        return FinishReason.TOOL_CALLS if calls_client else FinishReason.STOP

    def message(self) -> Message:
        """Return the turn as the model will read it again."""
        calls = [call.whole() for call in self._named]
        return Message("assistant", "".join(self._text) or None, tool_calls=calls or None)
