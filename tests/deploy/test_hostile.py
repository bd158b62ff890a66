"""Hostile clients beside good ones, through the proxy: the good ones are all served."""

import asyncio

import pytest

from tests.deploy.crowd import Client, Crowd, assert_accounted, crowd
from tests.deploy.hostile import (
    Attack,
    aborted_upload,
    attacked,
    bad_chunk,
    bad_chunk_of_a_get,
    deaf,
    oversized_headers,
    stalled_body,
)
from tests.deploy.topology import Topology, ready, start_again
from tests.live.asking import eventually
from tests.upstream import Upstream, says

pytestmark = pytest.mark.slow
BAD_REQUEST = b"HTTP/1.1 400 Bad Request"


async def have(site: Topology, workers: int) -> None:
    while len(site.workers) < workers:
        await asyncio.to_thread(site.add_worker)
    while len(site.workers) > workers:
        assert await asyncio.to_thread(site.remove_worker, site.workers[-1]) == 0


def script(upstream: Upstream) -> None:
    upstream.default = says("One two three", interval=0.01)
    upstream.model("expert-model").default = says(["x" * 100_000] * 400)


def assert_all_served(asking: Crowd) -> None:
    failed = [(answer.status, answer.error, answer.text) for answer in asking.answers if not answer.complete]
    assert (failed, asking.unheard) == ([], 0)
    assert {answer.text for answer in asking.answers} == {"One two three"}


@pytest.mark.parametrize("workers", [2, 1])
@pytest.mark.parametrize(
    ("attack", "answers"),
    [
        (bad_chunk, {BAD_REQUEST}),
        (bad_chunk_of_a_get, {BAD_REQUEST}),
        (oversized_headers, {b"HTTP/1.1 431 Request Header Fields Too Large"}),
        (aborted_upload, {b""}),
        (stalled_body, set()),
        (deaf, set()),
    ],
)
async def test_the_good_clients_are_all_served(
    site: Topology, upstream: Upstream, attack: Attack, answers: set[bytes], workers: int
):
    await have(site, workers)
    script(upstream)
    async with attacked(site, attack) as answered, crowd(site) as asking:
        await asking.has_heard(more=40)
    assert_all_served(asking)
    assert answered == answers


async def test_a_killed_worker_costs_nobody_a_request_even_beside_bad_chunks(site: Topology, upstream: Upstream):
    await have(site, 2)
    script(upstream)
    survivor, victim = site.workers
    victim.kill()  # while it has no requests; its name stays known
    async with attacked(site, bad_chunk), crowd(site) as asking:
        await asking.has_heard(more=40)
    start_again(victim)
    await asyncio.to_thread(eventually, lambda: ready(victim))
    assert_all_served(asking)
    await asyncio.to_thread(eventually, lambda: not survivor.usage("status = 'running'"))
    assert_accounted(survivor, asking.answers)


async def test_a_worker_that_has_started_is_asked_at_once(site: Topology, upstream: Upstream):
    await have(site, 2)
    script(upstream)
    new = await asyncio.to_thread(site.add_worker)
    [its] = new.rows("SELECT id FROM agents_worker ORDER BY started_at DESC LIMIT 1")
    served = f"worker_id = '{its['id']}'"
    async with crowd(site):
        await asyncio.to_thread(eventually, lambda: len(new.usage(served)) >= 5)
    answer = await Client(site.url).ask()
    assert answer is not None and answer.complete
