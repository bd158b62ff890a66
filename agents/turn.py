from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from agents.errors import BadModelAnswer
from agents.providers.attachments import merged
from agents.types import (
    Attachment,
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
    """A tool call that is being written. Until its name is known, it cannot be said whose it is."""

    index: int = 0
    id: str = ""
    name: str = ""
    pieces: list[str] = field(default_factory=list)
    server: bool = False
    extra: dict[str, Any] | None = None
    unread: str = ""
    broke_off: bool = False

    def whole(self) -> ToolCall:
        # A server's tool reads nothing of arguments that could not be read as they were meant.
        arguments = "{}" if self.unread and self.server else "".join(self.pieces)
        return ToolCall(self.id, FunctionCall(self.name, arguments or "{}"))


UNREADABLE = (
    "Error: the arguments of {name} were not read, because they are not one JSON object. You wrote: {text}\n"
    "Call it again, with a JSON object."
)
LONGEST_QUOTE = 1000


class Turn:
    """One answer of the model within a run; gives its tool calls ids and indexes that are unique in the run."""

    def __init__(self, toolbox: Toolbox, *, first_call: int) -> None:
        self._toolbox = toolbox
        self._next_call = first_call
        self._text: list[str] = []
        self._calls: dict[int, _Call] = {}
        self._named: list[_Call] = []
        self._said_reason = FinishReason.STOP
        self._provider = ""
        self._fields: dict[str, Any] = {}
        self.answered = False

    def read(self, event: LLMCallStarted | Delta | LLMCallEnded) -> LLMCallStarted | Delta | LLMCallEnded:
        """Take an event in and return it as the rest of the run sees it."""
        if isinstance(event, LLMCallStarted):
            self._provider = event.model.provider.name
        elif isinstance(event, LLMCallEnded):
            self._said_reason = event.finish_reason or self._said_reason
            self._fields = event.attached or {}
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
        call.unread, call.broke_off = piece.unread, piece.broke_off
        if piece.extra:
            call.extra = merged(call.extra, piece.extra)
        if call.name:
            return ToolCallDelta(call.index, arguments=piece.arguments, server=call.server, extra=piece.extra)
        if piece.name is None:
            return None
        call.index, call.id = self._next_call, self._toolbox.call_id(self._next_call)
        call.name, call.server = piece.name, self._toolbox.is_server(piece.name)
        self._next_call += 1
        self._named.append(call)
        return ToolCallDelta(call.index, call.id, call.name, "".join(call.pieces), call.server, call.extra)

    def server_calls(self) -> list[ToolCall]:
        return [call.whole() for call in self._named if call.server]

    def unreadable_calls(self) -> dict[str, str]:
        """Return the errors of the server's calls whose arguments are not a JSON object, by their ids."""
        return {
            call.id: UNREADABLE.format(name=call.name, text=_quoted(call.unread))
            for call in self._named
            if call.server and call.unread
        }

    def refuse_broken_calls(self) -> None:
        """Raise BadModelAnswer if a client has got a part of a value that never became whole.

        It could not tell what it has from the whole: half a command, or half a file.
        """
        broken = next((call for call in self._named if call.broke_off and not call.server), None)
        if broken is None:
            return
        limit = " at the model's output limit" if self._said_reason == FinishReason.LENGTH else ""
        raise BadModelAnswer(f"The model's call of {broken.name[:64]!r} broke off in its arguments{limit}.")

    @property
    def is_silent(self) -> bool:
        """Whether the model said it was done, and nothing else."""
        return not self.answered and self.finish_reason is FinishReason.STOP

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
        attachment = Attachment(self._fields, {call.id: call.extra for call in self._named if call.extra})
        attached = {self._provider: attachment} if attachment else {}
        return Message("assistant", "".join(self._text) or None, tool_calls=calls or None, attached=attached)


def _quoted(text: str) -> str:
    return text if len(text) <= LONGEST_QUOTE else f"{text[:LONGEST_QUOTE]} [cut here, {len(text):,} characters]"
