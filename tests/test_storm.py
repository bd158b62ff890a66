"""A storm of streams, many of the same body, many given up: all the others end, and the accounts agree."""

import asyncio
import json
import logging
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import aiohttp
import pytest

from tests.deploy.crowd import Answer, assert_accounted
from tests.live import Live
from tests.live.asking import body, eventually, somebody, url_of
from tests.openai_compat.limits_parts import make_keys
from tests.openfang_site.workers_parts import two_workers
from tests.services import Postgres, missing_programs
from tests.upstream import Pause, Step, Upstream, calls, fails, says
from tests.upstream.acts import Reply
from tests.upstream.steps import Asked

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STREAMS = 2000
AT_ONCE = 120
BODIES = 60  # so that some 30 requests are the same
PATIENCE = 90  # seconds: no run here takes more than three, alone
SLOWLY = Pause(0.2)


@dataclass(frozen=True, kw_only=True)
class Weather(Step):
    """A provider that answers at once or after a while, calls the calculator, or fails."""

    chance: random.Random = field(default_factory=lambda: random.Random(7), compare=False)
    steps: tuple[Step, ...] = (
        says("Here you are."),
        says("Here you").but(pieces=("Here", SLOWLY, " you", SLOWLY, " are.")),
        says("Here you are.").but(opening=(SLOWLY,)),
        calls("calculator", expression="6*7"),
        calls("calculator", expression="6*7").but(opening=(SLOWLY,)),
        fails(400),
    )

    def reply(self, asked: Asked) -> Reply:
        return self.chance.choice(self.steps).reply(asked)


@pytest.fixture(params=["SQLite, one worker", "PostgreSQL and Redis, two workers"])
def site(request: pytest.FixtureRequest, upstream: Upstream) -> Iterator[Live]:
    with ExitStack() as stack:
        # Not in pytest's directory, which PostgreSQL's own user may not enter.
        directory = Path(stack.enter_context(TemporaryDirectory(prefix="openfang-storm-")))
        directory.chmod(0o711)
        if request.param.startswith("SQLite"):
            yield stack.enter_context(Live(directory, cast=upstream.base_url, keys=True))
            return
        if missing_programs() or shutil.which("redis-server") is None:
            pytest.skip("PostgreSQL and Redis are not installed.")
        postgres = Postgres(directory / "postgres")
        stack.callback(postgres.stop)
        env = {"DATABASE_URL": postgres.start().new_database()}
        yield stack.enter_context(two_workers(directory, upstream.base_url, keys=True, env=env))


class Storm:
    """The clients: what each was answered, and what became of the others."""

    def __init__(self, live: Live, key: str) -> None:
        self._url, self._headers = url_of(live), {"authorization": f"Bearer {key}"}
        self._chance = random.Random(13)
        self._name = somebody()
        self._room = asyncio.Semaphore(AT_ONCE)
        self.answers: list[Answer] = []
        self.outcomes: Counter[str] = Counter()
        self.unanswered: list[int] = []

    async def blow(self) -> None:
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector, headers=self._headers) as session:
            await asyncio.gather(*(self._client(session, number) for number in range(STREAMS)))

    async def _client(self, session: aiohttp.ClientSession, number: int) -> None:
        which = self._chance.randrange(BODIES)
        leaves_after = self._chance.choice([None, None, None, 0.0, 0.05, 0.3, 0.8])
        # With the same body some requests have their own key, some share one, most have no key.
        key = self._chance.choice(["", "", "", f"{self._name}-{which}", f"{self._name}-own-{number}"])
        async with self._room:
            asking = asyncio.create_task(self._ask(session, which, key))
            done, _ = await asyncio.wait([asking], timeout=PATIENCE if leaves_after is None else leaves_after)
            if done:
                self.outcomes[asking.result()] += 1
                return
            asking.cancel()
            with suppress(asyncio.CancelledError):
                await asking
            self.outcomes["left"] += 1
            if leaves_after is None:
                self.unanswered.append(number)

    async def _ask(self, session: aiohttp.ClientSession, which: int, key: str) -> str:
        request = body("handy", stream=True, user=f"{self._name}-{which}")
        headers = {"idempotency-key": key} if key else {}
        async with session.post(self._url, json=request, headers=headers, timeout=None) as response:
            answer = Answer(response.status, response.headers.get("x-request-id", ""))
            self.answers.append(answer)
            if response.status != 200:
                return f"{response.status} {(await response.json())['error']['code']}"
            async for line in response.content:
                _read(answer, line)
        if answer.error is not None:
            return f"200 {answer.error['code']}"
        return "200 replayed" if "x-openfang-replayed" in response.headers else "200"


def _read(answer: Answer, line: bytes) -> None:
    if line == b"data: [DONE]\n":
        answer.done = True
    elif line.startswith(b"data: {"):
        answer.read(json.loads(line.removeprefix(b"data: ")))


def assert_steps_agree(live: Live) -> None:
    """What a row counts is what its steps do."""
    sums = "coalesce(sum(prompt_tokens), 0) AS prompt, coalesce(sum(completion_tokens), 0) AS completion"
    by_steps = f"SELECT record_id, {sums} FROM agents_usagestep GROUP BY record_id"
    differing = live.rows(
        "SELECT r.id FROM agents_usagerecord r LEFT JOIN "
        f"({by_steps}) s ON s.record_id = r.id WHERE r.prompt_tokens != coalesce(s.prompt, 0) "
        "OR r.completion_tokens != coalesce(s.completion, 0)"
    )
    assert differing == []


async def test_two_thousand_streams_of_which_many_are_given_up(
    site: Live, upstream: Upstream, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.CRITICAL, "aiohttp.server")  # the provider's: clients left, as they should
    budget: dict[str, Any] = {"limit": 10**12, "unit": "tokens", "period": "month"}
    key = (await asyncio.to_thread(make_keys, site, server=[budget], storm={"budgets": [budget]}))["storm"]
    upstream.default = Weather()
    storm, began = Storm(site, key), time.monotonic()
    await storm.blow()
    seconds = time.monotonic() - began
    await asyncio.to_thread(eventually, lambda: not site.usage("status = 'running'"))
    rows = Counter(row["status"] for row in site.usage())
    print(f"\n{STREAMS} streams in {seconds:.0f} s: {dict(storm.outcomes)}; rows: {dict(rows)}")
    assert storm.unanswered == []
    assert storm.outcomes.total() == STREAMS
    assert {outcome for outcome in storm.outcomes if outcome.startswith("5")} == set()
    assert_accounted(site, storm.answers)
    assert_steps_agree(site)
    kept = "SELECT t.id FROM agents_transcript t LEFT JOIN agents_usagerecord r ON r.id = t.id WHERE r.id IS NULL"
    await asyncio.to_thread(eventually, lambda: site.rows(kept) == [])
