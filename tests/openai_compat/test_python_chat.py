"""The official `openai` package for Python has a conversation with an agent."""

import asyncio
from typing import Any

import openai
from openai.types.chat import ChatCompletionMessageFunctionToolCall

from tests.live import Live
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO, PIXEL, WEATHER, City
from tests.upstream import Upstream, call, calls_many, hangs, says


def test_an_agent_answers(client: openai.OpenAI, upstream: Upstream):
    upstream.says("Hello! How can I help?")
    answer = strict.completion(client.chat.completions.create(model="openfang:coder", messages=HELLO))
    assert answer.model == "coder"
    assert answer.choices[0].message.content == "Hello! How can I help?"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (10, 5, 15)
    assert upstream.asked[0]["messages"] == [{"role": "system", "content": "You write code."}, *HELLO]


def test_the_headers_say_which_request_it_was_and_what_was_ignored(
    live: Live, client: openai.OpenAI, upstream: Upstream
):
    upstream.says("Hello!")
    answer = client.chat.completions.with_raw_response.create(
        model="openfang:coder", messages=HELLO, temperature=0.7, max_tokens=1024, seed=7
    )
    parsed = answer.parse()
    completion = strict.completion(parsed)
    request_id = completion.id.removeprefix("chatcmpl-").replace("-", "")
    assert answer.headers["x-request-id"] == f"req_{request_id}"
    assert parsed._request_id == answer.headers["x-request-id"]
    assert answer.headers["openai-processing-ms"].isdecimal()
    assert answer.headers["x-openfang-ignored"] == "temperature, max_tokens, seed"
    assert {"temperature", "max_tokens", "seed"}.isdisjoint(upstream.asked[0])
    assert live.usage(f"id = '{request_id}'")[0]["status"] == "ok"


def test_an_agent_that_honours_parameters_passes_them_on(client: openai.OpenAI, upstream: Upstream):
    upstream.says("Hello!")
    answer = client.chat.completions.with_raw_response.create(
        model="openfang:listener", messages=HELLO, temperature=0.7, max_tokens=100
    )
    assert "x-openfang-ignored" not in answer.headers
    assert upstream.asked[0]["temperature"] == 0.7
    assert upstream.asked[0]["top_p"] == 0.9
    assert upstream.asked[0]["max_tokens"] == 100


def test_an_image_reaches_the_provider_unchanged(client: openai.OpenAI, upstream: Upstream):
    parts: list[Any] = [
        {"type": "text", "text": "What is in this image?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
    ]
    upstream.says("A pixel.")
    answer = client.chat.completions.create(model="openfang:coder", messages=[{"role": "user", "content": parts}])
    assert strict.completion(answer).choices[0].message.content == "A pixel."
    assert upstream.asked[0]["messages"][-1] == {"role": "user", "content": parts}


def test_parse_gets_the_structure_it_asked_for(client: openai.OpenAI, upstream: Upstream):
    upstream.says('{"name": "Oslo", "population": 700000}')
    answer = client.chat.completions.parse(model="openfang:coder", messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(name="Oslo", population=700_000)
    asked = upstream.asked[0]["response_format"]
    assert asked["type"] == "json_schema"
    assert asked["json_schema"]["name"] == "City"
    assert asked["json_schema"]["strict"] is True
    assert set(asked["json_schema"]["schema"]["properties"]) == {"name", "population"}


def test_the_clients_tools_are_called_by_the_client(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(
        calls_many(call("get_weather", city="Oslo"), call("get_weather", city="Rome"), text="Let me see."),
        says("Sunny and rainy."),
    )
    conversation: list[Any] = [{"role": "user", "content": "What is the weather in Oslo and in Rome?"}]
    first = client.chat.completions.create(
        model="openfang:coder", messages=conversation, tools=[WEATHER], tool_choice="auto"
    )
    message = strict.completion(first).choices[0].message
    assert first.choices[0].finish_reason == "tool_calls"
    assert message.content == "Let me see."
    assert message.tool_calls is not None
    called = [one for one in message.tool_calls if isinstance(one, ChatCompletionMessageFunctionToolCall)]
    assert [one.function.arguments for one in called] == ['{"city": "Oslo"}', '{"city": "Rome"}']
    assert len({one.id for one in called}) == 2
    assert upstream.asked[0]["tools"] == [WEATHER]

    answers = [{"role": "tool", "tool_call_id": one.id, "content": f"Answer {one.id}"} for one in called]
    conversation += [first.choices[0].message, *answers]
    second = client.chat.completions.create(model="openfang:coder", messages=conversation, tools=[WEATHER])
    assert strict.completion(second).choices[0].message.content == "Sunny and rainy."
    assert second.choices[0].finish_reason == "stop"
    assistant, *results = upstream.asked[1]["messages"][2:]
    assert [one["id"] for one in assistant["tool_calls"]] == [one.id for one in called]
    assert results == answers


async def test_the_async_client_has_several_conversations_at_once(async_client: openai.AsyncOpenAI, upstream: Upstream):
    upstream.default = hangs(says("Hello!"))
    asking = [
        asyncio.create_task(async_client.chat.completions.create(model="openfang:coder", messages=HELLO))
        for _ in range(5)
    ]
    await upstream.received(5)
    assert upstream.open_requests == 5
    upstream.release()
    answers = [strict.completion(answer) for answer in await asyncio.gather(*asking)]
    assert [answer.choices[0].message.content for answer in answers] == ["Hello!"] * 5
    assert len({answer.id for answer in answers}) == 5
