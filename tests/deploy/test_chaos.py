"""Parts of the deployment die, hang and come back: nothing admitted is forgotten, and nothing is counted twice."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import httpx2
import pytest

from tests.deploy.crowd import Answer, Client, assert_accounted, crowd
from tests.deploy.topology import Topology, gone, hung, ready, start_again
from tests.live import Live
from tests.live.asking import TIMEOUT, eventually
from tests.openai_compat.limits_parts import make_keys
from tests.services import Service
from tests.upstream import Mark, Upstream, Usage, says, stalls

pytestmark = pytest.mark.slow

STREAMS = 100
OUTAGE_SECONDS = 10
Outage = Callable[[Service], AbstractContextManager[None]]


async def begun(site: Topology, upstream: Upstream, streams: int) -> list[asyncio.Task[Answer | None]]:
    """Return streams that have begun, and wait for the upstream to go on."""
    upstream.turns(*[stalls("One", then=" two")] * streams)
    clients = [Client(site.url) for _ in range(streams)]
    reading = [asyncio.create_task(client.ask(stream=True)) for client in clients]
    async with asyncio.timeout(TIMEOUT):
        for client in clients:
            await client.heard.wait()
    return reading


async def ended(reading: list[asyncio.Task[Answer | None]]) -> list[Answer]:
    answers = await asyncio.gather(*reading)
    return [answer for answer in answers if answer is not None]


async def came(condition: Callable[[], object], seconds: float = TIMEOUT) -> None:
    await asyncio.to_thread(eventually, condition, seconds)


async def test_a_worker_that_is_killed_takes_its_own_streams_alone(site: Topology, upstream: Upstream):
    survivor, victim = site.workers
    reading = await begun(site, upstream, STREAMS)
    victim.kill()
    await came(lambda: sum(task.done() for task in reading) >= STREAMS // 3)
    upstream.release()
    answers = await ended(reading)
    upstream.default = says("Hello")
    through_the_proxy = [Client(site.url).ask(stream=number % 2 == 0) for number in range(8)]
    assert [answer and answer.text for answer in await asyncio.gather(*through_the_proxy)] == ["Hello"] * 8
    start_again(victim)

    assert len(answers) == STREAMS
    whole = [answer for answer in answers if answer.complete]
    cut = [answer for answer in answers if not answer.complete]
    assert STREAMS // 3 <= len(cut) <= STREAMS * 2 // 3
    assert {(answer.text, answer.done, answer.finish_reason) for answer in whole} == {("One two", True, "stop")}
    assert {(answer.text, answer.done, answer.finish_reason) for answer in cut} == {("One", False, "")}
    status = {row["id"]: row["status"] for row in survivor.usage()}
    assert {status[answer.request_id] for answer in cut} == {"lost"}
    assert_accounted(survivor, answers)
    upstream.default = says("Here again")
    await came(lambda: all(ready(worker) for worker in site.workers))
    for worker in site.workers:
        again = await Client(worker.url).ask()
        assert again is not None and again.text == "Here again"


@pytest.mark.parametrize("outage", [hung, gone])
async def test_a_database_that_is_away_holds_answers_up_and_forgets_none(
    site: Topology, upstream: Upstream, outage: Outage
):
    survivor = site.workers[0]
    reading = await begun(site, upstream, 6)
    upstream.default = says("Hello")
    with outage(site.postgres):
        away_until = time.monotonic() + OUTAGE_SECONDS
        refused = await asyncio.gather(*(Client(site.url).ask(stream=number % 2 == 0) for number in range(4)))
        await came(lambda: not any(ready(worker) for worker in site.workers))
        upstream.release()
        await asyncio.sleep(away_until - time.monotonic())
        assert not any(task.done() for task in reading), "an answer ended before its row was closed"
    answers = await ended(reading)

    assert [(answer.complete, answer.text) for answer in answers] == [(True, "One two")] * 6
    for refusal in refused:
        assert refusal is not None and refusal.error is not None
        assert (refusal.status, refusal.error["type"], refusal.error["code"]) == (
            503,
            "api_error",
            "usage_not_recorded",
        )
    await came(lambda: all(ready(worker) for worker in site.workers))
    answers += await ended([asyncio.create_task(Client(worker.url).ask()) for worker in site.workers])
    assert [answer.text for answer in answers[-2:]] == ["Hello"] * 2
    await came(lambda: not survivor.usage("status = 'running'"))
    assert_accounted(survivor, answers)


def checks(worker: Live) -> dict[str, str]:
    answer = httpx2.get(f"{worker.url}/readyz", timeout=TIMEOUT, verify=False)
    found: dict[str, str] = answer.json()["checks"]
    return found


def limited_keys(site: Topology, **wanted: object) -> dict[str, str]:
    return make_keys(*site.workers, **wanted)


async def passed(workers: Sequence[Live], key: str, count: int) -> int:
    """Send so many requests at once to each of these workers, and return how many were not refused."""
    asking = [asyncio.create_task(Client(worker.url, key).ask("listener")) for worker in workers for _ in range(count)]
    statuses = Counter(answer.status for answer in await ended(asking))
    assert set(statuses) <= {200, 429}
    return statuses[200]


@pytest.mark.parametrize("outage", [hung, gone])
async def test_without_redis_each_worker_counts_for_itself_and_budgets_hold(
    site: Topology, upstream: Upstream, outage: Outage
):
    upstream.default = says("Hello", usage=Usage(prompt_tokens=10, completion_tokens=500))
    edge = int(time.time()) % 60  # the minute that is counted in begins now: it must not end before the test does
    budget = {"period": "month", "unit": "tokens", "limit": 6 * 515}
    name = outage.__name__
    keys = limited_keys(
        site,
        **{f"rated-{name}": {"requests_per_minute": 10, "edge": edge}, f"paid-{name}": {"budgets": [budget]}},
    )
    rated, paid = keys[f"rated-{name}"], keys[f"paid-{name}"]
    assert await passed(site.workers, rated, 2) == 4
    with outage(site.redis):
        away_until = time.monotonic() + OUTAGE_SECONDS
        assert [await passed([worker], rated, 15) for worker in site.workers] == [10, 10]
        assert await passed(site.workers, paid, 8) == 6
        await came(lambda: all(ready(worker) for worker in site.workers))
        await came(lambda: {checks(worker)["cache"] for worker in site.workers} == {"failed"})
        await asyncio.sleep(away_until - time.monotonic())
    await came(lambda: {checks(worker)["cache"] for worker in site.workers} == {"ok"})
    together = await passed(site.workers, rated, 15)
    if outage is gone:
        assert together == 10
    else:
        # It had counted four, and may have counted what it did not answer.
        assert together <= 6
    assert await passed(site.workers, paid, 2) == 0
    assert_accounted(site.workers[0], [])


async def test_all_of_it_ends_and_starts_again_under_load(site: Topology, upstream: Upstream):
    upstream.default = says(["One ", Mark.HOLD, "two"])
    budget = {"period": "month", "unit": "tokens", "limit": 10**9}
    keys = limited_keys(site, busy={"budgets": [budget]})
    async with crowd(site, keys["busy"]) as asking:
        await upstream.received(4)
        upstream.default = says("One two")
        await asyncio.to_thread(fall, site)
        upstream.release()
        refused = await Client(site.url).ask()
        assert refused is not None and refused.error is not None
        assert (refused.status, refused.error["code"]) == (503, "server_unavailable")
        await asyncio.to_thread(rise, site)
        await asking.has_heard(more=20)
    worker = site.workers[0]
    await came(lambda: not worker.usage("status = 'running'"))
    assert worker.usage("status = 'lost'")
    assert_accounted(worker, asking.answers)
    [period] = worker.rows(
        "SELECT p.spent FROM agents_budgetperiod p JOIN agents_budget b ON b.id = p.budget_id "
        "JOIN agents_apikey k ON k.id = b.api_key_id WHERE k.name = 'busy'"
    )
    [used] = worker.rows(
        "SELECT sum(prompt_tokens + completion_tokens) AS tokens FROM agents_usagerecord WHERE api_key_name = 'busy'"
    )
    assert period["spent"] == used["tokens"]


def fall(site: Topology) -> None:
    for worker in site.workers:
        worker.kill()
    site.postgres.stop()
    site.redis.stop()


def rise(site: Topology) -> None:
    site.redis.start()
    site.postgres.start()
    for worker in site.workers:
        start_again(worker)
