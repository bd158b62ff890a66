"""How an OpenAI-compatible provider writes its answers: chunks of a stream, the JSON of a completion, errors."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal

from tests.upstream.acts import Act, Mark

Json = dict[str, Any]
DONE = b"data: [DONE]\n\n"
_HEAD: Json = {"id": "chatcmpl-upstream", "created": 1_700_000_000}


@dataclass(frozen=True)
class Usage:
    """The token counts of one answer, and where the provider puts them."""

    prompt_tokens: int = 10
    # None: one for each piece of content and one for each tool call.
    completion_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    # OpenAI: a chunk of its own with `choices: []`. Mistral: beside the finish reason. vLLM's continuous_usage_stats:
    # in every chunk, and only the last one has the final counts.
    place: Literal["own_chunk", "finish_chunk", "every_chunk"] = "own_chunk"
    # Sent in a stream even when `stream_options.include_usage` did not ask for it.
    always: bool = False

    def json(self, counted: int) -> Json:
        completion = counted if self.completion_tokens is None else self.completion_tokens
        usage: Json = {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
        }
        if self.cached_tokens is not None:
            usage["prompt_tokens_details"] = {"cached_tokens": self.cached_tokens}
        if self.reasoning_tokens is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": self.reasoning_tokens}
        return usage


@dataclass(frozen=True)
class Call:
    """One tool call. Arguments are the raw JSON text; a tuple of texts is streamed in just these pieces."""

    name: str
    arguments: str | tuple[str, ...] = ""
    # None: the provider gives none.
    id: str | None = "call_upstream"

    def json(self, index: int) -> Json:
        function = {"name": self.name, "arguments": "".join(self.arguments)}
        return {"index": index} | self._identity() | {"type": "function", "function": function}

    def deltas(self, index: int, style: "CallStyle") -> list[Json]:
        place = {"index": index} if style.index else {}
        if style.whole:
            return [place | {key: value for key, value in self.json(index).items() if key != "index"}]
        again: Json = (self._identity() if style.repeat_id else {}) | (
            {"type": "function"} if style.repeat_name else {}
        )
        name = {"name": self.name} if style.repeat_name else {}
        first = place | self._identity() | {"type": "function", "function": {"name": self.name, "arguments": ""}}
        return [first, *(place | again | {"function": name | {"arguments": piece}} for piece in self._pieces(style))]

    def _identity(self) -> Json:
        return {} if self.id is None else {"id": self.id}

    def _pieces(self, style: "CallStyle") -> tuple[str, ...]:
        if isinstance(self.arguments, tuple):
            return self.arguments
        return tuple(self.arguments[at : at + style.size] for at in range(0, len(self.arguments), style.size))


@dataclass(frozen=True)
class CallStyle:
    """How a provider streams tool calls. The default is OpenAI's: id and name first, then arguments in odd pieces."""

    size: int = 5
    # Everything of a call in one chunk (Gemini, Groq, Ollama).
    whole: bool = False
    repeat_id: bool = False
    repeat_name: bool = False
    # False: chunks do not say which call they belong to.
    index: bool = True
    # Parallel calls come in turns, a chunk of each, instead of one after the other.
    interleaved: bool = False

    def deltas(self, calls: tuple[Call, ...]) -> list[Json]:
        streams = [call.deltas(index, self) for index, call in enumerate(calls)]
        rounds = zip_longest(*streams) if self.interleaved else streams
        return [{"tool_calls": [delta]} for one_round in rounds for delta in one_round if delta is not None]


class Chunks:
    """Writes the chunks of one streamed answer."""

    def __init__(self, model: str, so_far: Json | None = None) -> None:
        usage = {"usage": so_far} if so_far else {}
        self._head = {**_HEAD, "object": "chat.completion.chunk", "model": model} | usage

    def delta(self, delta: Json, finish: str | None = None, usage: Json | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return frame({**self._head, "choices": [choice]} | ({"usage": usage} if usage else {}))

    def usage(self, usage: Json) -> bytes:
        return frame({**self._head, "choices": [], "usage": usage})


def frame(data: Json) -> bytes:
    """One server-sent event."""
    return b"data: " + encoded(data) + b"\n\n"


def chunk(delta: Json, finish: str | None = None, model: str = "gpt-test") -> bytes:
    """One ordinary chunk, for a stream that is otherwise junk."""
    return Chunks(model).delta(delta, finish)


def error_frame(message: str, **more: Any) -> bytes:
    """The event with which a provider reports a failure in mid-stream."""
    return frame(error(message, **more))


def error(message: str, kind: str = "server_error", param: str | None = None, code: str | None = None) -> Json:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def completion(model: str, message: Json, finish: str, usage: Json | None) -> Json:
    """The answer to a request that is not streamed."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {**_HEAD, "object": "chat.completion", "model": model, "choices": [choice]}
    return body | ({"usage": usage} if usage else {})


def model_list(names: list[str]) -> Json:
    data = [{"id": name, "object": "model", "created": _HEAD["created"], "owned_by": "upstream"} for name in names]
    return {"object": "list", "data": data}


def encoded(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def body_acts(body: bytes, marks: Sequence[Act]) -> Iterator[Act]:
    """A body that comes in one piece, unless a cut stands in its way: then only its first half comes."""
    cut = next((mark for mark in marks if mark in (Mark.CUT, Mark.RESET)), None)
    yield from (mark for mark in marks if mark is not cut)
    yield from (body,) if cut is None else (body[: len(body) // 2], cut)
