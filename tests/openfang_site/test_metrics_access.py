"""Who may read /metrics: programs on the same machine, and whom the settings name. For anybody else it is not there."""

from typing import Any

import httpx2
import pytest

from agents.networks import read_networks
from openfang_site.observability.endpoint import metrics
from tests.live import Live
from tests.live.asking import TIMEOUT

TOKEN = "a-token-of-prometheus"
Answer = tuple[int, bytes]
HIDDEN: Answer = (404, b"Not Found\n")


@pytest.fixture(autouse=True)
def of_the_settings(settings: Any) -> None:
    settings.OPENFANG_METRICS_NETWORKS = ()
    settings.OPENFANG_METRICS_TOKEN = ""


async def answer(client: str, *, host: str = "127.0.0.1:4200", **headers: str) -> Answer:
    named = {"host": host} | {name.replace("_", "-"): value for name, value in headers.items()}
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/metrics",
        "query_string": b"",
        "client": (client, 50000),
        "server": ("127.0.0.1" if client.startswith("127.") else "10.0.0.9", 4200),
        "headers": [(name.encode(), value.encode()) for name, value in named.items()],
    }
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await metrics(scope, None, send)
    return sent[0]["status"], sent[1]["body"]


def reads(answer: Answer) -> bool:
    if answer == HIDDEN:
        return False
    status, body = answer
    assert status == 200
    assert b"\nopenfang_requests_in_flight 0\n" in body
    return True


async def test_programs_on_this_machine_may():
    assert reads(await answer("127.0.0.1"))


async def test_other_machines_may_not():
    assert not reads(await answer("10.1.2.3", host="agents.example.com"))


@pytest.mark.parametrize("header", ["x_forwarded_for", "forwarded", "x_real_ip", "via"])
async def test_what_a_proxy_on_this_machine_passes_on_may_not(header: str):
    assert not reads(await answer("127.0.0.1", **{header: "203.0.113.5"}))


async def test_a_page_that_rebinds_its_name_to_this_machine_may_not():
    assert not reads(await answer("127.0.0.1", host="evil.example"))


async def test_networks_of_the_settings_may_unless_a_proxy_stands_between(settings: Any):
    settings.OPENFANG_METRICS_NETWORKS = read_networks("10.1.0.0/16")
    assert reads(await answer("10.1.2.3", host="web:4200"))
    assert not reads(await answer("10.2.2.3", host="web:4200"))
    assert not reads(await answer("10.1.2.3", host="web:4200", x_forwarded_for="203.0.113.5"))


async def test_the_token_opens_from_everywhere_and_a_wrong_one_from_nowhere(settings: Any):
    settings.OPENFANG_METRICS_TOKEN = TOKEN
    assert reads(await answer("203.0.113.5", x_forwarded_for="203.0.113.6", authorization=f"Bearer {TOKEN}"))
    assert reads(await answer("203.0.113.5", authorization=f"bearer {TOKEN}"))
    assert not reads(await answer("127.0.0.1", authorization="Bearer another-one"))
    assert not reads(await answer("203.0.113.5"))


async def test_without_a_token_in_the_settings_an_empty_one_opens_nothing():
    assert not reads(await answer("203.0.113.5", authorization="Bearer "))


def test_a_server_answers_this_machine_and_says_no_more_to_others_than_that_nothing_is_there(live: Live):
    with httpx2.Client(timeout=TIMEOUT, verify=False) as client:
        assert client.get(f"{live.url}/metrics").status_code == 200
        hidden = client.get(f"{live.url}/metrics", headers={"x-forwarded-for": "203.0.113.5"})
    assert (hidden.status_code, hidden.text) == (404, "Not Found\n")
