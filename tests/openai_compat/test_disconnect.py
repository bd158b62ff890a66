"""A client that leaves ends the run: nothing is generated for nobody, and what was used is written down."""

import asyncio

import openai
import pytest

from tests.live import Live
from tests.openai_compat.examples import HELLO
from tests.openai_compat.rows import closed_row_of
from tests.upstream import Upstream, hangs, stalls


async def test_leaving_a_stream_closes_the_provider_and_keeps_what_was_used(
    live: Live, async_client: openai.AsyncOpenAI, upstream: Upstream
):
    upstream.turns(stalls("Once upon a time there was a"))
    stream = await async_client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True)
    text = ""
    while text != "Once upon a time there was a":
        chunk = await anext(stream)
        text += chunk.choices[0].delta.content or ""
    await stream.close()
    await upstream.requests[0].client_gone.seen()
    row = await asyncio.to_thread(closed_row_of, live, chunk.id)
    assert row["status"] == "cancelled"
    assert row["http_status"] == 200
    assert row["error_code"] == "client_disconnected"
    assert row["token_source"] == "estimated"
    assert row["prompt_tokens"] > 0
    assert row["completion_tokens"] > 0
    assert row["cost"] > 0
    assert row["finish_reason"] == ""


async def test_leaving_before_the_answer_closes_the_provider(
    live: Live, async_client: openai.AsyncOpenAI, upstream: Upstream
):
    upstream.turns(hangs())
    asking = asyncio.create_task(async_client.chat.completions.create(model="openfang:coder", messages=HELLO))
    [request] = await upstream.received(1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await request.client_gone.seen()
    [row] = live.usage("1 = 1")[-1:]
    row = await asyncio.to_thread(closed_row_of, live, row["id"])
    assert row["status"] == "cancelled"
    assert row["http_status"] == 499
    assert row["completion_tokens"] == 0
    assert row["prompt_tokens"] > 0
    assert row["token_source"] == "estimated"


async def test_the_others_go_on(async_client: openai.AsyncOpenAI, upstream: Upstream):
    upstream.default = stalls("One", then=" two")
    leaver, stayer = [
        await async_client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True)
        for _ in range(2)
    ]
    await leaver.close()
    await upstream.requests[0].client_gone.seen()
    upstream.release()
    async with stayer:
        assert "".join([chunk.choices[0].delta.content or "" async for chunk in stayer]) == "One two"
