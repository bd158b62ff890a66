"""Requests a minute, on a server of one process."""

from pathlib import Path

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.limits_parts import EDGES, assert_exact, assert_exact_at_the_edge, make_keys
from tests.upstream import Upstream

RATES = [1, 60, 600]


@pytest.fixture(scope="module")
def keys(limited: Live) -> dict[str, str]:
    rates = {f"rate-{rate}": {"requests_per_minute": rate} for rate in RATES}
    polite = {"requests_per_minute": 50, "tokens_per_minute": 9000}
    return make_keys(limited, once={"requests_per_minute": 1}, polite=polite, **rates, **EDGES)


@pytest.mark.parametrize("rate", RATES)
async def test_exactly_so_many_requests_pass_in_a_minute(limited: Live, keys: dict[str, str], rate: int):
    await assert_exact([limited], keys[f"rate-{rate}"], rate)


async def test_the_count_begins_anew_at_the_minutes_edge(limited: Live, keys: dict[str, str]):
    await assert_exact_at_the_edge([limited], keys)


def test_the_refusal_is_as_documented(limited: Live, keys: dict[str, str]):
    # Three requests lie in two minutes at most.
    answers = [raw.send(limited, "GET", "/v1/models", key=keys["once"]) for _ in range(3)]
    refused = next(answer for answer in answers if answer.status == 429)
    assert strict.error(refused.json()).to_dict() == {
        "message": "Rate limit exceeded",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def test_every_answer_of_a_limited_key_says_how_much_is_left(limited: Live, keys: dict[str, str]):
    asked = [
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/models/openfang:nobody", None, 404),
        ("GET", "/v1/unknown", None, 404),
        ("DELETE", "/v1/models", None, 405),
        ("POST", "/v1/chat/completions", b"{", 400),
    ]
    for method, path, body, status in asked:
        answer = raw.send(limited, method, path, body, key=keys["polite"])
        assert answer.status == status
        assert answer.headers["x-ratelimit-limit-requests"] == "50"
        assert 0 <= int(answer.headers["x-ratelimit-remaining-requests"]) < 50
        assert answer.headers["x-ratelimit-limit-tokens"] == "9000"
        assert answer.headers["x-ratelimit-remaining-tokens"] == "9000"
        assert 1 <= int(answer.headers["x-ratelimit-reset-tokens"].removesuffix("s")) <= 60


def test_a_key_without_limits_hears_nothing_of_them(limited: Live):
    answer = raw.send(limited, "GET", "/v1/models", key=limited.keys["alice"])
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


@pytest.mark.slow
def test_without_keys_the_limit_is_that_of_the_address(session_upstream: Upstream, tmp_path: Path):
    with Live(tmp_path, cast=session_upstream.base_url, env={"OPENFANG_OPEN_RPM": "2"}) as live:
        answers = [raw.send(live, "GET", "/v1/models") for _ in range(5)]
    # Five requests lie in two minutes at most.
    assert 2 <= [answer.status for answer in answers].count(200) <= 4
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
