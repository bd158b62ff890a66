"""What answers look like on the wire: completions, chunks, and model objects."""

from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import UUID

import msgspec

from agents.providers.attachments import merged
from agents.types import AgentSpec, Delta, Event, Finished, FinishReason, ToolCallDelta, Usage

encode = msgspec.json.encode
DONE = b"data: [DONE]\n\n"


def usage_object(usage: Usage) -> dict[str, Any]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def model_object(agent: AgentSpec) -> dict[str, Any]:
    """Return an agent as a model, with the extras that clients look for; what is unknown is null."""
    model = agent.models[0] if agent.models else None
    return {
        "id": f"openfang:{agent.name}",
        "object": "model",
        "created": agent.created,
        "owned_by": "openfang",
        "name": agent.name,
        "description": agent.description,
        "context_window": model.context_window if model else None,
        "max_output_tokens": model.max_output_tokens if model else None,
    }


async def completion(
    completion_id: UUID, created: int, agent: AgentSpec, events: AsyncIterator[Event]
) -> dict[str, Any]:
    """Fold the events of a run into one completion."""
    text: list[str] = []
    reasoning: list[str] = []
    refusal: list[str] = []
    calls: dict[int, dict[str, Any]] = {}
    finished = Finished(FinishReason.STOP)
    async for event in events:
        if isinstance(event, Finished):
            finished = event
        elif isinstance(event, Delta):
            text.append(event.text)
            reasoning.append(event.reasoning)
            refusal.append(event.refusal)
            for piece in event.tool_calls:
                _add_to_call(calls, piece)
    message: dict[str, Any] = {"role": "assistant", "content": "".join(text) if any(text) or not calls else None}
    if any(reasoning):
        message["reasoning_content"] = "".join(reasoning)
    if any(refusal):
        message["refusal"] = "".join(refusal)
    if calls:
        message["tool_calls"] = list(calls.values())
    return {
        "id": f"chatcmpl-{completion_id}",
        "object": "chat.completion",
        "created": created,
        "model": agent.name,
        "choices": [{"index": 0, "message": message, "finish_reason": finished.finish_reason}],
        "usage": usage_object(finished.usage),
    }


def _add_to_call(calls: dict[int, dict[str, Any]], piece: ToolCallDelta) -> None:
    call = calls.get(piece.index)
    if call is None:
        calls[piece.index] = _call_object(piece)
    else:
        call["function"]["arguments"] += piece.arguments
        if piece.extra and not piece.server:
            calls[piece.index] = merged(call, piece.extra)


def _call_object(piece: ToolCallDelta) -> dict[str, Any]:
    """Return a call, or the piece of one that a chunk adds: id, type and name come with the first piece only.

    A call that the client executes has the provider's own fields with it, which the client may send back.
    """
    call: dict[str, Any]
    if piece.name is None and piece.id is None:
        call = {"index": piece.index, "function": {"arguments": piece.arguments}}
    else:
        function = {"name": piece.name, "arguments": piece.arguments}
        call = {"index": piece.index, "id": piece.id, "type": "function", "function": function}
    return merged(call, piece.extra) if piece.extra and not piece.server else call


class ChunkRenderer:
    """Writes the chunks of one streamed completion. What they all share is encoded once."""

    def __init__(self, completion_id: UUID, created: int, agent: AgentSpec) -> None:
        self._shared = {
            "id": f"chatcmpl-{completion_id}",
            "object": "chat.completion.chunk",
            "created": created,
            "model": agent.name,
        }
        self._head = b"data: " + encode(self._shared)[:-1] + b',"choices":[{"index":0,"delta":'
        self._tail = b',"finish_reason":null}]}\n\n'
        self._text_head = self._head + b'{"content":'
        self._text_tail = b"}" + self._tail

    def role(self) -> bytes:
        return self._head + b'{"role":"assistant"}' + self._tail

    def silence(self) -> bytes:
        """Return a chunk that adds nothing: the only filler that every client takes."""
        return self._head + b"{}" + self._tail

    def deltas(self, deltas: Iterable[Delta]) -> bytes:
        return b"".join(map(self._delta, deltas))

    def _delta(self, delta: Delta) -> bytes:
        if delta.pieces:
            between = self._text_tail + self._text_head
            return self._text_head + between.join(map(encode, delta.pieces)) + self._text_tail
        if delta.text and not (delta.reasoning or delta.refusal or delta.tool_calls):
            return self._text_head + encode(delta.text) + self._text_tail
        adds: dict[str, Any] = {}
        if delta.reasoning:
            adds["reasoning_content"] = delta.reasoning
        if delta.text:
            adds["content"] = delta.text
        if delta.refusal:
            adds["refusal"] = delta.refusal
        if delta.tool_calls:
            adds["tool_calls"] = [_call_object(piece) for piece in delta.tool_calls]
        return self._head + encode(adds) + self._tail

    def end(self, finished: Finished, *, include_usage: bool) -> bytes:
        """Return the terminal chunk, the usage chunk if it was asked for, and the end of the stream."""
        frames = self._head + b'{},"finish_reason":' + encode(finished.finish_reason) + b"}]}\n\n"
        if include_usage:
            frames += (
                b"data: " + encode({**self._shared, "choices": [], "usage": usage_object(finished.usage)}) + b"\n\n"
            )
        return frames + DONE
