"""Budgets of a running server: many requests at once, long runs, runs within runs, killed servers, warnings."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aiohttp
import httpx2
import pytest

from agents.models.money import PICO
from agents.tools import BUILT_IN
from agents.types import Message
from tests.estimated import estimated
from tests.live import Live
from tests.live.asking import ask, body, eventually, row_of, url_of
from tests.live.mailbox import Mailbox
from tests.live.webhook import Webhook
from tests.openai_compat import strict
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import Upstream, Usage, calls, hangs, says

HANDY_TOOLS = ("agent_ask", "calculator", "current_time")
# What the listener takes: no prompt of its own, and at most 500 tokens of the answer, at 1.5 and 6 dollars a million.
PROMPT, CAP = estimated(Message("user", "Hi")), 500
HANDY_PROMPT = estimated(Message("user", "Hi"), tools=[BUILT_IN[name].spec for name in HANDY_TOOLS])
DEAREST = int((PROMPT * Decimal("1.5") + CAP * 6) / 1_000_000 * PICO)
AS_ESTIMATED = says("Hello", usage=Usage(prompt_tokens=PROMPT, completion_tokens=CAP))


@pytest.fixture(scope="module")
def keys(limited: Live) -> dict[str, str]:
    month, tokens = {"period": "month", "unit": "usd"}, {"period": "day", "unit": "tokens"}
    wanted: dict[str, Any] = {
        "crowd": {"budgets": [{**month, "limit": 50 * DEAREST}]},
        "exact": {"budgets": [{**month, "limit": 10 * DEAREST}, {**tokens, "limit": 100_000}]},
        # The first call of handy, which may write 16,000 tokens, and a few tokens more.
        "looping": {"budgets": [{**tokens, "limit": 16_050 + HANDY_PROMPT}]},
        "asking": {"budgets": [{**tokens, "limit": 1_000_000}]},
        "unpriced": {"budgets": [{**month, "limit": 10 * PICO_DOLLAR}]},
        "warned": {"budgets": [{**tokens, "limit": 2 * (PROMPT + CAP)}]},
        "rich": {},
    }
    return make_keys(limited, agents={"blind": {**tokens, "limit": 10}}, **wanted)


PICO_DOLLAR = int(PICO)


def period_of(live: Live, key: str, unit: str) -> dict[str, Any]:
    [row] = live.rows(
        "SELECT p.* FROM agents_budgetperiod p JOIN agents_budget b ON b.id = p.budget_id "
        f"JOIN agents_apikey k ON k.id = b.api_key_id WHERE k.name = '{key}' AND b.unit = '{unit}'"
    )
    return row


def next_month() -> str:
    today = datetime.now(UTC)
    return f"{datetime(today.year + today.month // 12, today.month % 12 + 1, 1):%Y-%m-%d} 00:00 UTC"


async def test_two_hundred_at_once_get_exactly_what_the_budget_covers(
    limited: Live, upstream: Upstream, keys: dict[str, str]
):
    upstream.default = AS_ESTIMATED
    headers = {"authorization": f"Bearer {keys['crowd']}"}

    async def chat(session: aiohttp.ClientSession) -> tuple[int, str, str]:
        async with session.post(url_of(limited), json=body("listener"), headers=headers) as response:
            return response.status, response.headers.get("x-should-retry", ""), await response.text()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        answers = await asyncio.gather(*(chat(session) for _ in range(200)))

    assert Counter(status for status, _, _ in answers) == {200: 50, 429: 150}
    refused = {(retry, text) for status, retry, text in answers if status == 429}
    [(retry, text)] = refused
    assert retry == "false"
    assert strict.error(json.loads(text)).to_dict() == {
        "message": "The monthly budget of the key 'crowd' is used up: what is left does not cover this request. "
        f"It resets at {next_month()}.",
        "type": "insufficient_quota",
        "param": None,
        "code": "insufficient_quota",
    }
    period = period_of(limited, "crowd", "usd")
    assert (period["spent"], period["reserved"], period["assumed"]) == (50 * DEAREST, 0, 0)
    assert [row["status"] for row in limited.usage("api_key_name = 'crowd'")] == ["ok"] * 50
    assert limited.rows("SELECT * FROM agents_reservation") == []


def test_what_is_spent_is_what_the_rows_say(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.turns(
        says("One", usage=Usage(prompt_tokens=100, completion_tokens=7, cached_tokens=30)),
        says("Two", usage=None),
    )
    rows = [row_of(limited, ask(limited, "listener", key=keys["exact"], stream=bool(turn))) for turn in range(2)]
    assert period_of(limited, "exact", "usd")["spent"] == sum(row["cost"] for row in rows)
    tokens = sum(row["prompt_tokens"] + row["completion_tokens"] for row in rows)
    assert period_of(limited, "exact", "tokens")["spent"] == tokens
    assert period_of(limited, "exact", "tokens")["reserved"] == 0


def test_a_run_is_stopped_between_its_turns(limited: Live, upstream: Upstream, keys: dict[str, str]):
    first = calls("calculator", expression="1+1").but(usage=Usage(prompt_tokens=60, completion_tokens=20))
    upstream.turns(first)
    response = ask(limited, "handy", key=keys["looping"])
    assert response.status_code == 429
    assert strict.error(response.json()).code == "insufficient_quota"
    row = row_of(limited, response)
    assert (row["status"], row["http_status"], row["error_code"]) == ("failed", 429, "insufficient_quota")
    assert (row["llm_calls"], row["tool_calls"]) == (1, 1)
    period = period_of(limited, "looping", "tokens")
    assert (period["spent"], period["reserved"]) == (80, 0)
    assert len(upstream.requests) == 1


def test_runs_within_runs_count(limited: Live, upstream: Upstream, keys: dict[str, str]):
    question = calls("agent_ask", agent="expert", question="Why?")
    upstream.model("steward-model").turns(
        question.but(usage=Usage(prompt_tokens=10, completion_tokens=1)),
        says("Because.", usage=Usage(prompt_tokens=20, completion_tokens=2)),
    )
    upstream.model("expert-model").turns(says("Because.", usage=Usage(prompt_tokens=300, completion_tokens=30)))
    assert ask(limited, "steward", key=keys["asking"]).status_code == 200
    period = period_of(limited, "asking", "tokens")
    assert (period["spent"], period["reserved"]) == (363, 0)


def test_an_unknown_price_counts_as_the_highest_known_one(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.model("critic-model").turns(says("No.", usage=Usage(prompt_tokens=1000, completion_tokens=100)))
    row = row_of(limited, ask(limited, "critic", key=keys["unpriced"]))
    assert row["cost"] is None
    period = period_of(limited, "unpriced", "usd")
    assert period["spent"] == period["assumed"] == int((1000 * Decimal("1.5") + 100 * 6) / 1_000_000 * PICO)


def test_an_agents_budget_holds_for_every_key(limited: Live, upstream: Upstream, keys: dict[str, str]):
    for key in (keys["rich"], limited.keys["alice"]):
        response = ask(limited, "blind", key=key)
        assert response.status_code == 429
        assert "The daily budget of the agent 'blind' is used up" in strict.error(response.json()).message
    assert upstream.requests == []


def test_a_refused_stream_has_its_status(limited: Live, upstream: Upstream, keys: dict[str, str]):
    response = ask(limited, "blind", key=keys["rich"], stream=True)
    assert (response.status_code, response.headers["x-should-retry"]) == (429, "false")
    assert limited.usage(f"id = '{response.headers['x-request-id'].removeprefix('req_')}'") == []


def test_the_administrator_is_warned_once(
    limited: Live, upstream: Upstream, keys: dict[str, str], webhook: Webhook, mailbox: Mailbox
):
    def about_warned() -> list[tuple[dict[str, str], bytes]]:
        return [call for call in webhook.received if b"'warned'" in call[1]]

    upstream.default = AS_ESTIMATED
    assert ask(limited, "listener", key=keys["warned"]).status_code == 200
    assert about_warned() == []
    assert ask(limited, "listener", key=keys["warned"]).status_code == 200
    assert ask(limited, "listener", key=keys["warned"]).status_code == 429
    eventually(lambda: len(about_warned()) == 2)

    failed, delivered = about_warned()
    assert failed[1] == delivered[1]
    headers, sent = delivered
    signed = hmac.new(webhook.secret.encode(), headers["x-openfang-timestamp"].encode() + b"." + sent, hashlib.sha256)
    assert headers["x-openfang-signature"] == f"sha256={signed.hexdigest()}"
    warning = json.loads(sent)
    assert (warning["event"], warning["whose"], warning["percent"]) == ("budget.warning", "the key 'warned'", 100)
    assert (warning["spent"], warning["limit"], warning["unit"]) == (str(2 * (PROMPT + CAP)),) * 2 + ("tokens",)
    assert "100 % of the daily budget of the key 'warned' is spent" in limited.output
    assert limited.output.count("budget of the key 'warned' is spent") == 1

    [letter] = [letter for letter in mailbox.letters if "'warned'" in letter.get_content()]
    assert (letter["to"], letter["subject"]) == ("administrator@example.com", "OpenFang: a budget is nearly used up")
    assert letter.get_content().startswith("100 % of the daily budget of the key 'warned' is spent (")


@pytest.mark.slow
def test_what_a_killed_server_held_is_released(server: Live, upstream: Upstream):
    everybody = [{"limit": 1_000_000, "unit": "tokens", "period": "day"}]
    key = make_keys(server, server=everybody, holder={})["holder"]
    upstream.turns(hangs())
    held = "SELECT reserved FROM agents_budgetperiod"

    def reserves() -> bool:
        return any(row["reserved"] > 0 for row in server.rows(held))

    def request() -> None:
        with pytest.raises(httpx2.TransportError):
            ask(server, "listener", key=key)

    asking = threading.Thread(target=request)
    asking.start()
    upstream.wait_for_requests(1)
    assert reserves()
    server.kill()
    asking.join()
    assert reserves()

    server.start()
    eventually(lambda: not reserves())
    [row] = server.usage()
    assert (row["status"], row["token_source"], row["prompt_tokens"]) == ("lost", "estimated", PROMPT)
    assert row["cost"] == PROMPT * 1_500_000
    assert server.rows("SELECT spent FROM agents_budgetperiod") == [{"spent": PROMPT}]
    [sums] = server.rows("SELECT lost, prompt_tokens, cost, model FROM agents_dailyrollup")
    assert (sums["lost"], sums["prompt_tokens"], sums["cost"]) == (1, PROMPT, row["cost"])
    assert sums["model"] == row["model"] == "scripted-model"
    assert server.rows("SELECT * FROM agents_reservation") == []
