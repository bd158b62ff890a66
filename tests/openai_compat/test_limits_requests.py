"""Requests a minute: exact at any rate, from many connections, on one process and on two that share Redis."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.limits_parts import by_window, make_keys, send_many, two_servers
from tests.upstream import Upstream

RATES = [1, 60, 600]


@pytest.fixture(scope="module")
def one(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Live]]:
    with Live(tmp_path_factory.mktemp("one"), cast=session_upstream.base_url, keys=True) as live:
        yield [live]


@pytest.fixture(scope="module")
def two(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Live]]:
    with two_servers(session_upstream.base_url, tmp_path_factory) as (_, lives):
        yield lives


@pytest.mark.parametrize("kind", ["one", "two"])
async def test_exactly_so_many_requests_pass_in_a_minute(kind: str, request: pytest.FixtureRequest):
    lives: list[Live] = request.getfixturevalue(kind)
    keys = make_keys(*lives, **{f"{kind}-{rate}": {"requests_per_minute": rate} for rate in RATES})
    for rate in RATES:
        answers = await send_many(lives, keys[f"{kind}-{rate}"], rate + 40)

        windows = by_window(answers)
        assert [window[200] for window in windows] == [min(rate, window.total()) for window in windows]
        assert sum(window[429] for window in windows) == sum(max(0, window.total() - rate) for window in windows)
        for answer in answers:
            assert answer.headers["x-ratelimit-limit-requests"] == str(rate)
            assert 1 <= answer.reset <= 60
            if answer.status == 429:
                assert answer.headers["x-ratelimit-remaining-requests"] == "0"
                assert answer.headers["retry-after"] == str(answer.reset)


async def test_the_count_begins_anew_at_the_minutes_edge(two: list[Live]):
    edge = int(time.time()) + 7  # long enough to make the key
    keys = make_keys(*two, edgy={"requests_per_minute": 60, "edge": edge})
    answers = []
    while time.time() < edge + 0.5:
        wait = edge - 0.6 - time.time()
        await asyncio.sleep(max(0, wait))
        answers += await send_many(two, keys["edgy"], 100)

    windows = by_window(answers)
    assert len(windows) == 2
    assert all(window[200] == min(60, window.total()) for window in windows)
    assert windows[0][200] == windows[1][200] == 60
    assert min(answer.reset for answer in answers) == 1
    assert max(answer.reset for answer in answers) == 60


def test_the_refusal_is_as_documented(one: list[Live]):
    key = make_keys(*one, strict={"requests_per_minute": 1})["strict"]
    answers = [raw.send(one[0], "GET", "/v1/models", key=key) for _ in range(4)]
    refused = next(answer for answer in answers if answer.status == 429)
    error = strict.error(refused.json())
    assert error.to_dict() == {
        "message": "Rate limit exceeded",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def test_every_answer_of_a_limited_key_says_how_much_is_left(one: list[Live]):
    key = make_keys(*one, polite={"requests_per_minute": 50, "tokens_per_minute": 9000})["polite"]
    asked = [
        ("GET", "/v1/models", None, 200),
        ("GET", "/v1/models/openfang:nobody", None, 404),
        ("GET", "/v1/unknown", None, 404),
        ("DELETE", "/v1/models", None, 405),
        ("POST", "/v1/chat/completions", b"{", 400),
    ]
    for method, path, body, status in asked:
        answer = raw.send(one[0], method, path, body, key=key)
        assert answer.status == status
        assert answer.headers["x-ratelimit-limit-requests"] == "50"
        assert 0 <= int(answer.headers["x-ratelimit-remaining-requests"]) < 50
        assert answer.headers["x-ratelimit-limit-tokens"] == "9000"
        assert answer.headers["x-ratelimit-remaining-tokens"] == "9000"
        assert 1 <= int(answer.headers["x-ratelimit-reset-tokens"].removesuffix("s")) <= 60


def test_a_key_without_limits_hears_nothing_of_them(guarded: Live):
    answer = raw.send(guarded, "GET", "/v1/models", key=guarded.keys["alice"])
    assert not [name for name in answer.headers if name.startswith("x-ratelimit")]


def test_without_keys_the_limit_is_that_of_the_address(session_upstream: Upstream, tmp_path):
    with Live(tmp_path, cast=session_upstream.base_url, env={"OPENFANG_OPEN_RPM": "2"}) as live:
        answers = [raw.send(live, "GET", "/v1/models") for _ in range(5)]
    # Five requests can lie in two minutes, in no more.
    assert 2 <= [answer.status for answer in answers].count(200) <= 4
    assert {answer.headers["x-ratelimit-limit-requests"] for answer in answers} == {"2"}
