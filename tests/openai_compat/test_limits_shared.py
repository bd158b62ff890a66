"""Two processes with one database and one Redis: limits and keys are the same on both, also when Redis is gone."""

import asyncio
from collections.abc import Iterator

import aiohttp
import pytest

from tests.live import Live
from tests.live.asking import ask, body, eventually, url_of
from tests.openai_compat.limits_parts import (
    EDGES,
    assert_exact,
    assert_exact_at_the_edge,
    kill,
    knows,
    make_keys,
    send_many,
    two_servers,
)
from tests.services import Redis
from tests.upstream import Upstream, says, stalls

pytestmark = pytest.mark.slow

RATES = [1, 60, 600]
Pair = tuple[Redis, list[Live]]


@pytest.fixture(scope="module")
def pair(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with two_servers(session_upstream.base_url, tmp_path_factory) as pair:
        yield pair


@pytest.fixture(scope="module")
def keys(pair: Pair) -> dict[str, str]:
    _, lives = pair
    rates = {f"rate-{rate}": {"requests_per_minute": rate} for rate in RATES}
    others = {"triple": {"max_parallel_requests": 3}, "lasting": {"requests_per_minute": 1000}, "leaver": {}}
    return make_keys(*lives, **others, **rates, **EDGES)


@pytest.mark.parametrize("rate", RATES)
async def test_exactly_so_many_requests_pass_in_a_minute(pair: Pair, keys: dict[str, str], rate: int):
    await assert_exact(pair[1], keys[f"rate-{rate}"], rate)


async def test_the_count_begins_anew_at_the_minutes_edge_on_both(pair: Pair, keys: dict[str, str]):
    await assert_exact_at_the_edge(pair[1], keys)


async def test_so_many_requests_run_at_once_on_both_together(pair: Pair, upstream: Upstream, keys: dict[str, str]):
    _, lives = pair
    upstream.default = stalls("Wait", "done")
    refused: asyncio.Queue[str] = asyncio.Queue()

    async def chat(session: aiohttp.ClientSession, live: Live) -> int:
        headers = {"authorization": f"Bearer {keys['triple']}"}
        async with session.post(url_of(live), json=body("listener"), headers=headers) as response:
            if response.status == 429:
                refused.put_nowait((await response.json())["error"]["message"])
            return response.status

    async with aiohttp.ClientSession() as session:
        chats = [asyncio.create_task(chat(session, lives[number % 2])) for number in range(10)]
        messages = {await refused.get() for _ in range(7)}
        await upstream.received(3)
        upstream.release()
        statuses = await asyncio.gather(*chats)
    assert sorted(statuses) == [200] * 3 + [429] * 7
    assert messages == {"Rate limit exceeded: parallel requests"}
    upstream.default = says("Hello")
    assert ask(lives[0], "listener", key=keys["triple"]).status_code == 200


def test_a_revoked_key_is_refused_on_both(pair: Pair, keys: dict[str, str]):
    _, lives = pair
    key = keys["leaver"]
    assert all(knows(live, key) for live in lives)
    lives[0].manage("key", "revoke", "leaver")
    eventually(lambda: not any(knows(live, key) for live in lives))


async def test_serving_goes_on_without_redis_and_says_so_once(pair: Pair, keys: dict[str, str]):
    redis, lives = pair
    answers, _ = await asyncio.gather(
        send_many(lives, keys["lasting"], 400),
        asyncio.to_thread(kill, redis),
    )
    answers += await send_many(lives, keys["lasting"], 100)
    assert {answer.status for answer in answers} == {200}
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"1000"}
    for live in lives:
        assert live.output.count("Redis does not answer") == 1
        assert "this process counts for itself" in live.output

    await asyncio.to_thread(redis.start)
    for live in lives:
        await asyncio.to_thread(
            eventually, lambda live=live: knows(live, keys["lasting"]) and "Redis answers again" in live.output
        )
