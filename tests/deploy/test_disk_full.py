"""A server alone whose disk is full, or whose provider hangs: it says so, loses nothing, and recovers by itself."""

import asyncio
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.deploy.crowd import Client, assert_accounted
from tests.live import Live
from tests.live.asking import TIMEOUT, eventually
from tests.upstream import Upstream, hangs, says, stalls

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits another process"),
]

NOT_RECORDED = {
    "message": "The usage of this request could not be recorded.",
    "type": "api_error",
    "param": None,
    "code": "usage_not_recorded",
}


@contextmanager
def full_disk(live: Live) -> Iterator[None]:
    """Let no file of this server grow."""
    pid = live.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)


def readiness(live: Live) -> tuple[int, str]:
    answer = httpx2.get(f"{live.url}/readyz", timeout=TIMEOUT, verify=False)
    return answer.status_code, answer.json()["checks"]["usage_writer"]


async def test_a_full_disk_holds_answers_up_and_forgets_none(server: Live, upstream: Upstream):
    client, newcomer = Client(server.url), Client(server.url)
    upstream.turns(stalls("One", then=" two"))
    reading = asyncio.create_task(client.ask(stream=True))
    await client.heard.wait()
    with full_disk(server):
        for refusal in await asyncio.gather(newcomer.ask(), newcomer.ask(stream=True)):
            assert refusal is not None
            assert (refusal.status, refusal.error) == (503, NOT_RECORDED)
        await asyncio.to_thread(eventually, lambda: readiness(server) == (503, "failed"))
        upstream.release()
        await upstream.idle()
        assert not reading.done(), "an answer ended before its row was closed"
    answer = await asyncio.wait_for(reading, TIMEOUT)
    assert answer is not None and answer.complete and answer.text == "One two"
    await asyncio.to_thread(eventually, lambda: readiness(server) == (200, "ok"))
    assert len(upstream.requests) == 1, "something was asked of the provider without a row"
    upstream.default = says("Hello")
    assert [await said(newcomer, stream=streamed) for streamed in (False, True)] == ["Hello", "Hello"]
    await asyncio.to_thread(eventually, lambda: not server.usage("status = 'running'"))
    assert_accounted(server, [answer, *newcomer.answers])


async def said(client: Client, *, stream: bool = False) -> str:
    answer = await client.ask(stream=stream)
    assert answer is not None
    return answer.text


@pytest.fixture
def hasty(upstream: Upstream, tmp_path: Path) -> Iterator[Live]:
    """A server that waits a second for a provider's next byte."""
    with Live(tmp_path, cast=upstream.base_url, env={"OPENFANG_PROVIDER_IDLE_SECONDS": "1"}) as live:
        yield live


async def test_a_provider_that_hangs_is_given_up_and_every_row_is_closed(hasty: Live, upstream: Upstream):
    upstream.turns(stalls("One"), stalls("One"))
    upstream.default = hangs()
    client = Client(hasty.url)
    begun = await asyncio.gather(*(client.ask(stream=True) for _ in range(2)))
    unbegun = await asyncio.gather(*(client.ask(stream=number % 2 == 0) for number in range(4)))
    assert [answer and (answer.status, answer.text, answer.finish_reason) for answer in begun] == [(200, "One", "")] * 2
    assert [answer and answer.status for answer in unbegun] == [504] * 4
    assert {answer.error["code"] for answer in client.answers if answer.error} == {"provider_timeout"}
    assert_accounted(hasty, client.answers)
    assert [row["status"] for row in hasty.usage()] == ["failed"] * 6
    upstream.default = says("Hello")
    assert await said(client) == "Hello"
