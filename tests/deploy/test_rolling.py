"""A new version takes the place of the old, a new worker beside each old one, while clients go on asking."""

import asyncio

import pytest

from tests.deploy.crowd import assert_accounted, crowd
from tests.deploy.topology import Topology
from tests.live.asking import eventually
from tests.upstream import Upstream, says

pytestmark = pytest.mark.slow


async def test_no_request_fails_and_no_stream_is_cut(site: Topology, upstream: Upstream):
    upstream.default = says("One two three", interval=0.1)
    olds = list(site.workers)
    async with crowd(site, clients=8) as asking:
        for old in olds:
            await asking.has_heard(more=10)
            new = await asyncio.to_thread(site.add_worker)
            [its] = new.rows("SELECT id FROM agents_worker ORDER BY started_at DESC LIMIT 1")
            served = f"worker_id = '{its['id']}'"
            await asyncio.to_thread(eventually, lambda new=new, served=served: new.usage(served))
            assert await asyncio.to_thread(site.remove_worker, old) == 0
            await asking.has_heard(more=20)
    failed = [(answer.status, answer.error, answer.text) for answer in asking.answers if not answer.complete]
    assert (failed, asking.unheard) == ([], 0)
    assert {answer.text for answer in asking.answers} == {"One two three"}
    assert_accounted(site.workers[0], asking.answers)
