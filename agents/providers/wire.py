"""What OpenAI-compatible servers send back, read leniently: every field may be absent, null or of an odd type."""

from collections.abc import Iterator, Mapping
from typing import Any

from agents.errors import AgentError, BadModelAnswer, ProviderUnavailable
from agents.providers.attachments import MessageFields
from agents.providers.calls import LEGACY_INDEX, CallAssembler
from agents.providers.chunks import UNREADABLE, WireChoice, WireChunk, as_chunk, decode_chunk, text_of
from agents.providers.counts import later, usage_in, usage_of
from agents.providers.endings import FAILED, failure_in, finish_reason, says_something
from agents.providers.lenient import HalfCharacters, decoded_anyhow, loosely_decoded, whole_text
from agents.providers.refusals import Said, clean, failed_answer, page_words, reported, words_beside_choices
from agents.types import Delta, FinishReason, ModelSpec, ReportedUsage, ToolCallDelta

LONGEST_MODEL = 200
LONGEST_BODY = 16 * 2**20
MOST_WORK = 2**24  # bytes times lines of one event: it is decoded after each line, 0.2 s in all at this limit
LONGEST_UNKNOWN = 2**14
UNREADABLE_CHUNK = "The provider sent a chunk that is not valid."
NO_REASON = ("null", "none")
KEEP_ALIVE = (b"ping", b"heartbeat", b"keep-alive", b"keepalive", b"null", b"true")
BOM = b"\xef\xbb\xbf"


class ChunkReader:
    """Turns the bytes of one answer into deltas, whether the server streams it or sends it whole.

    Reads line by line: nearly every server sends one JSON text a line, whether or not blank lines stand between. What
    an event holds in several lines is put together when its first line alone cannot be read.
    """

    def __init__(self, model: ModelSpec, headers: Mapping[str, str]) -> None:
        self._model = model
        self._headers = headers
        self._rest = b""
        self._ended_in_cr = False
        # The lines of an answer that is no stream, until the first event shows that it is one.
        self._body: bytearray | None = bytearray()
        self._event = ""
        self._partial = b""
        # Whether the next line is to be read with care: an event has more lines, a name, or is the first.
        self._is_special = True
        self._calls = CallAssembler()
        self._fields = MessageFields()
        self._halves: dict[str, HalfCharacters] = {}
        self._unknown_reason = self._last_words = ""
        # What stood in the stream and was not understood: the reason, if the answer does not end well.
        self._unknown = b""
        self._said_anything = False
        self.finish_reason: FinishReason | None = None
        self.usage: ReportedUsage | None = None
        self.model = ""
        self.done = False

    def read(self, data: bytes) -> Iterator[Delta]:
        """Yield what these bytes complete, texts that follow each other as one delta: the run then looks at them once.

        Raises BadModelAnswer, or what the provider broke off with.
        """
        texts: list[str] = []
        try:
            for line in self._lines(data):
                if line.startswith(b"data:"):
                    said = self._said(line[5:])
                elif self._is_special or not line.isspace():
                    said = self._aside(line)
                else:
                    continue
                if isinstance(said, str):
                    if said:
                        texts.append(said)
                        self._said_anything = True
                    continue
                if texts:
                    yield _joined(texts)
                    texts = []
                self._said_anything = True
                yield said
        except (AgentError, ValueError, RecursionError) as error:
            if texts:
                yield _joined(texts)
            raise _as_agent_error(error) from error.__cause__
        if texts:
            yield _joined(texts)

    def end(self) -> Iterator[Delta]:
        """Yield what is left when nothing more comes. Raises what kept the answer from ending well."""
        yield from self.read(b"\n\n")
        if self._body is not None:
            yield from self._whole_body(bytes(self._body))
        halves = {name: half.join("", final=True) for name, half in self._halves.items()}
        calls = tuple(self._calls.end())
        self._said_anything = self._said_anything or bool(calls)
        self._refuse_silence()
        if self._calls.has_nameless:
            raise BadModelAnswer(f"{self._model.provider.label} called a tool without naming it.")
        if calls or any(halves.values()):
            yield Delta(halves.get("content", ""), halves.get("reasoning", ""), halves.get("refusal", ""), calls)

    def last(self) -> Delta:
        """Return how the answer ended, after `end`."""
        return Delta(
            finish_reason=self.finish_reason or FinishReason.STOP,
            usage=self.usage,
            model=self.model,
            attached=self._fields.collected(),
        )

    def _refuse_silence(self) -> None:
        label = self._model.provider.label
        if self._unknown_reason:
            reason = clean(self._unknown_reason, self._model.provider.api_key)
            words = f": {self._last_words}" if self._last_words else "."
            error = ProviderUnavailable(f"{label} ended its answer with {reason!r}{words}")
            raise reported(error, None, Said(code=reason))
        if self.finish_reason is None and self._unknown:
            raise failed_answer(self._model, self._words_of(self._unknown), self._headers)
        if self.finish_reason in (None, FinishReason.TOOL_CALLS) and self.done and not self._said_anything:
            raise ProviderUnavailable(f"{label} sent an answer without a word.")
        if self.finish_reason is None and not self.done:
            raise ProviderUnavailable(f"{label} broke off in mid-answer.")

    def _lines(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete."""
        if self._ended_in_cr and data:
            data = data.removeprefix(b"\n")  # the other half of a CRLF, not an empty line
            self._ended_in_cr = False
        if data.endswith(b"\r"):
            self._ended_in_cr = True
        lines = (self._rest + data).splitlines(keepends=True)
        self._rest = lines.pop() if lines and not lines[-1].endswith((b"\n", b"\r")) else b""
        if self._rest:
            self._refuse_length(len(self._rest))
        return lines

    def _refuse_length(self, size: int) -> None:
        if size > LONGEST_BODY:
            raise BadModelAnswer(f"{self._model.provider.label} sent more than {LONGEST_BODY >> 20} MB in one piece.")

    def _aside(self, line: bytes) -> str | Delta:
        """Take in a line that does not begin as a line of data does."""
        text = line.strip().removeprefix(BOM).lstrip()
        if text.startswith(b"data:") and (self._body is None or not self._body):
            return self._said(text[5:])
        if not text:
            self._refuse_partial()
            if self._event == "error":
                raise failed_answer(self._model, {}, self._headers)
            self._event, self._is_special = "", self.done or self._body is not None
        elif text.startswith(b"event:"):
            self._event, self._is_special = text[6:].strip().decode("utf-8", "replace"), True
        elif self._body is not None and not text.startswith((b":", b"id:", b"retry:")):
            self._body += line
            self._refuse_length(len(self._body))
        elif text.startswith((b'{"', b'[{"')):
            return self._said(text)  # an error that a gateway writes as it is
        elif not text.startswith((b":", b"id:", b"retry:", b"data:")):
            self._note_unknown(line)
        return ""

    def _note_unknown(self, said: bytes) -> None:
        """Keep words that are no part of an answer, bounded: without a finish reason they are an error."""
        if len(self._unknown) < LONGEST_UNKNOWN:
            self._unknown += said

    def _words_of(self, said: bytes) -> Any:
        try:
            data = loosely_decoded(said)
        except ValueError:
            return page_words(said, self._model.provider.api_key)
        has_words = failure_in(data) is not None or (isinstance(data, dict) and data.get("code"))
        return data if has_words else page_words(said, self._model.provider.api_key)

    def _refuse_partial(self) -> None:
        """Raise BadModelAnswer if the event that ends here could not be read."""
        said, self._partial = self._partial.strip(), b""
        if not said:
            return
        if self._event == "error" or not said.startswith((b"{", b'["', b"[{")):
            raise failed_answer(self._model, page_words(said, self._model.provider.api_key), self._headers)
        raise BadModelAnswer(UNREADABLE_CHUNK)

    def _said(self, payload: bytes) -> str | Delta:
        """Return what a line of data adds to the answer: its text, or a delta if it is more than that."""
        if self._is_special:
            return self._said_with_care(payload)
        try:
            return self._read_chunk(decode_chunk(payload), payload)
        except UNREADABLE:
            return self._said_loosely(payload)

    def _said_with_care(self, payload: bytes) -> str | Delta:
        if self.done:
            return ""
        if self._body:
            self._note_unknown(bytes(self._body))
        self._body, self._is_special = None, False
        in_lines = self._partial or self._event == "error"
        said = self._said_in_lines(payload) if in_lines else self._said(payload)
        self._is_special = bool(self.done or self._partial or self._event)
        return said

    def _said_in_lines(self, payload: bytes) -> str | Delta:
        """Read a line of data behind others of its event, or behind the event's name."""
        if self._partial and not payload.strip().startswith(b"[DONE"):
            before, self._partial = self._partial, b""
            if len(before) * before.count(b"\n") > MOST_WORK:
                raise BadModelAnswer(UNREADABLE_CHUNK)
            payload = before.rstrip(b"\r\n") + b"\n" + payload.removeprefix(b" ")
        return self._said_loosely(payload)

    def _said_loosely(self, payload: bytes) -> str | Delta:
        said = payload.strip()
        if not said:
            return ""
        word = said.strip(b'[]" ').lower()
        if word == b"done" and self._event != "error":
            self._refuse_partial()
            self.done = self._is_special = True
            return ""
        if word in KEEP_ALIVE:
            return ""
        try:
            data = loosely_decoded(said)
        except ValueError:
            self._partial, self._is_special = payload, True
            return ""
        if (failure := failure_in(data, self._event)) is not None:
            raise failed_answer(self._model, failure, self._headers)
        if not data:
            return ""
        if not isinstance(data, dict):
            raise BadModelAnswer(UNREADABLE_CHUNK)
        self._halves = self._halves or {name: HalfCharacters() for name in ("content", "reasoning", "refusal")}
        return self._read_chunk(as_chunk(data), said)

    def _whole_body(self, body: bytes) -> Iterator[Delta]:
        """Yield an answer that is no stream: one completion, an error, or a page."""
        said = body.strip().removeprefix(BOM)
        label = self._model.provider.label
        if not said:
            return
        try:
            data = loosely_decoded(said)
        except ValueError:
            if said.startswith(b'{"') and b"\n" in said:  # a stream whose lines are JSON and nothing else
                self._body = None
                yield from self.read(b"".join(b"data:" + line + b"\n\n" for line in said.splitlines()))
                self.done = True
                return
            words = page_words(said, self._model.provider.api_key)
            raise reported(ProviderUnavailable(f"{label} sent no answer but a page: {words}"), None, Said()) from None
        failure = failure_in(data)
        chunk = as_chunk(data) if isinstance(data, dict) else WireChunk()
        if failure is not None or not chunk.choices:
            raise failed_answer(self._model, data if failure is None else failure, self._headers)
        self._halves = {name: HalfCharacters() for name in ("content", "reasoning", "refusal")}
        said_now = self._read_chunk(chunk, said)
        self.done = True
        if said_now:
            self._said_anything = True
            yield Delta(said_now) if isinstance(said_now, str) else said_now

    def _read_chunk(self, chunk: WireChunk, payload: bytes) -> str | Delta:
        if chunk.error or not chunk.choices or chunk.usage is not None or not self.model:
            self._read_around(chunk, payload)
            if not chunk.choices:
                return ""
        choice = chunk.choices[0]
        if choice.finish_reason or choice.error:
            self._end_with(choice, payload)
        wire = choice.delta
        if not wire:
            if not choice.finish_reason and choice.message is None and choice.text is None:
                self._look_around(payload)
            return self._undivided(choice)
        if len(wire) == 1 and not self._halves and type(text := wire.get("content")) is str:
            return text
        return self._read_delta(wire)

    def _read_around(self, chunk: WireChunk, payload: bytes) -> None:
        if not self.model and isinstance(chunk.model, str):
            self.model = whole_text(chunk.model[:LONGEST_MODEL])
        if chunk.usage is not None:
            self.usage = later(self.usage, usage_of(chunk.usage))
        if chunk.error or not (chunk.choices or chunk.usage):
            self._look_around(payload)

    def _look_around(self, payload: bytes) -> None:
        """Look for errors and counts in a chunk that is no piece of the answer, or the last one."""
        data = decoded_anyhow(payload)
        if (failure := failure_in(data)) is not None:
            raise failed_answer(self._model, failure, self._headers)
        usage = usage_in(data)
        self.usage = later(self.usage, usage)
        if usage is None and not data.get("choices") and says_something(data):
            self._note_unknown(payload + b"\n")

    def _end_with(self, choice: WireChoice, payload: bytes) -> None:
        if choice.error:
            raise failed_answer(self._model, {"error": choice.error}, self._headers)
        self._look_around(payload)
        said = choice.finish_reason
        if FAILED.search(self._unknown_reason):
            return
        if isinstance(said, str) and said.lower() not in NO_REASON:
            reason = finish_reason(said)
            self.finish_reason, self._unknown_reason = reason or self.finish_reason, "" if reason else said
            self._last_words = "" if reason else words_beside_choices(payload, self._model.provider.api_key)

    def _undivided(self, choice: WireChoice) -> str | Delta:
        """Return the answer of a server that sends it whole, as a message, or as a text completion."""
        if isinstance(choice.message, dict) and not self._said_anything:
            return self._read_delta(choice.message)
        return choice.text if isinstance(choice.text, str) else ""

    def _read_delta(self, wire: dict[str, Any]) -> str | Delta:
        if wire.get("error"):
            raise failed_answer(self._model, {"error": wire["error"]}, self._headers)
        text, reasoning = text_of(wire.get("content")), self._fields.read(wire)
        refusal = text_of(wire.get("refusal"))
        if self._halves:
            text, reasoning = self._halves["content"].join(text), self._halves["reasoning"].join(reasoning)
            refusal = self._halves["refusal"].join(refusal)
        calls = self._tool_calls(wire) if wire.get("tool_calls") or wire.get("function_call") else ()
        return Delta(text, reasoning, refusal, calls) if reasoning or refusal or calls else text

    def _tool_calls(self, wire: dict[str, Any]) -> tuple[ToolCallDelta, ...]:
        pieces = wire.get("tool_calls")
        pieces = [pieces] if isinstance(pieces, dict) else pieces
        legacy = wire.get("function_call")
        if not pieces and isinstance(legacy, dict):
            pieces = [{"index": LEGACY_INDEX, "function": legacy}]
        if not isinstance(pieces, list):
            return ()
        return tuple(delta for piece in pieces if isinstance(piece, dict) for delta in self._calls.read(piece))


def _as_agent_error(error: Exception) -> AgentError:
    """Return our own errors unchanged; any other means unreadable JSON, for example nested too deeply."""
    return error if isinstance(error, AgentError) else BadModelAnswer(UNREADABLE_CHUNK)


def _joined(texts: list[str]) -> Delta:
    return Delta("".join(texts), pieces=tuple(texts) if len(texts) > 1 else ())
