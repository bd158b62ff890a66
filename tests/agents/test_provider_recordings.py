"""Conversations with tools as each family of providers has them, whole and in pieces of any size."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.errors import AgentError
from agents.providers.attachments import merged
from agents.providers.wire import ChunkReader
from agents.types import ModelSpec, ProviderSpec
from tests.live import Live
from tests.live.asking import ask, content_of, events_of, row_of
from tests.upstream import DONE, Upstream, chunk, error_frame, says
from tests.upstream.recordings import CITY, RECORDINGS

TOOLS = [{"type": "function", "function": {"name": "look"}}]
MODEL = ModelSpec("m", ProviderSpec("scripted", "Scripted", "openai", "http://localhost"))


def _called(arguments: str) -> bytes:
    return chunk({"tool_calls": [{"index": 0, "function": {"name": "a", "arguments": arguments}}]})


# Streams that end in other ways, or that only a lenient reader reads.
ODD: dict[str, bytes] = {
    "an error in the end": chunk({"content": "Grüße"}) + error_frame("Überlastet."),
    "halves of an emoji": b'data: {"choices":[{"delta":{"content":"\\ud83d"}}]}\r\n\r\n'
    + b'data: {"choices":[{"delta":{"content":"\\ude00"}}]}\r\n\r\n'
    + (chunk({}, "stop") + DONE).replace(b"\n", b"\r\n"),
    "bytes of an emoji": b'data:{"choices":[{"delta":{"content":"\xf0\x9f"}}]}\rdata:{"choices":[{"delta":{"content":'
    + b'"\x98\x80"}}]}\r\r'
    + chunk({}, "stop"),
    "an event in lines": b'\xef\xbb\xbf: hi\n\ndata: {"choices":\ndata: [{"delta": {"content": "a"}}]}\n\n'
    + chunk({}, "length")
    + DONE,
    "a named error": chunk({"content": "a"}) + b'event: error\r\ndata: {"message": "Oh no"}\r\n\r\n',
    "a whole completion": b'{\n "choices": [{"message": {"content": "Gr\xc3\xbc\xc3\x9fe"},\n'
    + b'"finish_reason": "stop"}]\n}',
    "a page": b"<html>\r\n<title>Wartung</title>\r\n</html>",
    "calls one after the other": _called('{"x": 1}{"y": 2}') + chunk({}, "tool_calls"),
    "arguments that break off": _called('{"x": "ü') + DONE,
    "nothing": b"",
}
STREAMS = {name: recording.body for name, recording in RECORDINGS.items()} | ODD


def read(pieces: list[bytes]) -> dict[str, Any]:
    """What a stream says when it comes in these pieces."""
    reader = ChunkReader(MODEL, {})
    texts: dict[str, str] = {"text": "", "reasoning": "", "refusal": ""}
    calls: dict[int, dict[str, Any]] = {}
    error = ""
    try:
        for piece in [*pieces, None]:
            for delta in reader.end() if piece is None else reader.read(piece):
                for name in texts:
                    texts[name] += getattr(delta, name)
                for part in delta.tool_calls:
                    call = calls.setdefault(part.index, {"name": "", "arguments": "", "extra": None, "unread": ""})
                    call["name"] += part.name or ""
                    call["arguments"] += part.arguments
                    call["unread"] += part.unread
                    if part.extra:
                        call["extra"] = merged(call["extra"], part.extra)
    except AgentError as failure:
        error = f"{failure.code}: {failure}"
    last = reader.last()
    return {**texts, "calls": calls, "error": error, "end": [last.finish_reason, last.usage, last.model, last.attached]}


@pytest.mark.parametrize("name", STREAMS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_any_split_at_any_byte_says_the_same(name: str, data: st.DataObject):
    body = STREAMS[name]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(body)), max_size=40)))
    pieces = [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]
    assert read(pieces) == read([body])


@pytest.mark.parametrize("name", STREAMS)
def test_byte_by_byte_it_says_the_same(name: str):
    body = STREAMS[name]
    assert read([body[at : at + 1] for at in range(len(body))]) == read([body])


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_conversation_with_the_servers_tools(live: Live, upstream: Upstream, name: str):
    recording = RECORDINGS[name]
    upstream.turns(recording.step("current_time"), says("Done."))
    response = ask(live, "handy")
    assert content_of(response) == f"{recording.text}Done."
    row = row_of(live, response)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (recording.prompt + 10, recording.completion + 1)
    turn, result = upstream.asked[1]["messages"][-2:]
    [call] = turn.pop("tool_calls")
    assert json.loads(call["function"]["arguments"]) == CITY
    assert {key: value for key, value in call.items() if key not in ("id", "type", "function")} == recording.call
    assert turn == {"role": "assistant", "content": recording.text or None, **recording.attached}
    assert (result["role"], result["tool_call_id"]) == ("tool", call["id"])


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_conversation_with_a_clients_tools(live: Live, upstream: Upstream, name: str, stream: bool):
    recording = RECORDINGS[name]
    upstream.turns(recording.step(), says("Done."))
    message = answer_of(ask(live, tools=TOOLS, stream=stream), stream)
    assert message.get("reasoning_content", "") == recording.reasoning
    assert (message["content"] or "") == recording.text
    [call] = message["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == CITY
    messages = [
        {"role": "user", "content": "Where is it?"},
        message,
        {"role": "tool", "tool_call_id": call["id"], "content": "Here."},
    ]
    assert content_of(ask(live, tools=TOOLS, messages=messages)) == "Done."
    turn = upstream.asked[1]["messages"][-2]
    [returned] = turn.pop("tool_calls")
    assert {key: value for key, value in returned.items() if key not in ("id", "type", "function")} == recording.call
    assert turn == {"role": "assistant", "content": recording.text or None, **recording.attached}


def answer_of(response: Any, stream: bool) -> dict[str, Any]:
    """The message of an answer, put together as clients do."""
    if not stream:
        message = response.json()["choices"][0]["message"]
        assert isinstance(message, dict)
        return message
    whole: dict[str, Any] = {"role": "assistant", "content": "", "reasoning_content": "", "tool_calls": []}
    for event in events_of(response):
        delta = event["choices"][0]["delta"]
        for name in ("content", "reasoning_content"):
            whole[name] += delta.get(name) or ""
        for piece in delta.get("tool_calls", ()):
            if piece["index"] == len(whole["tool_calls"]):
                whole["tool_calls"].append(piece)
            else:
                whole["tool_calls"][piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    return {name: value or None for name, value in whole.items() if value or name == "content"}
