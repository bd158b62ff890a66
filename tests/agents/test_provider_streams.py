"""Streams as providers really write them: each test is the quirk of a server, and the answer that becomes of it."""

import json
from typing import Any

import pytest

from tests.live import Live
from tests.live.asking import ask, content_of, events_of, row_of, text_of
from tests.upstream import DONE, Mark, Pause, Step, Upstream, chunk, error_frame, frame, junk, says

HELLO = chunk({"content": "Hello"})
STOP = chunk({}, "stop")
WORLD = "Grüße, 世界! 🚀"


def written(*pieces: bytes) -> Step:
    return junk(pieces, interval=0.02)


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


STREAMS: dict[str, tuple[Step, str]] = {
    "lines end in CRLF": (junk([(HELLO + STOP + DONE).replace(b"\n", b"\r\n")]), "Hello"),
    "a CRLF is cut in two": (written(HELLO[:-2] + b"\r", b"\n\r\n" + STOP + DONE), "Hello"),
    "comments keep the connection open": (junk([b": ping\n\n", HELLO, b":\n\n", STOP, b": done\n", DONE]), "Hello"),
    "no space after the colon": (junk([(HELLO + STOP + DONE).replace(b"data: ", b"data:")]), "Hello"),
    "no blank lines": (junk([(HELLO + STOP + DONE).replace(b"\n\n", b"\n")]), "Hello"),
    "named events, ids and retries": (junk([b"event: message\nid: 7\nretry: 10\n" + HELLO, STOP, DONE]), "Hello"),
    "no [DONE]": (junk([HELLO, STOP]), "Hello"),
    "no [DONE], and no end of the last line": (junk([HELLO, STOP.rstrip()]), "Hello"),
    "no finish reason before [DONE]": (junk([HELLO, DONE]), "Hello"),
    "something after [DONE]": (junk([HELLO, STOP, DONE, chunk({"content": "!"})]), "Hello"),
    "the connection stays open after [DONE]": (junk([HELLO, STOP, DONE, Mark.HOLD]), "Hello"),
    "no content type of a stream": (junk([HELLO, STOP, DONE], content_type="text/plain"), "Hello"),
    "an empty list of choices first": (junk([frame({"choices": []}), HELLO, STOP, DONE]), "Hello"),
    "choices are null": (junk([frame({"choices": None, "x": 1}), HELLO, STOP, DONE]), "Hello"),
    "a delta is null": (junk([HELLO, frame({"choices": [{"delta": None, "finish_reason": "stop"}]}), DONE]), "Hello"),
    "fields are null": (
        junk([chunk({"role": "assistant", "content": None, "tool_calls": None, "refusal": None}), HELLO, STOP, DONE]),
        "Hello",
    ),
    "content comes with the finish reason": (junk([chunk({"content": "Hello"}, "stop"), DONE]), "Hello"),
    "content is a list of parts": (
        junk([chunk({"content": [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]}), STOP, DONE]),
        "Hello",
    ),
    "content is an odd list": (junk([chunk({"content": [7, {"type": "x"}, None]}), HELLO, STOP, DONE]), "Hello"),
    "characters are cut in two": (junk(in_pieces(chunk({"content": WORLD}) + STOP + DONE, 3), interval=0.001), WORLD),
    "everything in one write": (says(WORLD, interval=None), WORLD),
    "characters are escaped": (
        junk([b"data: " + json.dumps({"choices": [{"delta": {"content": WORLD}}]}).encode() + b"\n\n", STOP, DONE]),
        WORLD,
    ),
    "line separators of Unicode are text": (says("one\u2028two\u0085three"), "one\u2028two\u0085three"),
    "a megabyte in one chunk": (junk([chunk({"content": "x" * 2**20}), STOP, DONE]), "x" * 2**20),
    "silence in between": (says(["Hel", Pause(0.2), "lo"]), "Hello"),
}


@pytest.mark.parametrize("name", STREAMS)
def test_the_answer_is_read(live: Live, upstream: Upstream, name: str):
    step, text = STREAMS[name]
    upstream.turns(step, step)
    whole, streamed = ask(live), ask(live, stream=True)
    assert content_of(whole) == text
    assert text_of(events_of(streamed)) == text
    for response in (whole, streamed):
        row = row_of(live, response)
        assert (row["status"], row["finish_reason"], row["llm_calls"]) == ("ok", "stop", 1)


@pytest.mark.parametrize("key", ["reasoning", "reasoning_content"])
def test_thoughts_come_under_one_name(live: Live, upstream: Upstream, key: str):
    step = says("Hello", reasoning="Let me think").but(reasoning_key=key)
    upstream.turns(step, step)
    message = ask(live).json()["choices"][0]["message"]
    assert (message["reasoning_content"], message["content"]) == ("Let me think", "Hello")
    events = events_of(ask(live, stream=True))
    assert (text_of(events, "reasoning_content"), text_of(events)) == ("Let me think", "Hello")


def test_thoughts_under_both_names_come_once(live: Live, upstream: Upstream):
    upstream.turns(junk([chunk({"reasoning": "Hm", "reasoning_content": "Hm"}), HELLO, STOP, DONE]))
    assert ask(live).json()["choices"][0]["message"]["reasoning_content"] == "Hm"


def test_a_refusal_goes_through(live: Live, upstream: Upstream):
    step = junk([chunk({"refusal": "I can't."}), STOP, DONE])
    upstream.turns(step, step)
    assert ask(live).json()["choices"][0]["message"]["refusal"] == "I can't."
    assert text_of(events_of(ask(live, stream=True)), "refusal") == "I can't."


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("max_tokens", "length"),
        ("MAX_TOKENS", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("eos", "stop"),
        ("end_turn", "stop"),
        (7, None),
        ("", None),
    ],
)
def test_the_finish_reason_is_one_of_openais(live: Live, upstream: Upstream, said: Any, told: str | None):
    upstream.turns(junk([HELLO, frame({"choices": [{"delta": {}, "finish_reason": said}]}), DONE]))
    response = ask(live)
    assert response.json()["choices"][0]["finish_reason"] == (told or "stop")
    assert row_of(live, response)["finish_reason"] == (told or "stop")


BREAKS: dict[str, tuple[Step, str, str]] = {
    "the stream ends without a finish reason": (
        junk([HELLO]),
        "provider_unavailable",
        "Scripted broke off in mid-answer.",
    ),
    "the connection is cut": (says(["Hello", Mark.CUT]), "provider_unavailable", "Scripted broke off in mid-answer."),
    "a chunk is no JSON": (
        written(HELLO, b"data: {oops\n\n"),
        "bad_model_answer",
        "The provider sent a chunk that is not valid.",
    ),
    "a chunk is something else": (
        written(HELLO, b"data: [1, 2]\n\n"),
        "bad_model_answer",
        "The provider sent a chunk that is not valid.",
    ),
    "an error frame": (
        written(HELLO, error_frame("Overloaded.")),
        "provider_unavailable",
        "The provider broke off: Overloaded.",
    ),
    "an error frame in one read with the first word": (
        junk([HELLO + error_frame("Overloaded.")]),
        "provider_unavailable",
        "The provider broke off: Overloaded.",
    ),
    "a named error event": (
        written(HELLO, b"event: error\n" + error_frame("Overloaded.")),
        "provider_unavailable",
        "The provider broke off: Overloaded.",
    ),
    "an error that is only words": (
        written(HELLO, frame({"error": "Overloaded."})),
        "provider_unavailable",
        "The provider broke off: Overloaded.",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_after_the_first_word_is_an_error_and_is_not_tried_again(live: Live, upstream: Upstream, name: str):
    step, code, message = BREAKS[name]
    upstream.turns(step, step)
    whole, streamed = ask(live), ask(live, stream=True)
    error = {"message": message, "type": "api_error", "param": None, "code": code}
    assert (whole.status_code, whole.json()) == (502, {"error": error})
    events = events_of(streamed)
    assert text_of(events) == "Hello"
    assert events[-1] == {"error": error}
    assert not any(choice["finish_reason"] for event in events for choice in event.get("choices", ()))
    assert len(upstream.requests) == 2
