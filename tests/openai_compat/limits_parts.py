"""What the tests of limits share: keys with limits, a Redis of their own, and many requests at once."""

import asyncio
import json
import os
import random
import shutil
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from tests.live import Live
from tests.live.asking import eventually
from tests.openai_compat import raw
from tests.services import Redis, new_databases

CONNECTIONS = 20


def make_keys(*lives: Live, **wanted: Any) -> dict[str, str]:
    """Make keys (see limits_cast.py) that all these servers know. The limits of none of them is touched."""
    probe = f"probe-{uuid.uuid4().hex}"
    cast = json.dumps({**wanted, probe: {}})
    made: dict[str, str] = json.loads(lives[0]._python("-m", "tests.openai_compat.limits_cast", cast).stdout)
    # From an address of its own, and not too often: what is not known yet counts as a wrong key.
    address = f"198.18.{random.randrange(256)}.{random.randrange(256)}"
    eventually(lambda: all(knows(live, made[probe], address) for live in lives), every=0.1)
    return made


def knows(live: Live, key: str, address: str = "") -> bool:
    """A server that had no key let everybody in, and does so until it has heard of the first one."""
    if raw.send(live, "GET", "/v1/models").status != 401:
        return False
    headers = {"x-forwarded-for": address} if address else {}
    return raw.send(live, "GET", "/v1/models", key=key, headers=headers).status == 200


def kill(redis: Redis) -> None:
    """End Redis as a crash would; `start` brings it back, empty, where it was."""
    assert redis.process is not None
    redis.process.kill()
    redis.process.wait()


@contextmanager
def two_servers(base_url: str, directories: pytest.TempPathFactory) -> Iterator[tuple[Redis, list[Live]]]:
    """Two processes with one database and one Redis."""
    need_redis()
    directory = directories.mktemp("first")
    redis = Redis(directory / "redis").start()
    shared = {
        "DATABASE_URL": f"sqlite:///{directory}/openfang.sqlite3",
        **new_databases(),
        "REDIS_URL": redis.new_database(),
        "OPENFANG_SECRET_KEY": "a secret that the tests share",
    }
    try:
        with (
            Live(directory, cast=base_url, keys=True, env=shared) as first,
            Live(directories.mktemp("second"), env=shared) as second,
        ):
            yield redis, [first, second]
    finally:
        redis.stop()


def need_redis() -> None:
    if shutil.which("redis-server") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("redis-server is not installed, and CI must run the tests that need it.")
        pytest.skip("redis-server is not installed.")


@dataclass(frozen=True)
class Sent:
    """One request's answer, and when it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    at: float

    @property
    def reset(self) -> int:
        return int(self.headers["x-ratelimit-reset-requests"].removesuffix("s"))


async def send_many(lives: Sequence[Live], key: str, count: int) -> list[Sent]:
    """Ask for the models so many times, from 20 connections, with the servers in turn."""
    numbers = iter(range(count))
    answers: list[Sent] = []

    async def connection(session: aiohttp.ClientSession) -> None:
        for number in numbers:
            url = f"{lives[number % len(lives)].base_url}/models"
            async with session.get(url, headers={"authorization": f"Bearer {key}"}) as response:
                answers.append(Sent(response.status, response.headers, await response.read(), time.time()))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
        await asyncio.gather(*(connection(session) for _ in range(CONNECTIONS)))
    return answers


def by_window(answers: Sequence[Sent]) -> list[Counter[int]]:
    """Count the statuses in each minute of the key, which the answers' reset headers tell apart."""
    ends = answers[0].at + answers[0].reset
    windows: dict[int, Counter[int]] = {}
    for answer in answers:
        window = round((answer.at + answer.reset - ends) / 60)
        windows.setdefault(window, Counter())[answer.status] += 1
    return [windows[window] for window in sorted(windows)]


async def assert_exact(lives: Sequence[Live], key: str, rate: int) -> None:
    """Send more than the rate allows, and find that exactly so many passed in each minute."""
    answers = await send_many(lives, key, rate + 40)

    windows = by_window(answers)
    assert [window[200] for window in windows] == [min(rate, window.total()) for window in windows]
    assert all(set(window) <= {200, 429} for window in windows)
    for answer in answers:
        assert answer.headers["x-ratelimit-limit-requests"] == str(rate)
        assert 1 <= answer.reset <= 60
        if answer.status == 429:
            assert answer.headers["x-ratelimit-remaining-requests"] == "0"
            assert answer.headers["retry-after"] == str(answer.reset)


# Keys whose minutes end at every second: one of them soon.
EDGES = {f"edge-{second}": {"requests_per_minute": 60, "edge": second} for second in range(60)}


async def assert_exact_at_the_edge(lives: Sequence[Live], keys: Mapping[str, str]) -> None:
    """Send requests before and after one of the EDGES, and find that both minutes were counted exactly."""
    edge = int(time.time()) + 10  # before it some must have been counted, however late this process runs
    answers = await send_many(lives, keys[f"edge-{edge % 60}"], 70)
    await asyncio.sleep(max(0, edge - 2 - time.time()))
    while time.time() < edge or sum(answer.at >= edge for answer in answers) < 70:
        answers += await send_many(lives, keys[f"edge-{edge % 60}"], 70)
        await asyncio.sleep(max(0, min(0.5, edge - time.time())))

    windows = by_window(answers)
    assert len(windows) >= 2
    assert [window[200] for window in windows] == [min(60, window.total()) for window in windows]
    assert {1 <= answer.reset <= 60 for answer in answers} == {True}
