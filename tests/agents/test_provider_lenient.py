"""Lenient means lenient: what can be read is read, and an odd field costs nothing but itself."""

import json
from typing import Any

import pytest

from agents.providers.lenient import HalfCharacters
from tests.agents.provider_parts import heard
from tests.live import Live
from tests.live.asking import ask, events_of, row_of, text_of
from tests.upstream import DONE, Mark, Step, Upstream, answers, chunk, frame, junk

HELLO, STOP = chunk({"content": "Hello"}), chunk({}, "stop")


def raw(text: str | bytes) -> bytes:
    return b"data: " + (text.encode() if isinstance(text, str) else text) + b"\n\n"


def delta(content: str | bytes, key: str = "content") -> bytes:
    """A chunk whose text stands in it as it is given, escapes and all."""
    text = content.encode() if isinstance(content, str) else content
    return raw(b'{"choices":[{"index":0,"delta":{"' + key.encode() + b'":"' + text + b'"},"finish_reason":null}]}')


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


TEXTS: dict[str, tuple[Step, str]] = {
    "an emoji in two chunks": (junk([delta(r"a\ud83d"), delta(r"\ude00b"), STOP, DONE]), "a😀b"),
    "an emoji in two chunks, one read": (junk([delta(r"\ud83d") + delta(r"\ude00") + STOP + DONE]), "😀"),
    "an emoji whose second half is like a byte": (junk([delta(r"\ud83d"), delta(r"\udca9"), STOP, DONE]), "💩"),
    "a half that stays alone": (junk([delta(r"a\ud83d"), delta("b"), STOP, DONE]), "a\ufffdb"),
    "a half at the end": (junk([delta(r"a\ud83d"), STOP, DONE]), "a\ufffd"),
    "a second half alone": (junk([delta(r"a\ude00b"), STOP, DONE]), "a\ufffdb"),
    "bytes of a character in two chunks": (junk([delta(b"a\xf0\x9f"), delta(b"\x98\x80b"), STOP, DONE]), "a😀b"),
    "bytes of a character in four chunks": (
        junk([*(delta(bytes([byte])) for byte in "😀".encode()), STOP, DONE]),
        "😀",
    ),
    "a byte that is no UTF-8": (junk([delta(b"a\xffb"), STOP, DONE]), "a\ufffdb"),
    "Latin-1": (junk([delta("Grüße".encode("latin-1")), STOP, DONE]), "Gr\ufffd\ufffde"),
    "surrogates as bytes (CESU-8)": (junk([delta(b"a\xed\xa0\xbd\xed\xb8\x80b"), STOP, DONE]), "a😀b"),
    "a NUL behind the JSON": (junk([HELLO[:-2] + b"\x00\n\n", STOP, DONE]), "Hello"),
    "a BOM": (junk([b"\xef\xbb\xbf" + HELLO, STOP, DONE]), "Hello"),
    "a BOM, byte by byte": (junk(in_pieces(b"\xef\xbb\xbf" + HELLO + STOP + DONE, 1)), "Hello"),
    "NaN": (
        junk([raw('{"choices":[{"delta":{"content":"Hello"},"logprobs":NaN}],"speed":-Infinity}'), STOP, DONE]),
        "Hello",
    ),
    "Infinity in the last chunk": (
        junk([HELLO, raw('{"choices":[{"delta":{},"finish_reason":"stop"}],"tokens_per_second":Infinity}'), DONE]),
        "Hello",
    ),
    "a number of 5,000 digits": (
        junk([raw('{"created":' + "9" * 5000 + ',"choices":[{"delta":{"content":"Hello"}}]}'), STOP, DONE]),
        "Hello",
    ),
    "a line break in a string": (junk([raw(b'{"choices":[{"delta":{"content":"a\tb"}}]}'), STOP, DONE]), "a\tb"),
    "a field twice": (
        junk([raw('{"choices":null,"choices":[{"delta":{"content":"x","content":"Hello"}}]}'), STOP, DONE]),
        "Hello",
    ),
    "choices: [null]": (junk([frame({"choices": [None]}), HELLO, STOP, DONE]), "Hello"),
    "choices are an object": (junk([frame({"choices": {"delta": {"content": "Hello"}}}), STOP, DONE]), "Hello"),
    "choices are a text": (junk([frame({"choices": "none"}), HELLO, STOP, DONE]), "Hello"),
    "a delta is a list": (junk([frame({"choices": [{"delta": []}]}), HELLO, STOP, DONE]), "Hello"),
    "a delta is a text": (junk([frame({"choices": [{"delta": "x"}]}), HELLO, STOP, DONE]), "Hello"),
    "fields are numbers": (
        junk([frame({"model": 7, "choices": [{"delta": {"content": 7, "refusal": 7, "reasoning": 7}}]}), HELLO, STOP]),
        "Hello",
    ),
    "usage is a list": (junk([frame({"usage": [1], "choices": []}), HELLO, STOP, DONE]), "Hello"),
    "an event in two lines": (
        junk([b'data: {"choices": [\ndata: {"delta": {"content": "Hello"}}]}\n\n', STOP, DONE]),
        "Hello",
    ),
    "an event in many lines": (
        junk(
            [
                b"".join(
                    b"data: " + line.encode() + b"\n"
                    for line in json.dumps({"choices": [{"delta": {"content": "Hello"}}]}, indent=1).splitlines()
                )
                + b"\n",
                STOP,
                DONE,
            ]
        ),
        "Hello",
    ),
    "an event in lines that end in CR": (
        junk([b'data:{"choices": [\rdata:{"delta": {"content": "Hello"}}]}\r\r', STOP, DONE]),
        "Hello",
    ),
    "lines end in CR": (junk([(HELLO + STOP + DONE).replace(b"\n", b"\r")]), "Hello"),
    "lines end in CRLF, byte by byte": (
        junk(in_pieces(b"event: error_free\n" + (HELLO + STOP + DONE).replace(b"\n", b"\r\n"), 1)),
        "Hello",
    ),
    "white space before the field": (junk([b"  " + HELLO, b"\t" + STOP, DONE]), "Hello"),
    "[DONE] without brackets": (junk([HELLO, b"data: DONE\n\n"]), "Hello"),
    "the connection is cut behind the finish reason": (junk([HELLO, STOP, Mark.RESET]), "Hello"),
    "a message instead of a delta": (
        junk([frame({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}), DONE]),
        "Hello",
    ),
    "the whole message once more in the end": (
        junk([HELLO, frame({"choices": [{"message": {"content": "Hello"}, "finish_reason": "stop"}]}), DONE]),
        "Hello",
    ),
    "lines of JSON without data:": (
        junk([b'{"choices":[{"delta":{"content":"Hel"}}]}\n', b'{"choices":[{"delta":{"content":"lo"}}]}\n']),
        "Hello",
    ),
    "the text of a completion": (junk([frame({"choices": [{"text": "Hello"}]}), STOP, DONE]), "Hello"),
}


@pytest.mark.parametrize("name", TEXTS)
async def test_the_answer_is_read(upstream: Upstream, name: str):
    step, text = TEXTS[name]
    upstream.turns(step)
    found = await heard(upstream)
    assert found.error is None
    assert (found.text, found.finish) == (text, "stop")


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning"])
async def test_thoughts_are_joined_too(upstream: Upstream, key: str):
    upstream.turns(junk([delta(r"a\ud83d", key), delta(r"\ude00b", key), HELLO, STOP, DONE]))
    found = await heard(upstream)
    assert (found.reasoning, found.text) == ("a😀b", "Hello")
    assert found.attached == {key: "a😀b"}


@pytest.mark.parametrize("stream", [False, True])
def test_the_client_gets_the_joined_character(live: Live, upstream: Upstream, stream: bool):
    upstream.turns(junk([delta(r"a\ud83d"), delta(r"\ude00"), delta(r"\ud83d"), STOP, DONE]))
    response = ask(live, stream=stream)
    text = text_of(events_of(response)) if stream else response.json()["choices"][0]["message"]["content"]
    assert text == "a😀\ufffd"
    assert row_of(live, response)["status"] == "ok"


async def test_halves_elsewhere_harm_nothing(upstream: Upstream):
    said = r'{"model":"m\ud83d","choices":[{"delta":{"content":"Hello","x\ud83d":"y\ud83d"}}]}'
    upstream.turns(junk([raw(said), STOP, DONE]))
    found = await heard(upstream)
    assert (found.text, found.attached) == ("Hello", {"x\ufffd": "y\ufffd"})


WHOLE: dict[str, Any] = {
    "id": "x",
    "object": "chat.completion",
    "model": "gpt-whole",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "Hello",
                "reasoning_content": "Hm.",
                "tool_calls": [
                    {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"q":"x"}'}},
                    {"id": "b", "type": "function", "function": {"name": "look", "arguments": {"q": "y"}}},
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
}


@pytest.mark.parametrize(
    "step",
    [
        answers(WHOLE),
        junk([json.dumps(WHOLE, indent=2).encode()], content_type="application/json"),
        junk([b"\xef\xbb\xbf" + json.dumps(WHOLE).encode()]),
        junk(in_pieces(json.dumps(WHOLE).encode(), 7)),
        junk([frame(WHOLE), DONE]),
    ],
)
async def test_a_server_that_does_not_stream_is_read_too(upstream: Upstream, step: Step):
    upstream.turns(step)
    found = await heard(upstream)
    assert (found.text, found.reasoning, found.finish) == ("Hello", "Hm.", "tool_calls")
    assert found.calls == [("look", '{"q":"x"}'), ("look", '{"q":"y"}')]
    assert found.usage is not None
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (7, 5)


async def test_what_is_nested_too_deeply_is_a_bad_answer(upstream: Upstream):
    upstream.turns(*[junk([HELLO, raw('{"x":' + "[" * 100_000 + "]" * 100_000 + "}"), STOP, DONE])] * 1)
    found = await heard(upstream)
    assert found.error is not None
    assert found.error.code == "bad_model_answer"


async def test_an_event_of_lines_without_end_is_a_bad_answer(upstream: Upstream):
    """Decoding it after each of its lines took minutes."""
    upstream.turns(junk([HELLO, b'data: {"x":[\n' + b"data: 1,\n" * 20_000, STOP, DONE]))
    found = await heard(upstream)
    assert found.error is not None
    assert found.error.code == "bad_model_answer"


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["\ud83d", "\ude00"], "😀"),
        (["\ud83d", "", "\ude00"], "😀"),
        (["\ud83d", "\ud83d", "\ude00"], "\ufffd😀"),
        (["\udcf0\udc9f", "\udc98", "\udc80"], "😀"),
        (["\udcf0\udc9f", "x"], "\ufffdx"),
        (["\ude00"], "\ufffd"),
        (["é", "\ud83d"], "é\ufffd"),
    ],
)
def test_halves_are_joined(pieces: list[str], text: str):
    halves = HalfCharacters()
    assert "".join(map(halves.join, pieces)) + halves.join("", final=True) == text
