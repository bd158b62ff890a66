"""The usage row of a request that was answered: every column, whichever way the answer was asked for."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import httpx2
import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT, ask, body, events_of, row_of, somebody, url_of
from tests.upstream import Upstream, Usage, says

PICO = Decimal(10) ** 12
USAGE = Usage(prompt_tokens=1000, completion_tokens=77, cached_tokens=300, reasoning_tokens=50)
# Dollars per million tokens, as the cast has them: 700 fresh prompt tokens, 300 cached ones, 77 written ones.
COST = (700 * Decimal("1.5") + 300 * Decimal("0.15") + 77 * Decimal("6")) / 1_000_000


@pytest.mark.parametrize("streamed", [False, True])
def test_the_row_of_an_answer_says_everything_about_it(live: Live, upstream: Upstream, streamed: bool):
    before = datetime.now(UTC)
    upstream.turns(says("Hello there", usage=USAGE, delay=0.05))
    response = httpx2.post(
        url_of(live),
        json=body("openfang:coder", stream=streamed),
        headers={"user-agent": "a-client/1.0"},
        timeout=TIMEOUT,
    )
    row = row_of(live, response)
    [agent] = live.rows("SELECT id FROM agents_agent WHERE name = 'coder'")
    [worker] = live.rows("SELECT id FROM agents_worker")
    started, ended = (datetime.fromisoformat(row.pop(name)).replace(tzinfo=UTC) for name in ("started_at", "ended_at"))
    first_token, duration = row.pop("first_token_ms"), row.pop("duration_ms")
    assert before <= started <= ended <= datetime.now(UTC)
    assert 50 <= first_token <= duration
    expected = {
        "id": response.headers["x-request-id"].removeprefix("req_"),
        "worker_id": worker["id"],
        "agent_id": agent["id"],
        "agent_name": "coder",
        "api_key_id": None,
        "api_key_name": "",
        "endpoint": "/v1/chat/completions",
        "streamed": streamed,
        "status": "ok",
        "http_status": 200,
        "error_code": "",
        "finish_reason": "stop",
        "requested_model": "openfang:coder",
        "provider": "scripted",
        "model": "scripted-model",
        "token_source": "provider",
        "prompt_tokens": 1000,
        "completion_tokens": 77,
        "cached_tokens": 300,
        "reasoning_tokens": 50,
        "cost": int(COST * PICO),
        "llm_calls": 1,
        "tool_calls": 0,
        "client_address": "127.0.0.1",
        "user_agent": "a-client/1.0",
        "end_user": "",
    }
    assert {name: row[name] for name in expected} == expected


def test_the_one_llm_call_is_a_step_with_the_same_numbers(live: Live, upstream: Upstream):
    upstream.turns(says("Hello there", usage=USAGE, delay=0.05))
    row = row_of(live, ask(live))
    [step] = live.steps(row["id"])
    assert 50 <= step.pop("first_token_ms") <= step.pop("duration_ms") <= row["duration_ms"]
    expected = {
        "record_id": row["id"],
        "position": 1,
        "kind": "llm",
        "name": "scripted-model",
        "provider": "scripted",
        "error_code": "",
        "token_source": "provider",
        **{name: row[name] for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "reasoning_tokens")},
        "cost": row["cost"],
    }
    assert {name: step[name] for name in expected} == expected


def test_the_id_of_the_answer_is_that_of_the_row(live: Live, upstream: Upstream):
    upstream.turns(says("Whole"), says("Streamed"))
    whole, streamed = ask(live), ask(live, stream=True)
    assert UUID(whole.json()["id"].removeprefix("chatcmpl-")).hex == row_of(live, whole)["id"]
    [one_id] = {chunk["id"] for chunk in events_of(streamed)}
    assert UUID(one_id.removeprefix("chatcmpl-")).hex == row_of(live, streamed)["id"]


def test_the_row_names_the_key(guarded: Live, upstream: Upstream):
    upstream.says("Hello")
    row = row_of(guarded, ask(guarded, key=guarded.keys["alice"]))
    [key] = guarded.rows("SELECT id FROM agents_apikey WHERE name = 'alice'")
    assert (row["api_key_name"], row["api_key_id"]) == ("alice", key["id"])


def test_a_request_without_a_valid_key_leaves_no_row(guarded: Live, upstream: Upstream):
    name = somebody()
    assert ask(guarded, key="of_wrong", user=name).status_code == 401
    assert guarded.usage(f"end_user = '{name}'") == []
    assert upstream.requests == []


@pytest.mark.parametrize(
    ("user", "kept"),
    [
        ("ada", "ada"),
        ({"id": "ada", "plan": "free"}, "ada"),
        ({"id": 7}, "7"),
        ({"name": "ada"}, ""),
        (None, ""),
        ("Łukasz 🚀\n", "Łukasz 🚀\n"),
        ("a\x00b", "ab"),
        ("x" * 500, "x" * 200),
    ],
)
def test_the_row_names_the_end_user(live: Live, upstream: Upstream, user: object, kept: str):
    upstream.says("Hello")
    assert row_of(live, ask(live, user=user))["end_user"] == kept


def test_long_texts_of_the_client_are_cut_to_their_columns(live: Live, upstream: Upstream):
    upstream.says("Hello")
    asked, headers = body("gpt-" + "4" * 196), {"user-agent": "b" * 300}
    row = row_of(live, httpx2.post(url_of(live), json=asked, headers=headers, timeout=TIMEOUT))
    assert (row["requested_model"], row["user_agent"]) == ("gpt-" + "4" * 196, "b" * 200)
    assert row["agent_name"] == "coder"


@pytest.mark.parametrize("finish", ["stop", "length", "content_filter"])
def test_the_row_says_why_the_answer_ended(live: Live, upstream: Upstream, finish: str):
    upstream.turns(says("Hello", finish=finish))
    response = ask(live)
    assert response.json()["choices"][0]["finish_reason"] == finish
    assert row_of(live, response)["finish_reason"] == finish


def test_a_fraction_of_a_cent_is_kept_to_the_picodollar(live: Live, upstream: Upstream):
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=1, completion_tokens=0, cached_tokens=1)))
    assert row_of(live, ask(live))["cost"] == 150_000  # one cached token at 0.15 dollars a million
