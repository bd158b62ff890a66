"""The lines of the play: what the upstream answers, written as a test would say it."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from tests.upstream.acts import Act, Mark, Pause, Reply
from tests.upstream.wire import (
    DONE,
    Call,
    CallStyle,
    Chunks,
    Json,
    Usage,
    body_acts,
    completion,
    encoded,
    error,
)

# A piece of content, raw bytes written as they are, or something that happens between them.
Piece = str | Act
Headers = Mapping[str, str]
_USUAL = Usage()
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}


@dataclass(frozen=True)
class Asked:
    """What the upstream's answer depends on."""

    model: str
    stream: bool
    include_usage: bool


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """One answer of the upstream."""

    headers: Headers = field(default_factory=dict)
    # What happens before the first byte, the head of the response included.
    opening: tuple[Act, ...] = ()

    def but(self, **changes: Any) -> Self:
        """The same step with some of its fields changed: `calls("clock").but(style=CallStyle(whole=True))`."""
        return replace(self, **changes)

    @abstractmethod
    def reply(self, asked: Asked) -> Reply: ...


@dataclass(frozen=True, kw_only=True)
class Raw(Step):
    """An answer given byte for byte, the same whether a stream was asked for or not."""

    pieces: tuple[Act, ...]
    status: int = 200
    content_type: str = "text/event-stream"
    # Seconds between pieces.
    interval: float = 0
    length: int | None = None

    def reply(self, asked: Asked) -> Reply:
        acts = (*self.opening, *_spaced(self.pieces, self.interval))
        return Reply(acts, self.status, self.headers, self.content_type, self.length)


@dataclass(frozen=True, kw_only=True)
class Answer(Step):
    """A chat completion: text, tool calls or both, streamed or whole as the request asks."""

    pieces: tuple[Piece, ...] = ()
    reasoning: tuple[str, ...] = ()
    # "reasoning" with OpenRouter and Groq.
    reasoning_key: str = "reasoning_content"
    calls: tuple[Call, ...] = ()
    style: CallStyle = field(default_factory=CallStyle)
    finish: str = "stop"
    # None: the provider counts nothing.
    usage: Usage | None = _USUAL
    # Seconds between chunks. None: all that is ready goes out in one write.
    interval: float | None = 0
    # Benchmarks play one answer for ever: writing its chunks anew took two thirds of the time.
    _written: dict[Asked, Reply] = field(default_factory=dict, init=False, repr=False, compare=False)

    def reply(self, asked: Asked) -> Reply:
        if asked not in self._written:
            self._written[asked] = self._write(asked)
        return self._written[asked]

    def _write(self, asked: Asked) -> Reply:
        if asked.stream:
            acts = (*self.opening, *_spaced(self._events(asked), self.interval))
            return Reply(acts, headers=self.headers, content_type="text/event-stream")
        body = encoded(self._completion(asked.model))
        marks = [piece for piece in self.pieces if isinstance(piece, Mark | Pause)]
        return Reply((*self.opening, *body_acts(body, marks)), headers=self.headers, length=len(body))

    def _events(self, asked: Asked) -> Iterator[Act]:
        wanted = self.usage if asked.include_usage or (self.usage and self.usage.always) else None
        usage, place = (wanted.json(self._counted()), wanted.place) if wanted else (None, None)
        chunks = Chunks(
            asked.model,
            so_far=replace(wanted, completion_tokens=0).json(0) if wanted and place == "every_chunk" else None,
        )
        yield chunks.delta({"role": "assistant", "content": ""})
        for thought in self.reasoning:
            yield chunks.delta({self.reasoning_key: thought})
        for piece in self.pieces:
            yield chunks.delta({"content": piece}) if isinstance(piece, str) else piece
        for delta in self.style.deltas(self.calls):
            yield chunks.delta(delta)
        yield chunks.delta({}, self.finish, None if place == "own_chunk" else usage)
        if usage and place == "own_chunk":
            yield chunks.usage(usage)
        yield DONE

    def _completion(self, model: str) -> Json:
        text = "".join(piece for piece in self.pieces if isinstance(piece, str))
        message: Json = {"content": text or (None if self.calls else "")}
        if self.reasoning:
            message[self.reasoning_key] = "".join(self.reasoning)
        if self.calls:
            message["tool_calls"] = [call.json(index) for index, call in enumerate(self.calls)]
        return completion(model, message, self.finish, self.usage.json(self._counted()) if self.usage else None)

    def _counted(self) -> int:
        return sum(isinstance(piece, str) for piece in self.pieces) + len(self.calls)


def says(
    text: str | Iterable[Piece],
    *,
    finish: str = "stop",
    usage: Usage | None = _USUAL,
    reasoning: str | Iterable[str] = "",
    interval: float | None = 0,
    delay: float = 0,
    headers: Headers | None = None,
) -> Answer:
    """Answer with this text, word by word, or in just the pieces that are given."""
    return Answer(
        pieces=_words(text) if isinstance(text, str) else tuple(text),
        reasoning=_words(reasoning) if isinstance(reasoning, str) else tuple(reasoning),
        finish=finish,
        usage=usage,
        interval=interval,
        opening=(Pause(delay),) if delay else (),
        headers=headers or {},
    )


def call(name: str, /, **arguments: Any) -> Call:
    """One of several calls; its id is made of its name. Write `Call(...)` for odd ids and broken arguments."""
    return Call(name, json.dumps(arguments), f"call_{name}")


def calls(name: str, /, **arguments: Any) -> Answer:
    """Call one tool."""
    return calls_many(call(name, **arguments))


def calls_many(*several: Call, text: str = "", style: CallStyle | None = None) -> Answer:
    """Call several tools in one turn, perhaps after some text."""
    return Answer(pieces=_words(text), calls=several, style=style or CallStyle(), finish="tool_calls")


def fails(status: int, body: Mapping[str, Any] | str | None = None, headers: Headers | None = None) -> Raw:
    """Refuse with this status. The body is OpenAI's error unless it is given; a string is sent as HTML."""
    if body is None:
        body = error(f"The upstream fails with {status}.", _ERROR_TYPES.get(status, "server_error"))
    return _whole(body, status, headers)


def cuts(after: str | None = None, *, reset: bool = False) -> Answer:
    """Close the connection in mid-stream after this text; without a text before the first byte."""
    mark = Mark.RESET if reset else Mark.CUT
    return Answer(opening=(mark,)) if after is None else Answer(pieces=(*_words(after), mark))


def stalls(after: str, then: str = "") -> Answer:
    """Fall silent after this text; once released, say the rest and end well."""
    return Answer(pieces=(*_words(after), Mark.HOLD, *_words(then)))


def hangs(then: Step | None = None) -> Step:
    """Take the request and send nothing, not even headers; once released, answer after all."""
    return (then or says("")).but(opening=(Mark.HOLD,))


def junk(
    pieces: Iterable[Act],
    *,
    content_type: str = "text/event-stream",
    interval: float = 0,
    headers: Headers | None = None,
) -> Raw:
    """Send these bytes, each piece in a write of its own. An interval keeps the reader from seeing several as one."""
    return Raw(pieces=tuple(pieces), content_type=content_type, interval=interval, headers=headers or {})


def answers(body: Mapping[str, Any]) -> Raw:
    """Answer with this JSON, as it is."""
    return _whole(body, 200, None)


def _whole(body: Mapping[str, Any] | str, status: int, headers: Headers | None) -> Raw:
    content_type = "text/html" if isinstance(body, str) else "application/json"
    raw = body.encode() if isinstance(body, str) else encoded(body)
    return Raw(status=status, pieces=(raw,), content_type=content_type, length=len(raw), headers=headers or {})


def _words(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\s*\S+|\s+$", text))


def _spaced(acts: Iterable[Act], interval: float | None) -> Iterator[Act]:
    """Put the interval between pieces that follow one another; with no interval make one piece of them."""
    if interval is None:
        yield from _joined(acts)
        return
    before: Act | None = None
    for act in acts:
        if interval and isinstance(before, bytes) and isinstance(act, bytes):
            yield Pause(interval)
        yield act
        before = act


def _joined(acts: Iterable[Act]) -> Iterator[Act]:
    ready = b""
    for act in acts:
        if isinstance(act, bytes):
            ready += act
            continue
        if ready:
            yield ready
        ready = b""
        yield act
    if ready:
        yield ready
