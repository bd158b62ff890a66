"""What OpenAI-compatible servers send back, read leniently: every field may be absent, null or of an odd type."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from agents.errors import BadModelAnswer, ProviderUnavailable, Reported
from agents.types import Delta, FinishReason, ToolCallDelta, Usage

FINISH_REASONS = {
    "stop": FinishReason.STOP,
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "tool_calls": FinishReason.TOOL_CALLS,
    "function_call": FinishReason.TOOL_CALLS,
    "tool_use": FinishReason.TOOL_CALLS,
    "content_filter": FinishReason.CONTENT_FILTER,
    "safety": FinishReason.CONTENT_FILTER,
}


class WireFunction(Struct):
    name: Any = None
    arguments: Any = None


class WireToolCall(Struct):
    index: Any = None
    id: Any = None
    function: WireFunction | None = None
    extra_content: dict[str, Any] | None = None


class WireDelta(Struct):
    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: list[WireToolCall] | None = None


class WireChoice(Struct):
    delta: WireDelta | None = None
    finish_reason: Any = None


class WireChunk(Struct):
    model: Any = None
    choices: list[WireChoice] | None = None
    usage: Any = None
    error: Any = None


LONGEST_MODEL = 200
MOST_TOKENS = 10**12  # more than any answer has, and far from what a database column holds
_decode_chunk = msgspec.json.Decoder(WireChunk).decode


def _usage(wire: Any) -> Usage | None:
    """Return what a usage object counts, or None if it counts nothing: zero is a count, a missing number is not."""
    prompt, completion = _count(wire, "prompt_tokens"), _count(wire, "completion_tokens")
    if prompt is None and completion is None:
        return None
    prompt_tokens, completion_tokens = prompt or 0, completion or 0
    # The second name is DeepSeek's.
    cached = _count(wire, "prompt_tokens_details", "cached_tokens") or _count(wire, "prompt_cache_hit_tokens") or 0
    return Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=min(cached, prompt_tokens),
        reasoning_tokens=_count(wire, "completion_tokens_details", "reasoning_tokens") or 0,
    )


def _count(value: Any, *path: str) -> int | None:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return int(value) if isinstance(value, int | float) and 0 <= value <= MOST_TOKENS else None


def _text(value: Any) -> str:
    """Return a text that may come as a string or, from some servers, as a list of text parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""


class ChunkReader:
    """Turns the bytes of one streamed answer into deltas; errors do not repeat the `secret`.

    Reads line by line, because every known server sends one JSON text a line, whether or not blank lines stand between.
    """

    def __init__(self, secret: str | None = None) -> None:
        self._secret = secret
        self._rest = b""
        self._calls: list[_Call] = []
        self._call_at: dict[int, _Call] = {}
        self.finish_reason: FinishReason | None = None
        self.usage: Usage | None = None
        self.model = ""
        self.done = False

    def read(self, data: bytes) -> Iterator[Delta]:
        """Yield what these bytes complete, texts that follow each other as one delta: the run then looks at them once.

        Raises BadModelAnswer, or what the provider broke off with.
        """
        texts: list[str] = []
        try:
            for line in self._lines(data):
                if not line.startswith(b"data:"):
                    continue
                said = self._said(line[5:])
                if isinstance(said, str):
                    if said:
                        texts.append(said)
                    continue
                if texts:
                    yield _joined(texts)
                    texts = []
                yield said
        except (BadModelAnswer, ProviderUnavailable):
            if texts:
                yield _joined(texts)
            raise
        if texts:
            yield _joined(texts)

    def end(self) -> Iterator[Delta]:
        """Yield what a last line without a line break holds."""
        return self.read(b"\n")

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete."""
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        return lines

    def _said(self, payload: bytes) -> str | Delta:
        """Return what a line of data adds to the answer: its text, or a delta if it is more than that."""
        if self.done:
            return ""
        try:
            return self._read_chunk(_decode_chunk(payload))
        except (msgspec.DecodeError, UnicodeDecodeError):
            payload = payload.strip()
            if payload and payload != b"[DONE]":
                raise BadModelAnswer("The provider sent a chunk that is not valid.") from None
            self.done = bool(payload)
            return ""

    def _read_chunk(self, chunk: WireChunk) -> str | Delta:
        if chunk.error:
            message = chunk.error.get("message") if isinstance(chunk.error, dict) else chunk.error
            words = str(message).replace(self._secret, "***") if self._secret else str(message)
            error = ProviderUnavailable(f"The provider broke off: {words[:300]}")
            error.reported = Reported.of(None)
            raise error
        if chunk.usage is not None:
            self.usage = _usage(chunk.usage) or self.usage
        if not self.model and isinstance(chunk.model, str):
            self.model = chunk.model[:LONGEST_MODEL]
        if not chunk.choices:
            return ""
        choice = chunk.choices[0]
        if choice.finish_reason and isinstance(choice.finish_reason, str):
            self.finish_reason = FINISH_REASONS.get(choice.finish_reason.lower(), FinishReason.STOP)
        wire = choice.delta
        if wire is None:
            return ""
        text = _text(wire.content)
        if not (wire.reasoning_content or wire.reasoning or wire.refusal or wire.tool_calls):
            return text
        reasoning, refusal = _text(wire.reasoning_content) or _text(wire.reasoning), _text(wire.refusal)
        calls = tuple(map(self._tool_call, wire.tool_calls or ()))
        return Delta(text, reasoning, refusal, calls) if reasoning or refusal or calls else text

    def _tool_call(self, wire: WireToolCall) -> ToolCallDelta:
        """Return a piece of a call under an index of our own: servers leave theirs out, or give all calls index 0."""
        function = wire.function or WireFunction()
        name = function.name if isinstance(function.name, str) and function.name else None
        call_id = wire.id if isinstance(wire.id, str) and wire.id else None
        indexed = isinstance(wire.index, int)
        call = self._call_at.get(wire.index) if indexed else (self._calls[-1] if self._calls else None)
        if call is None or (call_id and call_id != call.id) or (not indexed and name and not call_id):
            call = _Call(len(self._calls), call_id)
            self._calls.append(call)
            if indexed:
                self._call_at[wire.index] = call
        # Some servers repeat the name with every piece; added up it would be none.
        if call.named:
            name = None
        call.named = call.named or name is not None
        delta = ToolCallDelta(call.index, call_id, name, _arguments(function.arguments))
        if wire.extra_content:
            delta.extra_content = wire.extra_content
        return delta


def _joined(texts: list[str]) -> Delta:
    return Delta("".join(texts), pieces=tuple(texts) if len(texts) > 1 else ())


class _Call(Struct):
    index: int
    id: str | None
    named: bool = False


def _arguments(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()
