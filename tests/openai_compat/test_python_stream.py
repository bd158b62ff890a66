"""The official `openai` package for Python reads a streamed answer."""

from typing import Any

import openai
import pytest

from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO, WEATHER, City
from tests.upstream import Upstream, Usage, call, calls_many, says, stalls


@pytest.mark.parametrize("interval", [0.02, None])
def test_the_answer_comes_in_the_providers_pieces(
    client: openai.OpenAI, upstream: Upstream, interval: float | None
) -> None:
    upstream.says(["Hel", "lo", "!"], interval=interval)
    with client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True) as stream:
        chunks = [strict.chunk(chunk) for chunk in stream]
    assert [chunk.choices[0].delta.content for chunk in chunks] == [None, "Hel", "lo", "!", None]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, None, "stop"]
    assert len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}) == 1
    assert chunks[0].model == "coder"


def test_a_piece_is_passed_on_before_the_next_one_is_there(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(stalls("One", then=" two"))
    with client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True) as stream:
        assert next(stream).choices[0].delta.role == "assistant"
        assert next(stream).choices[0].delta.content == "One"
        upstream.release()
        assert next(stream).choices[0].delta.content == " two"
        assert next(stream).choices[0].finish_reason == "stop"


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": False}}, {"stream_options": None}])
def test_usage_is_not_sent_to_those_who_did_not_ask(client: openai.OpenAI, upstream: Upstream, options: dict[str, Any]):
    upstream.says("Hello!")
    stream = client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True, **options)
    chunks = [strict.chunk(chunk) for chunk in stream]
    assert all(chunk.choices and "usage" not in chunk.model_fields_set for chunk in chunks)


def test_usage_comes_last_to_those_who_asked(client: openai.OpenAI, upstream: Upstream):
    upstream.says("Hello there!", usage=Usage(20, 9, cached_tokens=12, reasoning_tokens=4))
    stream = client.chat.completions.create(
        model="openfang:coder", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    *others, last = [strict.chunk(chunk) for chunk in stream]
    assert others[-1].choices[0].finish_reason == "stop"
    assert all("usage" not in chunk.model_fields_set for chunk in others)
    assert last.choices == []
    assert last.id == others[0].id
    assert last.usage is not None
    assert last.usage.to_dict() == {
        "prompt_tokens": 20,
        "completion_tokens": 9,
        "total_tokens": 29,
        "prompt_tokens_details": {"cached_tokens": 12},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }


def test_the_models_thoughts_come_as_reasoning_content(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(*[says("Four.", reasoning="Two and two.")] * 2)
    stream = client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True)
    deltas = [strict.chunk(chunk).choices[0].delta.to_dict() for chunk in stream]
    assert "".join(str(delta.get("reasoning_content", "")) for delta in deltas) == "Two and two."
    assert "".join(str(delta.get("content", "")) for delta in deltas) == "Four."
    whole = strict.completion(client.chat.completions.create(model="openfang:coder", messages=HELLO))
    assert whole.choices[0].message.to_dict() == {
        "role": "assistant",
        "content": "Four.",
        "reasoning_content": "Two and two.",
    }


def test_the_stream_helper_folds_the_answer(client: openai.OpenAI, upstream: Upstream):
    upstream.says("Hello there!")
    with client.chat.completions.stream(model="openfang:coder", messages=HELLO) as stream:
        kinds = [event.type for event in stream]
        whole = stream.get_final_completion()
    assert kinds[0] == "chunk"
    assert {"content.delta", "content.done"} <= set(kinds)
    assert whole.model == "coder"
    assert whole.choices[0].message.content == "Hello there!"
    assert whole.choices[0].finish_reason == "stop"


def test_the_stream_helper_parses_the_structure_it_asked_for(client: openai.OpenAI, upstream: Upstream):
    upstream.says('{"name": "Oslo", "population": 700000}')
    with client.chat.completions.stream(model="openfang:coder", messages=HELLO, response_format=City) as stream:
        whole = stream.get_final_completion()
    assert whole.choices[0].message.parsed == City(name="Oslo", population=700_000)
    assert upstream.asked[0]["response_format"]["json_schema"]["name"] == "City"


def test_the_stream_helper_folds_the_calls_of_the_clients_tools(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(calls_many(call("get_weather", city="Oslo"), call("get_weather", city="Rome")), says("Sunny."))
    conversation: list[Any] = [{"role": "user", "content": "What is the weather in Oslo and in Rome?"}]
    with client.chat.completions.stream(model="openfang:coder", messages=conversation, tools=[WEATHER]) as stream:
        choice = stream.get_final_completion().choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    called = [(one.index, one.function.name, one.function.arguments) for one in choice.message.tool_calls]  # type: ignore[attr-defined]
    assert called == [(0, "get_weather", '{"city": "Oslo"}'), (1, "get_weather", '{"city": "Rome"}')]
    ids = [one.id for one in choice.message.tool_calls]
    answers = [{"role": "tool", "tool_call_id": call_id, "content": "Sunny."} for call_id in ids]
    conversation += [choice.message.to_dict(), *answers]
    with client.chat.completions.stream(model="openfang:coder", messages=conversation, tools=[WEATHER]) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Sunny."
    assistant, *results = upstream.asked[1]["messages"][2:]
    assert [one["id"] for one in assistant["tool_calls"]] == ids
    assert results == answers


async def test_the_async_client_reads_streams_side_by_side(async_client: openai.AsyncOpenAI, upstream: Upstream):
    upstream.default = stalls("One", then=" two")
    streams = [
        await async_client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True)
        for _ in range(3)
    ]
    assert upstream.open_requests == 3
    upstream.release()
    for stream in streams:
        async with stream:
            texts = [strict.chunk(chunk).choices[0].delta.content or "" async for chunk in stream]
        assert "".join(texts) == "One two"
