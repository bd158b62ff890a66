"""Two workers of one server: whatever one of them knows or counts, the other does, too."""

import asyncio
import re
import uuid
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from tests.agents.acting import asks, turns_of
from tests.agents.command_line import Installation
from tests.live import Live
from tests.live.asking import (
    body,
    closed_row,
    content_of,
    events_of,
    eventually,
    request_id,
    row_of,
    somebody,
    text_of,
)
from tests.live.colleague import Colleague
from tests.openai_compat.limits_parts import assert_exact, make_keys
from tests.openfang_site.workers_parts import PASSWORD, Client, a_client_of_each, two_workers, worker_ids
from tests.upstream import Upstream, hangs, says

pytestmark = pytest.mark.slow

RATE = 30


@pytest.fixture(scope="module")
def running(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with two_workers(tmp_path_factory.mktemp("workers"), session_upstream.base_url, keys=True) as live:
        yield live


@pytest.fixture
def pair(running: Live, upstream: Upstream) -> Live:
    return running


@pytest.fixture
def clients(pair: Live, upstream: Upstream) -> Iterator[list[Client]]:
    """A client of each of the two workers."""
    with a_client_of_each(pair, upstream, pair.keys["alice"]) as clients:
        yield clients


def test_both_are_ready(pair: Live, clients: list[Client]):
    assert len(worker_ids(pair)) == 2
    for client in clients:
        answer = client.get("/readyz")
        assert (answer.status_code, answer.json()["status"]) == (200, "ready")


def test_each_takes_its_part_of_the_connections(pair: Live, upstream: Upstream):
    with a_client_of_each(pair, upstream, pair.keys["alice"]) as [*_]:
        opened = [Client(pair, pair.keys["alice"]) for _ in range(16)]
        upstream.turns(*[says("Hello")] * len(opened))
        answered = Counter(row_of(pair, client.chat())["worker_id"] for client in opened)
        for client in opened:
            client.close()
    assert sorted(answered) == sorted(worker_ids(pair))
    assert min(answered.values()) >= len(opened) // 8


def test_what_is_changed_is_served_by_both(pair: Live, clients: list[Client]):
    with Colleague(pair.env) as colleague:
        colleague.does("Agent.objects.create(name='newcomer')")
    for client in clients:
        eventually(lambda client=client: "openfang:newcomer" in client.get("/v1/models").text)
    with Colleague(pair.env) as colleague:
        colleague.does("Agent.objects.get(name='newcomer').delete()")
    for client in clients:
        eventually(lambda client=client: "openfang:newcomer" not in client.get("/v1/models").text)


async def test_they_count_limits_together(pair: Live, clients: list[Client]):
    keys = make_keys(pair, limited={"requests_per_minute": RATE}, later={})
    for client in clients:
        client.headers["authorization"] = f"Bearer {keys['later']}"
        eventually(lambda client=client: client.get("/v1/models").status_code == 200)
    await assert_exact([pair], keys["limited"], RATE)


def test_an_answer_is_given_again_by_the_other(upstream: Upstream, clients: list[Client]):
    upstream.says("Once")
    headers = {"idempotency-key": f"key-{uuid.uuid4()}"}
    first, again = (client.chat(headers=headers) for client in clients)
    assert content_of(first) == content_of(again) == "Once"
    assert again.headers["x-openfang-replayed"] == "true"


def test_what_a_client_has_left_on_one_is_taken_up_by_the_other(pair: Live, upstream: Upstream, clients: list[Client]):
    upstream.model("expert-model").says("Answer one.")
    steward, before = upstream.model("steward-model"), len(upstream.requests)
    steward.turns(asks("expert", "One?"), hangs(), says("Done."))
    request = body("steward", stream=True, user=somebody())
    with clients[0].stream("POST", "/v1/chat/completions", json=request) as response:
        upstream.wait_for_requests(before + 3)
    # While it runs, the other waits for it a second, which a busy machine may take to notice who has left.
    closed_row(pair, f"id = '{request_id(response)}'")
    answer = clients[1].post("/v1/chat/completions", json=request)
    assert text_of(events_of(answer)) == "Done."
    assert turns_of(upstream.requests[-1])[1:] == [("assistant", ["agent_ask"]), ("tool", "Answer one.")]
    assert len(upstream.requests) == before + 4


def test_a_pass_to_the_playground_opens_the_agent_on_both(pair: Live, upstream: Upstream, clients: list[Client]):
    [agent] = pair.rows("SELECT id FROM agents_agent WHERE name = 'coder'")
    log_in(clients[0])
    path = f"/admin/agents/agent/{uuid.UUID(agent['id'])}/playground/token/"
    minted = clients[0].post(path, headers={"x-csrftoken": clients[0].cookies["csrftoken"]}).json()["token"]
    for client in clients:
        upstream.says("Hello")
        client.headers["authorization"] = f"Bearer {minted}"
        answer = client.chat()
        assert content_of(answer) == "Hello"
        assert row_of(pair, answer)["api_key_name"] == "playground:admin"


async def test_a_live_page_is_told_of_the_requests_of_both(pair: Live, upstream: Upstream, clients: list[Client]):
    log_in(clients[0])
    headers = {"cookie": f"sessionid={clients[0].cookies['sessionid']}", "origin": pair.url}
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{pair.url}/admin/live/requests/", headers=headers) as page,
    ):
        with pytest.raises(TimeoutError):  # nothing happens for longer than a question to Redis takes
            while True:  # what was asked before may still be told
                await page.receive_json(timeout=7)
        upstream.turns(says("One"), says("Two"))
        answers = [await asyncio.to_thread(client.chat) for client in clients]
        expected = {str(uuid.UUID(answer.headers["x-request-id"].removeprefix("req_"))) for answer in answers}
        async with asyncio.timeout(60):
            while expected:
                expected -= set((await page.receive_json())["ids"])
    assert len({row_of(pair, answer)["worker_id"] for answer in answers}) == 2


def log_in(client: Client) -> None:
    """Log in as the administrator."""
    page = client.get("/admin/login/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    fields = {"username": "admin", "password": PASSWORD, "csrfmiddlewaretoken": token[1]}
    assert client.post("/admin/login/", data=fields).status_code == 302


@pytest.mark.parametrize(
    ("words", "environment", "said"),
    [
        (["--workers", "2"], {}, "More than one worker needs REDIS_URL: "),
        ([], {"OPENFANG_WORKERS": "3"}, "More than one worker needs REDIS_URL: "),
        ([], {"OPENFANG_WORKERS": "many"}, "OPENFANG_WORKERS='many' is not a whole number from 1 to 64."),
        (["--workers", "0"], {}, "argument --workers: '0' is not a number of processes from 1 to 64"),
    ],
)
def test_a_number_of_workers_that_cannot_be_is_refused(tmp_path, words, environment, said):
    assert Installation(tmp_path).refusal("start", "--port", "0", *words, **environment).startswith(said)
