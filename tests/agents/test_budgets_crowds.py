"""Budgets under many requests at once, whatever the requests are made of and however they end.

Each test prints by how much was spent beyond the limit: never more than the provider counted beyond the estimates.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from agents.profiles import load_profile
from tests.agents.acting import asking, asks_all
from tests.live import Live
from tests.live.asking import ask, body, eventually, row_of, url_of
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import Upstream, Usage, calls, hangs, says

CAP = 100
FUNCTION: dict[str, Any] = {
    "description": "Search the files of the workspace for a pattern and return the lines that match it. " * 8,
    "parameters": {"type": "object", "properties": {"pattern": {"type": "string"}}, "required": ["pattern"]},
}
TOOLS = [{"type": "function", "function": {"name": f"search_{number}", **FUNCTION}} for number in range(240)]  # 200 KB
ASSISTANT = load_profile("assistant")
AGENTS: dict[str, dict[str, Any]] = {
    "plain": {"max_tokens": CAP},
    "profiled": {"max_tokens": CAP, "system_prompt": ASSISTANT.system_prompt, "tools": list(ASSISTANT.tools)},
    "looping": {"max_tokens": CAP, "tools": ["calculator"], "max_llm_calls": 4},
    "left": {"max_tokens": CAP},
    "connected": {"max_tokens": CAP, "mcp_tools": [{"name": f"search_{number}", **FUNCTION} for number in range(20)]},
}
LONG = [{"role": "user", "content": "All work and no play makes Jack a dull boy. " * 9000}]


@pytest.fixture(scope="module")
def crowded(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("crowded"), cast=session_upstream.base_url, keys=True) as live:
        live.keys |= make_keys(live, new_agents=AGENTS, measuring=with_budget(10**12))
        yield live


def with_budget(limit: int) -> dict[str, Any]:
    return {"budgets": [{"period": "day", "unit": "tokens", "limit": limit}]}


def estimate_of(live: Live, upstream: Upstream, agent: str, **fields: Any) -> int:
    """The server's own estimate of a prompt: what it counts for a provider that counts nothing."""
    upstream.turns(says("Hello", usage=None))
    row = row_of(live, ask(live, agent, key=live.keys["measuring"], **fields))
    assert row["token_source"] == "estimated"
    return int(row["prompt_tokens"])


def key_with(live: Live, name: str, limit: int) -> str:
    return make_keys(live, **{name: with_budget(limit)})[name]


async def all_at_once(
    live: Live, key: str, count: int, agent: str, *, seen: list[int] | None = None, **fields: Any
) -> Counter[int]:
    """Send a request so many times at once, and return how many got which status; `seen` gets each as it comes."""
    statuses = [] if seen is None else seen
    content = json.dumps(body(agent, **fields)).encode()
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}

    async def chat(session: aiohttp.ClientSession) -> None:
        async with session.post(url_of(live), data=content, headers=headers) as response:
            await response.read()
            statuses.append(response.status)

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        await asyncio.gather(*(chat(session) for _ in range(count)))
    return Counter(statuses)


def standing(live: Live, name: str) -> tuple[int, int]:
    """What is spent and reserved of a key's budget: all that its rows say, and nothing."""
    [period] = live.rows(
        "SELECT p.spent, p.reserved FROM agents_budgetperiod p JOIN agents_budget b ON b.id = p.budget_id "
        f"JOIN agents_apikey k ON k.id = b.api_key_id WHERE k.name = '{name}'"
    )
    rows = live.usage(f"api_key_name = '{name}'")
    assert period["spent"] == sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows)
    return period["spent"], period["reserved"]


def report(name: str, spent: int, limit: int) -> None:
    print(f"\n{name}: {spent:,} of {limit:,} tokens spent, {max(0, spent - limit):,} beyond the limit")


async def test_clients_tools_that_the_budget_does_not_cover_are_not_sent(crowded: Live, upstream: Upstream):
    key = key_with(crowded, "small", 6600)
    assert await all_at_once(crowded, key, 200, "plain", tools=TOOLS) == {429: 200}
    assert upstream.requests == []
    assert crowded.usage("api_key_name = 'small'") == []


@pytest.mark.parametrize(
    ("agent", "tools"), [("plain", None), ("plain", TOOLS), ("profiled", None), ("connected", None)]
)
async def test_two_hundred_at_once_get_exactly_the_fifty_that_are_covered(
    crowded: Live, upstream: Upstream, agent: str, tools: Any
):
    prompt = estimate_of(crowded, upstream, agent, tools=tools)
    assert prompt >= len(json.dumps(upstream.requests[-1].body.get("tools", []))) // 5
    name, limit = f"fifty-{agent}-{bool(tools)}", 50 * (prompt + CAP)
    key = key_with(crowded, name, limit)
    upstream.default = says("Hello", usage=Usage(prompt_tokens=prompt, completion_tokens=CAP))

    assert await all_at_once(crowded, key, 200, agent, tools=tools) == {200: 50, 429: 150}
    assert standing(crowded, name) == (limit, 0)
    report(name, limit, limit)


async def test_runs_of_many_calls_are_stopped_at_the_limit(crowded: Live, upstream: Upstream):
    prompt = estimate_of(crowded, upstream, "looping")
    limit, beyond = 20 * (prompt + CAP), 9
    key = key_with(crowded, "loops", limit)
    usage = Usage(prompt_tokens=prompt + beyond, completion_tokens=CAP)
    upstream.default = calls("calculator", expression="1+1").but(usage=usage)

    assert (await all_at_once(crowded, key, 100, "looping"))[429] >= 80
    spent, reserved = standing(crowded, "loops")
    report("runs of four calls", spent, limit)
    assert reserved == 0
    made = sum(row["llm_calls"] for row in crowded.usage("api_key_name = 'loops'"))
    assert limit - prompt - 2 * CAP < spent <= limit + made * beyond


async def test_agents_that_ask_others_spend_no_more_than_the_limit(crowded: Live, upstream: Upstream):
    most = 4096  # what a model without a known limit is taken to write
    steward, expert = (estimate_of(crowded, upstream, agent) for agent in ("steward", "expert"))
    limit = 12 * (steward + most)
    key = key_with(crowded, "askers", limit)
    fan_out = asks_all(*(asking("expert", f"{number}?") for number in range(5)))
    upstream.model("steward-model").default = fan_out.but(usage=Usage(prompt_tokens=steward, completion_tokens=most))
    upstream.model("expert-model").default = says("So.", usage=Usage(prompt_tokens=expert, completion_tokens=most))

    assert (await all_at_once(crowded, key, 6, "steward"))[429] > 0
    spent, reserved = standing(crowded, "askers")
    report("runs that ask five others", spent, limit)
    assert reserved == 0
    assert crowded.usage("api_key_name = 'askers' AND endpoint = 'agent_ask' AND status = 'ok'")
    assert limit - steward - 2 * most < spent <= limit


async def test_leaving_before_the_first_token_is_paid_for(crowded: Live, upstream: Upstream):
    prompt = estimate_of(crowded, upstream, "left", messages=LONG)
    assert prompt >= 90_000
    limit = 12 * (prompt + CAP)
    key = key_with(crowded, "leavers", limit)
    upstream.default = hangs()

    refused: list[int] = []
    sending = asyncio.create_task(all_at_once(crowded, key, 20, "left", seen=refused, messages=LONG))
    received = await upstream.received(1 + 12)
    await asyncio.to_thread(eventually, lambda: refused == [429] * 8)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    for request in received[1:]:
        await request.client_gone.seen()

    of_leavers = "api_key_name = 'leavers' AND status = 'cancelled'"
    rows = await asyncio.to_thread(eventually, lambda: len(found := crowded.usage(of_leavers)) == 12 and found)
    assert {(row["token_source"], row["prompt_tokens"], row["completion_tokens"]) for row in rows} == {
        ("estimated", prompt, 0)
    }
    assert standing(crowded, "leavers") == (12 * prompt, 0)
    report("twelve that left", 12 * prompt, limit)
    assert ask(crowded, "left", key=key, messages=LONG).status_code == 429
