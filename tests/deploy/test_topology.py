"""The deployment of docker-compose.yml, driven through its proxy as clients do."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx2
import openai
import pytest

from tests.deploy.topology import KEY, Topology, missing, running_topology
from tests.live.asking import body, eventually
from tests.upstream import Mark, Upstream, says

pytestmark = pytest.mark.slow

STREAMS = 8


@pytest.fixture(scope="module")
def running(session_upstream: Upstream) -> Iterator[Topology]:
    if packages := missing():
        fail_or_skip = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        fail_or_skip(f"not installed: {' '.join(packages)}")
    # Not in pytest's directory, which PostgreSQL's own user may not enter.
    with TemporaryDirectory(prefix="openfang-topology-") as directory:
        os.chmod(directory, 0o711)
        with running_topology(Path(directory), session_upstream.base_url) as topology:
            yield topology


@pytest.fixture
def site(running: Topology, upstream: Upstream) -> Topology:
    return running


def test_both_workers_are_ready_and_tell_no_secret(site: Topology):
    for worker in site.workers:
        answer = httpx2.get(f"{worker.url}/readyz", headers={"host": "10.0.0.7:4200"}, verify=False)
        checks = {"database": "ok", "migrations": "ok", "usage_writer": "ok", "cache": "ok"}
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": checks})
        alive = httpx2.get(f"{worker.url}/healthz", verify=False)
        assert (alive.status_code, alive.json()) == (200, {"status": "alive"})
    assert len(site.workers[0].rows("SELECT id FROM agents_worker")) == 2


def test_an_answer_comes_through_the_proxy_and_is_recorded_with_its_clients_address(site: Topology, upstream: Upstream):
    upstream.says("Hello there")
    with site.client() as client:
        raw = client.chat.completions.with_raw_response.create(**body("openfang:coder"))
    assert raw.parse().choices[0].message.content == "Hello there"
    row_id = raw.headers["x-request-id"].removeprefix("req_")
    [row] = site.workers[0].usage(f"id = '{row_id}'")
    assert (row["status"], row["api_key_name"], row["client_address"]) == ("ok", "environment", "127.0.0.1")


def test_without_a_key_the_proxy_lets_nobody_in(site: Topology):
    refused = httpx2.get(f"{site.url}/v1/models", headers={"x-forwarded-for": "127.0.0.1"}, verify=False)
    assert refused.status_code == 401
    assert refused.json()["error"]["code"] == "invalid_api_key"


async def test_chunks_pass_the_proxy_one_by_one(site: Topology, upstream: Upstream):
    upstream.turns(says(["One ", Mark.HOLD, "two"]))
    text = ""
    async with site.async_client() as client:
        stream = await client.chat.completions.create(**body("coder", stream=True))
        async for chunk in stream:
            text += chunk.choices[0].delta.content or ""
            if text == "One ":
                upstream.release()
    assert text == "One two"


def test_the_admin_is_served_with_its_static_files(site: Topology):
    page = httpx2.get(f"{site.url}/admin/login/", verify=False)
    assert page.status_code == 200
    assert 'name="csrfmiddlewaretoken"' in page.text
    script = httpx2.get(f"{site.url}/static/unfold/js/app.js", verify=False)
    assert (script.status_code, script.headers["cache-control"]) == (200, "public, max-age=600")


def test_a_websocket_gets_through(site: Topology):
    """To the consumer, which refuses somebody who has not logged in: a proxy without upgrades would have said 404."""
    answer = httpx2.get(
        f"{site.url}/admin/live/requests/",
        headers={
            "connection": "Upgrade",
            "upgrade": "websocket",
            "origin": site.url,
            "sec-websocket-version": "13",
            "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
        verify=False,
    )
    assert answer.status_code == 403


def test_figures_stay_inside(site: Topology):
    refused = httpx2.get(f"{site.url}/metrics", headers={"authorization": f"Bearer {KEY}"}, verify=False)
    assert refused.status_code == 404


async def test_a_worker_that_is_killed_takes_its_own_streams_alone(site: Topology, upstream: Upstream):
    """No client of it sees an end, its rows become lost, and the proxy goes on with the other."""
    survivor, victim = site.workers
    upstream.turns(*[says(["One ", Mark.HOLD, "two"])] * STREAMS)
    async with site.async_client() as client:
        streams = [await client.chat.completions.create(**body("coder", stream=True)) for _ in range(STREAMS)]
        ids = ", ".join(f"'{stream.response.headers['x-request-id'].removeprefix('req_')}'" for stream in streams)
        assert len({row["worker_id"] for row in survivor.usage(f"id IN ({ids})")}) == 2, "one worker got them all"
        victim.kill()
        upstream.release()
        ended = [await ended_well(stream) for stream in streams]
        eventually(lambda: not survivor.usage(f"id IN ({ids}) AND status = 'running'"), seconds=40)
        statuses = [row["status"] for row in survivor.usage(f"id IN ({ids})")]
        assert sorted(statuses) == ["lost"] * ended.count(False) + ["ok"] * ended.count(True)
        assert len(set(statuses)) == 2
        upstream.default = says("Still here")
        # Caddy before 2.11.2 answers 502 when the worker it tries first is gone; clients ask again.
        answer = await client.with_options(max_retries=5).chat.completions.create(**body("coder"))
        assert answer.choices[0].message.content == "Still here"
    [sums] = survivor.rows("SELECT sum(requests) AS requests, sum(lost) AS lost FROM agents_usagerollup")
    [counted] = survivor.rows("SELECT count(*) AS requests FROM agents_usagerecord")
    assert sums == {"requests": counted["requests"], "lost": ended.count(False)}
    victim.start()


async def ended_well(stream: openai.AsyncStream[Any]) -> bool:
    """Read a stream to its end and tell whether it said that it was complete.

    A cut one raises, or behind Caddy 2.6, which closes it as if it were whole, has no `finish_reason`.
    """
    finish_reason = None
    try:
        async for chunk in stream:
            finish_reason = chunk.choices[0].finish_reason
    except (openai.APIError, httpx2.TransportError):
        return False
    return finish_reason == "stop"
