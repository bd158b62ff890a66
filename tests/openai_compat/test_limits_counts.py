"""What requests take of a key's limits, counted in this process and, for all processes, in Redis."""

import asyncio
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from django.http import HttpRequest

from agents.errors import RateLimitExceeded
from agents.limits import allowance
from agents.limits.allowance import Allowance
from agents.limits.cache import LocalCounts, RedisOrLocal
from agents.limits.counters import SLOT_SECONDS, Taken
from agents.limits.counting import minute_of, store
from agents.limits.local_cache import LocalCache
from agents.limits.requests import count_request
from tests.openai_compat.limits_cast import id_with_edge
from tests.openai_compat.limits_parts import need_redis
from tests.services import Redis

Counts = LocalCache | RedisOrLocal


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    need_redis()
    redis = Redis(tmp_path_factory.mktemp("counts") / "redis").start()
    yield redis.new_database()
    redis.stop()


@pytest.fixture
def in_redis(redis_url: str) -> Iterator[RedisOrLocal]:
    counts = RedisOrLocal(redis_url, {})
    yield counts
    counts.clear()
    counts._redis._cache.get_client().connection_pool.disconnect()


@pytest.fixture(params=["this process", "this process, for want of Redis", "Redis"])
def counts(request: pytest.FixtureRequest) -> Counts:
    if request.param == "Redis":
        in_redis: RedisOrLocal = request.getfixturevalue("in_redis")
        return in_redis
    return (LocalCache if request.param == "this process" else LocalCounts)(str(uuid.uuid4()), {})


def test_a_request_takes_a_slot_and_tokens_until_one_of_them_is_used_up(counts: Counts):
    first = counts.take("slots", 2, "tokens", 60, 100)
    assert (first.used, first.exceeded, bool(first.slot)) == (0, "", True)
    assert counts.take("slots", 2, "tokens", 60, 100) == Taken(60, exceeded="tokens per minute")
    second = counts.take("slots", 2, "tokens", 40, 100)
    assert second.slot not in ("", first.slot)
    assert counts.take("slots", 2, "tokens", 0, 100).exceeded == "parallel requests"

    counts.give_back("slots", first.slot, "tokens", -60)
    assert counts.take("slots", 2, "tokens", 50, 100).used == 40
    assert counts.get("tokens") == 90


def test_what_is_not_limited_is_not_counted(counts: Counts):
    assert [counts.take("slots", 0, "tokens", 1, 1).exceeded for _ in range(2)] == ["", "tokens per minute"]
    taken = counts.take("slots", 1, "others", 0, 0)
    assert not taken.exceeded
    counts.give_back("slots", taken.slot, "others", 0)
    assert counts.get("others") is None


def test_of_many_at_once_exactly_so_many_get_something(counts: Counts):
    def take(tokens: int, most_slots: int) -> bool:
        return not counts.take(f"slots-{tokens}", most_slots, f"tokens-{tokens}", tokens, 500).exceeded

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(partial(take, 1), [20] * 200)) == 20
        assert sum(threads.map(partial(take, 10), [1000] * 200)) <= 50
    assert counts.get("tokens-1") == 20
    assert counts.get("tokens-10") <= 500


def test_a_counter_begins_at_nothing(counts: Counts):
    assert [counts.count("wrong-keys", amount) for amount in (2, 3, -1)] == [2, 5, 4]


def test_counters_and_slots_in_redis_do_not_stay(in_redis: RedisOrLocal):
    began = time.monotonic()
    in_redis.take("slots", 1, "tokens", 5, 10)
    in_redis.count("wrong-keys", 1)
    in_redis.add("tries", 1, 900)
    in_redis.incr("tries")
    client = in_redis._redis._cache.get_client()
    expected = {"slots": 60, "tokens": 65, "wrong-keys": 65, "tries": 900}
    left = {name: client.ttl(in_redis.make_key(name)) for name in expected}
    assert left == pytest.approx(expected, abs=1 + time.monotonic() - began)
    assert client.dbsize() == len(expected)


def test_the_slot_of_a_dead_process_is_free_when_it_was_not_renewed(in_redis: RedisOrLocal):
    slots, client = in_redis.make_key("slots"), in_redis._redis._cache.get_client()
    dead, alive = (in_redis.take("slots", 2, "tokens", 0, 0).slot for _ in range(2))
    assert in_redis.take("slots", 2, "tokens", 0, 0).exceeded
    client.zadd(slots, {dead: time.time() - 1, alive: time.time() + SLOT_SECONDS / 2})

    renewed = time.time()
    in_redis.renew("slots", alive)
    held_until = client.zscore(slots, alive)
    assert held_until is not None
    assert renewed + SLOT_SECONDS - 1 <= held_until <= time.time() + SLOT_SECONDS + 1
    assert in_redis.take("slots", 2, "tokens", 0, 0).slot
    in_redis.renew("slots", dead)
    assert client.zscore(slots, dead) is None
    assert in_redis.take("slots", 2, "tokens", 0, 0).exceeded


@pytest.fixture
def limits_in_redis(redis_url: str, settings) -> Iterator[RedisOrLocal]:
    """Redis as the cache of this process, as REDIS_URL sets it."""
    settings.CACHES = {
        "default": {"BACKEND": "agents.limits.cache.RedisOrLocal", "LOCATION": redis_url},
        "requests": {"BACKEND": "agents.limits.cache.RequestCounts", "LOCATION": redis_url},
    }
    settings.RATELIMIT_USE_CACHE = "requests"
    store.cache_clear()
    counts = store()
    assert isinstance(counts, RedisOrLocal)
    yield counts
    counts.clear()
    store.cache_clear()


@pytest.fixture
def key() -> str:
    """A key whose minute has just begun."""
    return str(id_with_edge(int(time.time()) % 60))


async def test_a_limited_request_asks_redis_three_times(limits_in_redis: RedisOrLocal, key: str):
    client = limits_in_redis._redis._cache.get_client()
    await one_request(key)  # tells Redis the scripts

    client.config_resetstat()
    await one_request(key)
    asked = client.info("commandstats")
    assert asked["cmdstat_evalsha"]["calls"] == 3
    assert not {"cmdstat_set", "cmdstat_exists", "cmdstat_del"} & asked.keys()  # what Django's own would ask besides
    assert minute_of(key).count("tokens") == 14


async def one_request(key: str) -> None:
    rate = count_request(HttpRequest(), key, 10)
    assert rate is not None and not rate.exceeded
    claim = Allowance(key, tokens_per_minute=1000, parallel_requests=1)
    await claim.take(500)
    assert claim.headers["x-ratelimit-remaining-tokens"] in ("500", "493")
    await claim.settle(7 - 500)
    await claim.settle(0)


def test_django_ratelimit_counts_a_minute_in_redis(limits_in_redis: RedisOrLocal, key: str):
    rates = [count_request(HttpRequest(), key, 2) for _ in range(3)]
    assert [(rate.count, rate.exceeded) for rate in rates if rate] == [(1, False), (2, False), (3, True)]


async def test_who_leaves_while_redis_is_asked_gives_back_what_he_took(
    limits_in_redis: RedisOrLocal, key: str, monkeypatch: pytest.MonkeyPatch
):
    asked, let_go = threading.Event(), threading.Event()

    def slow_take(*args: object) -> object:
        asked.set()
        let_go.wait(60)
        return limits_in_redis.take(*args)

    class Slow:
        take, give_back = staticmethod(slow_take), limits_in_redis.give_back

    monkeypatch.setattr(allowance, "store", Slow)
    taking = asyncio.create_task(Allowance(key, tokens_per_minute=100, parallel_requests=1).take(60))
    assert await asyncio.to_thread(asked.wait, 60)
    taking.cancel()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await taking
    monkeypatch.undo()

    assert minute_of(key).count("tokens") == 0
    await Allowance(key, tokens_per_minute=100, parallel_requests=1).take(60)
    with pytest.raises(RateLimitExceeded, match="parallel requests"):
        await Allowance(key, tokens_per_minute=100, parallel_requests=1).take(1)
