"""Providers that report what one call cannot have: the row, the sums, the budget and the client get the same caps."""

from decimal import Decimal
from typing import Any

import pytest

from tests.live import Live
from tests.live.asking import ask, events_of, row_of
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import DONE, Upstream, Usage, calls, chunk, junk, says

PRICES = {"prompt_price": "1.5", "completion_price": "6"}
AGENTS: dict[str, Any] = {
    "bounded": {"model": {**PRICES, "context_window": 1000, "max_output_tokens": 100}, "tools": ["calculator"]},
    "boundless": {"model": PRICES},
}


@pytest.fixture(scope="module")
def key(limited: Live) -> str:
    budgets = [
        {"period": "day", "unit": "tokens", "limit": 10**15},
        {"period": "day", "unit": "usd", "limit": 10**18},
    ]
    return make_keys(limited, new_agents=AGENTS, lied={"budgets": budgets})["lied"]


def spent(live: Live) -> dict[str, int]:
    rows = live.rows(
        "SELECT b.unit, p.spent FROM agents_budgetperiod p JOIN agents_budget b ON b.id = p.budget_id "
        "JOIN agents_apikey k ON k.id = b.api_key_id WHERE k.name = 'lied'"
    )
    return {row["unit"]: row["spent"] for row in rows}


@pytest.mark.parametrize(("agent", "prompt", "completion"), [("bounded", 1100, 110), ("boundless", 10**7, 10**7)])
@pytest.mark.parametrize("streamed", [False, True])
def test_what_cannot_be_is_capped_everywhere(
    limited: Live, upstream: Upstream, key: str, *, agent: str, prompt: int, completion: int, streamed: bool
):
    before = spent(limited)
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=10**12, completion_tokens=10**12, cached_tokens=10**12)))
    response = ask(limited, agent, key=key, stream=streamed, stream_options={"include_usage": True})
    usage = events_of(response)[-1]["usage"] if streamed else response.json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (prompt, completion)
    assert usage["total_tokens"] == prompt + completion
    row = row_of(limited, response)
    [step] = limited.steps(row["id"])
    for counts in (row, step):
        assert (counts["token_source"], counts["prompt_tokens"], counts["completion_tokens"]) == (
            "capped",
            prompt,
            completion,
        )
        assert counts["cached_tokens"] == prompt
        assert counts["cost"] == int((prompt * Decimal("1.5") + completion * 6) * 10**6)
    now = spent(limited)
    assert now["tokens"] - before.get("tokens", 0) == prompt + completion
    assert now["usd"] - before.get("usd", 0) == row["cost"]
    assert limited.output.count(f"for one call of {agent}, which cannot be") == 1


def test_the_sums_are_those_of_the_rows(limited: Live, upstream: Upstream, key: str):
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=10**12, completion_tokens=10**12)))
    ask(limited, "bounded", key=key)
    [sums] = limited.rows(
        "SELECT SUM(prompt_tokens) AS prompt, SUM(completion_tokens) AS completion, SUM(cost) AS cost "
        "FROM agents_dailyrollup WHERE api_key_name = 'lied' AND model = 'bounded'"
    )
    rows = limited.usage("api_key_name = 'lied' AND model = 'bounded'")
    assert sums["prompt"] == sum(row["prompt_tokens"] for row in rows)
    assert sums["completion"] == sum(row["completion_tokens"] for row in rows)
    assert sums["cost"] == sum(row["cost"] for row in rows)


def test_one_capped_call_marks_the_row(limited: Live, upstream: Upstream, key: str):
    upstream.turns(
        calls("calculator", expression="1+1").but(usage=Usage(prompt_tokens=10**12)),
        says("Two", usage=Usage(prompt_tokens=400, completion_tokens=1)),
    )
    row = row_of(limited, ask(limited, "bounded", key=key))
    assert (row["token_source"], row["prompt_tokens"]) == ("capped", 1500)
    sources = [step["token_source"] for step in limited.steps(row["id"]) if step["kind"] == "llm"]
    assert sources == ["capped", "provider"]


@pytest.mark.parametrize("number", [b"-5", b'"many"', b"1" + b"0" * 30])
def test_what_is_no_count_is_estimated(limited: Live, upstream: Upstream, key: str, number: bytes):
    usage = b'data: {"choices": [], "usage": {"prompt_tokens": %b, "completion_tokens": %b}}\n\n' % (number, number)
    upstream.turns(junk([chunk({"content": "Hello"}), chunk({}, "stop"), usage, DONE]))
    row = row_of(limited, ask(limited, "bounded", key=key))
    assert (row["status"], row["token_source"], row["completion_tokens"]) == ("ok", "estimated", 2)
