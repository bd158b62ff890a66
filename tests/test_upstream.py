"""The scripted upstream itself: what a test reads off it must be true, or every test that leans on it says nothing."""

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.upstream import Mark, Upstream
from tests.upstream.steps import call, calls, calls_many, cuts, fails, hangs, junk, says, stalls
from tests.upstream.wire import DONE, Call, CallStyle, Usage, chunk, error_frame


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(base_url=upstream.base_url + "/") as session:
        yield session


def question(*, stream: bool = True, usage: bool = False, model: str = "gpt-test") -> dict[str, Any]:
    """The body of a chat request."""
    options = {"stream_options": {"include_usage": True}} if usage else {}
    return {"model": model, "messages": [{"role": "user", "content": "Hi"}], "stream": stream, **options}


async def streamed(client: aiohttp.ClientSession, **asked: Any) -> list[Any]:
    """The events of a streamed answer; the last one is "[DONE]"."""
    async with client.post("chat/completions", json=question(**asked)) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        return events(await response.read())


def events(body: bytes) -> list[Any]:
    *frames, rest = body.decode().split("\n\n")
    assert rest == ""
    data = [frame.removeprefix("data: ") for frame in frames]
    return [json.loads(one) if one.startswith("{") else one for one in data]


def deltas(seen: list[Any], key: str) -> list[Any]:
    found = [event["choices"][0]["delta"] for event in seen[:-1] if event["choices"]]
    return [delta[key] for delta in found if key in delta]


async def test_it_streams_a_role_the_words_a_finish_the_usage_and_done(upstream, client):
    upstream.says("Hello there!", usage=Usage(cached_tokens=4, reasoning_tokens=0))
    seen = await streamed(client, usage=True)
    head = {"id": "chatcmpl-upstream", "object": "chat.completion.chunk", "created": 1_700_000_000, "model": "gpt-test"}
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 2,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }
    chunks = [
        ({"role": "assistant", "content": ""}, None),
        ({"content": "Hello"}, None),
        ({"content": " there!"}, None),
        ({}, "stop"),
    ]
    choices = [{"index": 0, "delta": delta, "finish_reason": finish} for delta, finish in chunks]
    assert seen[:-2] == [{**head, "choices": [choice]} for choice in choices]
    assert seen[-2:] == [{**head, "choices": [], "usage": usage}, "[DONE]"]


@pytest.mark.parametrize(
    ("usage", "asked", "counts"),
    [
        (Usage(), False, []),
        (None, True, []),
        (Usage(always=True), False, [1]),
        (Usage(completion_tokens=7, place="finish_chunk"), True, [7]),
        (Usage(place="every_chunk"), True, [0, 0, 1]),
    ],
)
async def test_usage_stands_where_the_script_puts_it(upstream, client, usage, asked, counts):
    upstream.says(["Hi"], usage=usage)
    seen = await streamed(client, usage=asked)
    assert [event["usage"]["completion_tokens"] for event in seen[:-1] if "usage" in event] == counts


async def test_a_request_without_stream_gets_one_completion(upstream, client):
    upstream.turns(calls("clock", timezone="UTC"), says("It is noon.", reasoning="Twelve."))
    answers = []
    for _ in range(2):
        async with client.post("chat/completions", json=question(stream=False)) as response:
            answers.append(await response.json())
    function = {"name": "clock", "arguments": '{"timezone": "UTC"}'}
    first, second = (answer["choices"][0] for answer in answers)
    assert first["finish_reason"] == "tool_calls"
    assert first["message"] == {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"index": 0, "id": "call_clock", "type": "function", "function": function}],
    }
    assert second["message"] == {"role": "assistant", "content": "It is noon.", "reasoning_content": "Twelve."}
    assert answers[1]["usage"] == {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}


async def test_tool_calls_are_split_as_the_provider_at_hand_does_it(upstream, client):
    clock = call("clock", tz="UTC")
    upstream.turns(
        calls_many(clock, Call("now", ("", "{", "}"), id="x")),
        calls_many(clock, Call("now", "", id=None), style=CallStyle(whole=True, index=False)),
        calls_many(clock, call("now"), style=CallStyle(repeat_id=True, repeat_name=True, size=8, interleaved=True)),
    )
    openai, whole, interleaved = [
        [delta for several in deltas(await streamed(client), "tool_calls") for delta in several] for _ in range(3)
    ]

    def told(name: str, arguments: str, **identity: Any) -> dict[str, Any]:
        return {**identity, "type": "function", "function": {"name": name, "arguments": arguments}}

    assert openai == [
        told("clock", "", index=0, id="call_clock"),
        *({"index": 0, "function": {"arguments": piece}} for piece in ('{"tz"', ': "UT', 'C"}')),
        told("now", "", index=1, id="x"),
        *({"index": 1, "function": {"arguments": piece}} for piece in ("", "{", "}")),
    ]
    assert whole == [told("clock", '{"tz": "UTC"}', id="call_clock"), told("now", "")]
    assert interleaved == [
        told("clock", "", index=0, id="call_clock"),
        told("now", "", index=1, id="call_now"),
        told("clock", '{"tz": "', index=0, id="call_clock"),
        told("now", "{}", index=1, id="call_now"),
        told("clock", 'UTC"}', index=0, id="call_clock"),
    ]


async def test_it_fails_with_the_status_headers_and_body_it_was_given(upstream, client):
    upstream.turns(fails(429, headers={"retry-after": "7"}), fails(503, "<html>Bad day</html>"))
    async with client.post("chat/completions", json=question()) as refused:
        assert (refused.status, refused.headers["Retry-After"]) == (429, "7")
        error = {"message": "The upstream fails with 429.", "type": "rate_limit_error", "param": None, "code": None}
        assert await refused.json() == {"error": error}
    async with client.post("chat/completions", json=question()) as broken:
        assert (broken.status, broken.content_type) == (503, "text/html")
        assert await broken.text() == "<html>Bad day</html>"


async def test_a_cut_leaves_the_client_with_half_an_answer(upstream, client):
    upstream.turns(cuts("Hello wor"), cuts("Hello", reset=True), cuts("Hello"), cuts())
    async with client.post("chat/completions", json=question()) as response:
        body = b""
        with pytest.raises(aiohttp.ClientPayloadError):
            async for piece in response.content.iter_any():
                body += piece
    assert deltas([*events(body), None], "content") == ["", "Hello", " wor"]
    for streaming in (True, False):
        with pytest.raises((aiohttp.ClientPayloadError, aiohttp.ClientOSError)):
            async with client.post("chat/completions", json=question(stream=streaming)) as response:
                await response.read()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.post("chat/completions", json=question())
    for request in upstream.requests:
        await request.answered.seen()
        assert not request.client_gone.is_set()


async def test_a_stalled_answer_goes_on_when_it_is_released(upstream, client):
    upstream.turns(stalls("One", then=" two"), hangs(says("At last.")))
    async with client.post("chat/completions", json=question()) as response:
        await response.content.readuntil(b"One")
        assert upstream.open_requests == 1
        assert not upstream.requests[0].answered.is_set()
        upstream.release()
        assert b'" two"' in await response.read()
    hanging = asyncio.create_task(streamed(client))
    _, hung = await upstream.received(2)
    assert not hung.started.is_set()
    upstream.release()
    assert deltas(await hanging, "content") == ["", "At", " last."]


async def test_it_sees_at_once_that_the_client_is_gone(upstream, client):
    upstream.turns(stalls("One"), hangs(), says("Done."))
    response = await client.post("chat/completions", json=question())
    await response.content.readuntil(b"One")
    response.close()
    waiting = asyncio.create_task(client.post("chat/completions", json=question()))
    stalled, hung = await upstream.received(2)
    await stalled.client_gone.seen()
    waiting.cancel()
    await hung.client_gone.seen()
    assert (stalled.started.is_set(), hung.started.is_set()) == (True, False)
    async with client.post("chat/completions", json=question()) as response:
        await response.content.readuntil(DONE)
    await upstream.idle()
    assert not upstream.requests[2].client_gone.is_set()
    assert [request.answered.is_set() for request in upstream.requests] == [False, False, True]


async def test_junk_arrives_byte_for_byte_and_each_piece_as_soon_as_it_is_due(upstream, client):
    first, *rest = [b": hello\r\n\r\ndata: {\xc3", b"\xa9\n\n", chunk({"content": "x"}), error_frame("overloaded")]
    upstream.turns(junk([first, Mark.HOLD, *rest], interval=0.001))
    async with client.post("chat/completions", json=question()) as response:
        assert await response.content.readany() == first
        upstream.release()
        assert await response.read() == b"".join(rest)


async def test_each_model_plays_its_own_script_before_the_common_one(upstream, client):
    upstream.model("small").says("Small.")
    upstream.model("large").turns(fails(503))
    upstream.says("Common.")
    upstream.default = says("Default.")
    assert deltas(await streamed(client, model="other"), "content") == ["", "Common."]
    assert len(upstream.unplayed) == 2
    assert deltas(await streamed(client, model="small"), "content") == ["", "Small."]
    assert deltas(await streamed(client, model="small"), "content") == ["", "Default."]
    async with client.post("chat/completions", json=question(model="large")) as response:
        assert response.status == 503
    assert upstream.unplayed == []
    assert [body["model"] for body in upstream.asked] == ["other", "small", "small", "large"]


def test_it_remembers_each_request_and_names_the_unscripted(upstream):
    upstream.models = ["a", "b"]
    with urllib.request.urlopen(upstream.base_url + "/models") as response:
        assert [model["id"] for model in json.load(response)["data"]] == ["a", "b"]
    body = json.dumps(question()).encode()
    headers = {"Authorization": "Bearer sk-1", "Content-Type": "application/json"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(upstream.base_url + "/chat/completions", body, headers))
    with refused.value as response:
        assert json.load(response)["error"]["message"] == "The upstream's script is empty."
    _, chat = upstream.wait_for_requests(2)
    assert (chat.method, chat.path, chat.size) == ("POST", "/v1/chat/completions", len(body))
    assert (chat.headers["authorization"], chat.model, chat.messages) == (
        "Bearer sk-1",
        "gpt-test",
        chat.body["messages"],
    )
    assert upstream.unscripted == [chat]
    with pytest.raises(AssertionError, match="waited 0 s for 3 requests"):
        upstream.wait_for_requests(3, timeout=0)


async def test_it_stops_with_hundreds_of_open_streams_and_leaves_nothing_behind():
    before = {thread for thread in threading.enumerate() if thread.name == "upstream"}
    with Upstream(default=stalls("Hello")) as upstream:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(base_url=upstream.base_url + "/", connector=connector) as client:
            posts = (client.post("chat/completions", json=question()) for _ in range(500))
            responses = await asyncio.gather(*posts)
            for response in responses:
                await response.content.readuntil(b"Hello")
            assert upstream.open_requests == 500
            await asyncio.to_thread(upstream.stop)
            for response in responses:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await response.read()
            with pytest.raises(aiohttp.ClientConnectorError):
                await client.post("chat/completions", json=question())
    assert upstream.open_requests == 0
    assert not any(request.client_gone.is_set() or request.answered.is_set() for request in upstream.requests)
    assert {thread for thread in threading.enumerate() if thread.name == "upstream"} == before
    gc.collect()  # what was left open warns now, and warnings are errors


def test_it_stops_although_a_client_does_not_read():
    with Upstream(default=junk([bytes(10_000_000)])) as upstream:
        host, port = upstream.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}")
            assert client.recv(12) == b"HTTP/1.1 200"
            upstream.stop()
            gc.collect()


def test_it_runs_as_a_process_that_plays_one_answer_for_ever():
    command = [sys.executable, "-m", "tests.upstream", "--port", "0", "--chunks", "3"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        base_url = process.stdout.readline().removeprefix("listening on ").strip()
        body = json.dumps(question()).encode()
        for _ in range(2):
            with urllib.request.urlopen(base_url + "/chat/completions", body) as response:
                assert deltas(events(response.read()), "content") == ["", "word0 ", "word1 ", "word2 "]
        process.terminate()
        assert process.wait(60) == 0
