"""Clients that go on asking whatever becomes of the server, and the accounts that must agree when all is over."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.deploy.topology import KEY, Topology
from tests.live import Live
from tests.live.asking import body, eventually

RAW = """
SELECT count(*) AS requests, sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS completion_tokens,
       coalesce(sum(cost), 0) AS cost, count(*) FILTER (WHERE status = 'lost') AS lost,
       count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'cancelled') AS cancelled
FROM agents_usagerecord
"""
SUMS = (
    "SELECT sum(requests) AS requests, sum(prompt_tokens) AS prompt_tokens, sum(completion_tokens) AS "
    "completion_tokens, sum(cost) AS cost, sum(lost) AS lost, sum(failed) AS failed, sum(cancelled) AS cancelled FROM "
)


class Answer:
    """What a client was told: its `text`, whether it was said to be complete (`done`), and the `error`, if any."""

    def __init__(self, status: int, request_id: str) -> None:
        self.status = status
        self.request_id = request_id.removeprefix("req_")
        self.text = ""
        self.finish_reason = ""
        self.done = False
        self.error: dict[str, Any] | None = None

    @property
    def complete(self) -> bool:
        return self.status == 200 and self.done and bool(self.finish_reason) and self.error is None

    @property
    def pretends(self) -> bool:
        """Whether it was ended as if it were complete, and was not."""
        return self.status == 200 and self.done and not self.finish_reason and self.error is None

    def read(self, said: dict[str, Any]) -> None:
        self.error = said.get("error", self.error)
        for choice in said.get("choices", ()):
            message = choice.get("delta") or choice.get("message") or {}
            self.text += message.get("content") or ""
            self.finish_reason = choice["finish_reason"] or ""


class Client:
    """One client with a connection for each request."""

    def __init__(self, url: str, key: str = KEY) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {key}"}
        self.answers: list[Answer] = []
        self.heard = asyncio.Event()

    async def ask(self, model: str = "coder", **fields: Any) -> Answer | None:
        """Return what was heard of the answer, None if not even its head was; a cut one is not `complete`."""
        answer = None
        timeout = aiohttp.ClientTimeout(total=90)
        connector = aiohttp.TCPConnector(force_close=True)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, connector=connector) as session,
                session.post(self._url, json=body(model, **fields), headers=self._headers) as response,
            ):
                answer = Answer(response.status, response.headers.get("x-request-id", ""))
                self.answers.append(answer)
                await self._read(response, answer)
        except aiohttp.ClientError:
            pass
        return answer

    async def _read(self, response: aiohttp.ClientResponse, answer: Answer) -> None:
        if response.content_type == "application/json":
            answer.read(await response.json())
            answer.done = True
            return
        async for line in response.content:
            if line == b"data: [DONE]\n":
                answer.done = True
            elif line.startswith(b"data: {"):
                answer.read(json.loads(line.removeprefix(b"data: ")))
                self.heard.set()


class Crowd:
    """Clients that ask one after another, streams and not, through the proxy."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.unheard = 0
        self._gone_home = False

    @property
    def answers(self) -> list[Answer]:
        return self.client.answers

    @property
    def complete(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.complete]

    async def ask_on(self, number: int) -> None:
        while not self._gone_home:
            self.unheard += await self.client.ask(stream=number % 2 == 0) is None
            number += 1

    async def has_heard(self, more: int) -> None:
        """Wait until so many more answers have come to their end."""
        wanted = len(self.complete) + more
        await asyncio.to_thread(eventually, lambda: len(self.complete) >= wanted, 60)

    def go_home(self) -> None:
        self._gone_home = True


@asynccontextmanager
async def crowd(site: Topology, key: str = KEY, clients: int = 4) -> AsyncIterator[Crowd]:
    """Let clients ask until the end of the block, and for the answers that are under way by then."""
    asking = Crowd(Client(site.url, key))
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(asking.ask_on(number))
        yield asking
        asking.go_home()


def assert_accounted(worker: Live, answers: list[Answer]) -> None:
    """Every answer has a row, which says how it ended; every row is in the sums, once; nothing is held any more."""
    status = {row["id"]: row["status"] for row in worker.usage()}
    begun = [answer for answer in answers if answer.status == 200]
    assert {answer.request_id for answer in begun} <= status.keys()
    assert {status[answer.request_id] for answer in begun if answer.complete} <= {"ok"}
    assert not [answer.request_id for answer in begun if answer.pretends]
    assert "running" not in status.values()
    [raw] = worker.rows(RAW)
    for table in ("agents_usagerollup", "agents_dailyrollup"):
        assert (worker.rows(SUMS + table), table) == ([raw], table)
    assert worker.rows("SELECT * FROM agents_reservation") == []
    assert worker.rows("SELECT * FROM agents_budgetperiod WHERE reserved != 0") == []
