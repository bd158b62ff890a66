"""Histories as clients send them, made into conversations that a model can be given.

Clients send back the assistant messages they got: with calls that the server executed and whose results they never saw,
without their own results, with turns dropped, cut or split. What a run's transcript still knows is put back; what
nobody can answer is left out, since providers refuse a call without a result and a result without a call.
"""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from msgspec import Struct, field
from msgspec.structs import replace

from agents.types import Message, ToolCall

OUR_CALL = re.compile(r"call_([0-9a-f]{32})_\d+$")


class PastTurn(Struct):
    """A turn of a run: what the model said and called, and the results of the calls that the server executed."""

    message: Message
    executed: list[str]
    results: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(call_id in self.results for call_id in self.executed)

    def messages(self) -> list[Message]:
        """Return the turn as the model reads it."""
        answers = [Message("tool", text, tool_call_id=call_id) for call_id, text in self.results.items()]
        return [self.message, *answers]


def runs_in(messages: Sequence[Message]) -> set[UUID]:
    """Return the runs whose calls a history speaks of."""
    calls = (call for message in messages for call in message.tool_calls or ())
    return {run for call in calls if (run := _run_of(call)) is not None}


def restored(messages: Sequence[Message], past: Mapping[UUID, list[PastTurn]]) -> list[Message]:
    """Return the conversation, with the turns of past runs in full and without calls or results that dangle."""
    result: list[Message] = []
    answered_here: set[str] = set()
    seen: set[UUID] = set()
    for message in messages:
        if message.role == "tool" and message.tool_call_id in answered_here:
            continue
        run = next((run for call in message.tool_calls or () if (run := _run_of(call)) in past), None)
        if run is None:
            result.append(message)
        elif run not in seen:
            seen.add(run)
            for turn in past[run]:
                result += turn.messages()
                answered_here.update(turn.results)
            if rest := _said_after(message, past[run]):
                result.append(Message("assistant", rest))
    return _without_dangling(result)


def _run_of(call: ToolCall) -> UUID | None:
    ours = OUR_CALL.match(call.id)
    return UUID(ours[1]) if ours else None


def _said_after(message: Message, turns: list[PastTurn]) -> str:
    """Return what a client's message says beyond the turns, whose text clients have joined to it.

    Nothing where the last turn called tools of the client: their results come next.
    """
    if len(turns[-1].executed) < len(turns[-1].message.tool_calls or ()):
        return ""
    text = message.content if isinstance(message.content, str) else ""
    said = "".join(turn.message.content for turn in turns if isinstance(turn.message.content, str))
    return text.removeprefix(said)


def _without_dangling(messages: list[Message]) -> list[Message]:
    kept: list[Message] = []
    open_calls: set[str] = set()
    for index, message in enumerate(messages):
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                continue
            open_calls.remove(message.tool_call_id)
        elif message.tool_calls:
            answers = _answers_after(messages, index)
            calls = [call for call in message.tool_calls if call.id in answers]
            if not calls and not message.content:
                continue
            kept.append(replace(message, tool_calls=calls or None))
            open_calls = {call.id for call in calls}
            continue
        else:
            open_calls = set()
        kept.append(message)
    return kept


def _answers_after(messages: list[Message], index: int) -> set[str]:
    """Return the calls that the tool messages right behind a place answer."""
    answers = set()
    for message in messages[index + 1 :]:
        if message.role != "tool":
            break
        answers.add(message.tool_call_id or "")
    return answers
