"""Good clients beside users of a provider that lies: all get answers, every row is closed, and all the sums agree."""

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import pytest

from agents.models.money import MOST_INTEGER
from benchmarks.liars import LIES
from benchmarks.processes import printed_url, running
from tests.live import Live
from tests.live.asking import TIMEOUT, body, eventually
from tests.live.colleague import Colleague
from tests.openfang_site.workers_parts import need_linux, two_workers, worker_ids

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

GOOD, AT_ONCE, EACH_LIE = 240, 24, 6
COUNTS = ("prompt_tokens", "completion_tokens", "cost", "tool_calls")
STEPS = (
    "SELECT r.agent_name, s.prompt_tokens, s.completion_tokens, s.cost, "
    "CASE WHEN s.kind = 'tool' THEN 1 ELSE 0 END AS tool_calls "
    "FROM agents_usagestep s JOIN agents_usagerecord r ON r.id = s.record_id"
)
SPENT = "SELECT b.unit, p.spent, p.reserved FROM agents_budgetperiod p JOIN agents_budget b ON b.id = p.budget_id"
MAKE_LIARS = """
provider = Provider.objects.get(name="scripted")
for name in {names!r}:
    model = LanguageModel.objects.create(provider=provider, name=name, prompt_price="10", completion_price="10")
    Agent.objects.create(name=name, model=model, tools=["calculator"])
Budget.objects.create(period="day", unit="tokens", limit=10**15)
Budget.objects.create(period="day", unit="usd", limit=10**15, agent=Agent.objects.get(name="coder"))
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    """The provider of the benchmarks, whose models lie as their names say."""
    need_linux()
    with running([sys.executable, "-m", "benchmarks.upstream"], printed_url) as (_, url):
        yield url


@pytest.fixture(params=["one worker", "two workers"])
def server(request: pytest.FixtureRequest, tmp_path: Path, provider: str) -> Iterator[Live]:
    env = {"OPENFANG_KEEP_TOOL_ARGUMENTS": "1", "OPENFANG_STORE_CONTENT_DAYS": "1"}
    two = request.param == "two workers"
    with two_workers(tmp_path, provider, env=env) if two else Live(tmp_path, cast=provider, env=env) as live:
        with Colleague(live.env) as colleague:
            colleague.does(MAKE_LIARS.format(names=list(LIES)))
        served = {f"openfang:{name}" for name in LIES}
        eventually(lambda: all(name in listed(live) for name in served for _ in range(4)))
        yield live


def listed(live: Live) -> str:
    return httpx2.get(f"{live.base_url}/models", timeout=TIMEOUT, verify=False).text


async def ask(session: aiohttp.ClientSession, live: Live, model: str, number: int) -> tuple[int, str]:
    """Ask, every other time for a stream; return the status and the answer's text."""
    request = body(model, stream=number % 2 == 0, user=f"{model}-{number % 5}")
    async with session.post(f"{live.base_url}/chat/completions", json=request) as response:
        return response.status, await response.text()


async def ask_all(live: Live) -> tuple[list[tuple[int, str]], dict[str, list[tuple[int, str]]]]:
    """Have the good ask AT_ONCE at a time, and all the liars beside them."""
    places = asyncio.Semaphore(AT_ONCE)

    async def good(number: int) -> tuple[int, str]:
        async with places:
            return await ask(session, live, "coder", number)

    connector, timeout = aiohttp.TCPConnector(limit=0), aiohttp.ClientTimeout(TIMEOUT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        lying = {lie: [ask(session, live, lie, number) for number in range(EACH_LIE)] for lie in LIES}
        crowds = [asyncio.gather(*map(good, range(GOOD))), *(asyncio.gather(*asked) for asked in lying.values())]
        answers, *others = await asyncio.gather(*crowds)
    return answers, dict(zip(lying, others, strict=True))


def summed(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """Sum the counts of each agent; a sum stops at the end of its column."""
    sums: dict[str, Counter[str]] = {}
    for row in rows:
        sums.setdefault(row["agent_name"], Counter()).update({name: row[name] or 0 for name in COUNTS})
    return {agent: {name: min(counts[name], MOST_INTEGER) for name in COUNTS} for agent, counts in sums.items()}


async def test_all_are_answered_and_every_sum_agrees(server: Live):
    workers = worker_ids(server)
    answers, others = await ask_all(server)

    assert Counter(status for status, _ in answers) == {200: GOOD}
    assert all("word0" in text for _, text in answers)
    for lie, given in others.items():
        assert {status for status, _ in given} <= {200, 502}, (lie, given)
    rows = server.usage()
    assert len(rows) == GOOD + EACH_LIE * len(LIES)
    assert {row["status"] for row in rows} <= {"ok", "failed"}
    assert Counter(row["status"] for row in rows if row["agent_name"] == "coder") == {"ok": GOOD}

    sums = summed(rows)
    for table in ("agents_usagerollup", "agents_dailyrollup"):
        rollups = server.rows(f"SELECT * FROM {table}")
        assert summed(rollups) == sums
        assert sum(row["requests"] for row in rollups) == len(rows)
    assert summed(server.rows(STEPS)) == sums
    spent = {row["unit"]: (row["spent"], row["reserved"]) for row in server.rows(SPENT)}
    tokens = sum(counts["prompt_tokens"] + counts["completion_tokens"] for counts in sums.values())
    assert spent == {"tokens": (tokens, 0), "usd": (sums["coder"]["cost"], 0)}

    assert server.rows("SELECT * FROM agents_quarantinedentry") == []
    assert worker_ids(server) == workers
    assert httpx2.get(f"{server.url}/healthz", timeout=TIMEOUT, verify=False).status_code == 200
    assert "Traceback" not in server.output
