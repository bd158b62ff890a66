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

from agents.types import Delta, Message, ToolCall, ToolCallDelta

OUR_CALL = re.compile(r"call_([0-9a-f]{32})_\d+$")


class PastTurn(Struct):
    """A turn of a run: what the model said and called, and the results of the calls that the server executes."""

    message: Message
    executed: list[str]
    results: dict[str, str] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return all(call_id in self.results for call_id in self.executed)

    @property
    def calls_client(self) -> bool:
        """Tell whether the turn calls tools of the client, whose results come with its next request."""
        return len(self.executed) < len(self.message.tool_calls or ())

    @property
    def call_ids(self) -> list[str]:
        return [call.id for call in self.message.tool_calls or ()]

    def calls(self) -> list[ToolCall]:
        """Return the calls that are the server's to execute."""
        executed = set(self.executed)  # a list would be searched once for each of the thousands a model may make
        return [call for call in self.message.tool_calls or () if call.id in executed]

    def messages(self, remark: str = "") -> list[Message]:
        """Return the turn as the model reads it, perhaps with a remark on every result."""
        answers = [
            Message("tool", self.results[call_id] + remark, tool_call_id=call_id)
            for call_id in self.executed
            if call_id in self.results
        ]
        return [self.message, *answers]

    def delta(self, first_call: int) -> Delta:
        """Return the turn as its deltas were, in one."""
        executed = set(self.executed)
        extra = {call_id: one for attached in self.message.attached.values() for call_id, one in attached.calls.items()}
        pieces = tuple(
            ToolCallDelta(
                number,
                call.id,
                call.function.name,
                call.function.arguments,
                call.id in executed,
                extra.get(call.id),
            )
            for number, call in enumerate(self.message.tool_calls or (), first_call)
        )
        return Delta(text=self.text, tool_calls=pieces)

    @property
    def text(self) -> str:
        return self.message.content if isinstance(self.message.content, str) else ""


def runs_in(messages: Sequence[Message]) -> set[UUID]:
    """Return the runs whose calls a history speaks of."""
    calls = (call for message in messages for call in message.tool_calls or ())
    return {run for call in calls if (run := _run_of(call)) is not None}


def restored(messages: Sequence[Message], past: Mapping[UUID, list[PastTurn]]) -> list[Message]:
    """Return the conversation, with the turns of past runs in full and without calls or results that dangle."""
    result: list[Message] = []
    known: set[str] = set()
    answered: set[str] = set()
    said: set[tuple[UUID, str]] = set()
    for message in messages:
        # A run that took up another's turns has the later calls, and remembers the earlier ones, too.
        run = next((run for call in reversed(message.tool_calls or ()) if (run := _run_of(call)) in past), None)
        if run is None:
            if message.role != "tool" or message.tool_call_id not in answered:
                result.append(message)
            continue
        for turn in past[run]:
            if known.isdisjoint(turn.call_ids):
                result += turn.messages()
                known.update(turn.call_ids)
                answered.update(turn.results)
        rest = _said_after(message, past[run])
        if rest and (run, rest) not in said:
            said.add((run, rest))
            result.append(Message("assistant", rest))
    return _without_dangling(result)


def _run_of(call: ToolCall) -> UUID | None:
    ours = OUR_CALL.match(call.id)
    return UUID(ours[1]) if ours else None


def _said_after(message: Message, turns: list[PastTurn]) -> str:
    """Return what a client's message says beyond the turns, whose text clients have joined to it.

    Nothing where the last turn called tools of the client: their results come next.
    """
    if turns[-1].calls_client:
        return ""
    text = message.content if isinstance(message.content, str) else ""
    # Compared without white space: clients trim texts, and join them as they like.
    said = "".join("".join(turn.text for turn in turns).split())
    if "".join(text.split()).startswith(said) and (found := re.match(rf"(?:\s*\S){{{len(said)}}}", text)):
        text = text[found.end() :]
    return text.strip()


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
            calls = [call for call in {call.id: call for call in message.tool_calls}.values() if call.id in answers]
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
