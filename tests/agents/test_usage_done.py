"""Whoever has seen the end of an answer finds its row closed."""

import asyncio

import aiohttp

from tests.live import Live
from tests.live.asking import body
from tests.upstream import Upstream, says

AT_ONCE = 50


def status_now(live: Live, request_id: str) -> str:
    [row] = live.usage(f"id = '{request_id}'")
    return str(row["status"])


async def test_who_has_seen_done_finds_a_closed_row(live: Live, upstream: Upstream):
    upstream.default = says("One two three", interval=0.01)

    async def status_on_done(session: aiohttp.ClientSession) -> str:
        async with session.post(f"{live.base_url}/chat/completions", json=body(stream=True)) as response:
            request_id = response.headers["x-request-id"].removeprefix("req_")
            async for line in response.content:
                if line == b"data: [DONE]\n":
                    return status_now(live, request_id)
        raise AssertionError("the stream ended without [DONE]")

    async with aiohttp.ClientSession() as session:
        statuses = await asyncio.gather(*(status_on_done(session) for _ in range(AT_ONCE)))
    assert statuses == ["ok"] * AT_ONCE


async def test_who_has_a_whole_answer_finds_a_closed_row(live: Live, upstream: Upstream):
    upstream.default = says("One two three")

    async def status_on_answer(session: aiohttp.ClientSession) -> str:
        async with session.post(f"{live.base_url}/chat/completions", json=body()) as response:
            return status_now(live, response.headers["x-request-id"].removeprefix("req_"))

    async with aiohttp.ClientSession() as session:
        statuses = await asyncio.gather(*(status_on_answer(session) for _ in range(AT_ONCE)))
    assert statuses == ["ok"] * AT_ONCE
