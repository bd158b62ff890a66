"""A new version takes the place of the old, a new worker beside each old one, while clients go on asking."""

import asyncio
import subprocess

import pytest

from tests.deploy.crowd import assert_accounted, crowd
from tests.deploy.topology import Topology
from tests.live.asking import eventually
from tests.upstream import Upstream, says

pytestmark = pytest.mark.slow

# The first that sends a request's body to a second worker when the first refuses the connection.
CADDY = (2, 11, 2)


def caddy_version() -> tuple[int, ...]:
    said = subprocess.run(["caddy", "version"], capture_output=True, text=True, check=True).stdout
    return tuple(map(int, said.split()[0].removeprefix("v").split(".")))


async def test_no_request_fails_and_no_stream_is_cut(site: Topology, upstream: Upstream):
    if caddy_version() < CADDY:
        pytest.skip("docker-compose.yml has a later Caddy, without which requests fail when a worker ends.")
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
