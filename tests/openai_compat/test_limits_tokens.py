"""Tokens a minute and parallel requests of a key."""

import time

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from agents.types import Message
from tests.estimated import estimated
from tests.live import Live
from tests.live.asking import ask, eventually
from tests.openai_compat import strict
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import Upstream, Usage, calls, says, stalls

PROMPT = estimated(Message("user", "Hi"))
CAP = 500  # what the listener may write at most


@pytest.fixture(scope="module")
def keys(limited: Live) -> dict[str, str]:
    now = int(time.time()) % 60  # their minutes begin now, so that none of them ends within a test
    return make_keys(
        limited,
        thrifty={"tokens_per_minute": 2 * (PROMPT + CAP), "edge": now},
        narrow={"tokens_per_minute": 2 * (PROMPT + CAP), "edge": now},
        small={"tokens_per_minute": 10, "edge": now},
        single={"max_parallel_requests": 1},
        double={"max_parallel_requests": 2},
        # The listener may be called once more, but handy has written 16,000 tokens and may write so many again.
        calling={"tokens_per_minute": 32_000 + 2 * (PROMPT + CAP), "edge": now},
        # Two of steward's calls, whose model is taken to write 4,096 tokens, but not a call of expert's besides.
        wondering={"tokens_per_minute": 2 * 4096 + 1000, "edge": now},
    )


def assert_refused(response: httpx2.Response, exceeded: str) -> None:
    assert response.status_code == 429
    assert strict.error(response.json()).to_dict() == {
        "message": f"Rate limit exceeded: {exceeded}",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
    }
    assert 1 <= int(response.headers["retry-after"]) <= 60


def test_what_a_run_has_not_used_is_given_back(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=7, completion_tokens=5)))
    response = ask(limited, "listener", key=keys["thrifty"])
    assert response.status_code == 200
    assert int(response.headers["x-ratelimit-remaining-tokens"]) == 2 * (PROMPT + CAP) - 12


def test_a_minutes_tokens_are_not_exceeded_by_requests_at_once(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.default = stalls("Wait", "done")
    with limited.client(keys["narrow"]) as client:
        streams = [_stream(client) for _ in range(2)]
        refused = ask(limited, "listener", key=keys["narrow"])
        upstream.release()
        for stream in streams:
            assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"
    assert_refused(refused, "tokens per minute")


def _stream(client: openai.OpenAI, agent: str = "listener") -> openai.Stream[ChatCompletionChunk]:
    stream = client.chat.completions.create(
        model=f"openfang:{agent}", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    next(iter(stream))
    return stream


def test_a_request_of_more_than_a_whole_minute_can_pass_alone(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=9, completion_tokens=300)))
    assert ask(limited, "listener", key=keys["small"]).status_code == 200
    assert_refused(ask(limited, "listener", key=keys["small"]), "tokens per minute")


def test_a_runs_later_calls_count_as_they_begin(limited: Live, upstream: Upstream, keys: dict[str, str]):
    first = calls("calculator", expression="1+1").but(usage=Usage(prompt_tokens=600, completion_tokens=16_000))
    upstream.turns(first, stalls("Wait", "done"))
    with limited.client(keys["calling"]) as client:
        stream = _stream(client, "handy")
        upstream.wait_for_requests(2)
        assert_refused(ask(limited, "listener", key=keys["calling"]), "tokens per minute")
        upstream.release()
        assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"


def test_agents_that_an_agent_asks_count_as_they_begin(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.model("steward-model").turns(calls("agent_ask", agent="expert", question="Why?"), says("Because."))
    upstream.model("expert-model").turns(stalls("Because"))
    with limited.client(keys["wondering"]) as client:
        stream = _stream(client, "steward")
        upstream.wait_for_requests(2)
        assert_refused(ask(limited, "steward", key=keys["wondering"]), "tokens per minute")
        upstream.release()
        assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"
    assert ask_for_remaining(limited, keys["wondering"]) == 2 * 4096 + 1000 - used_by(limited, "wondering")


def used_by(live: Live, name: str) -> int:
    return sum(row["prompt_tokens"] + row["completion_tokens"] for row in live.usage(f"api_key_name = '{name}'"))


def ask_for_remaining(live: Live, key: str) -> int:
    headers = {"authorization": f"Bearer {key}"}
    response = httpx2.get(f"{live.base_url}/models", headers=headers, verify=False)
    return int(response.headers["x-ratelimit-remaining-tokens"])


def test_so_many_requests_run_at_once_and_no_more(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.default = stalls("Wait", "done")
    with limited.client(keys["double"]) as client:
        streams = [_stream(client) for _ in range(2)]
        assert_refused(ask(limited, "listener", key=keys["double"]), "parallel requests")
        upstream.release()
        for stream in streams:
            assert [chunk.choices[0].finish_reason for chunk in stream][-1] == "stop"
    upstream.default = says("Hello")
    assert ask(limited, "listener", key=keys["double"]).status_code == 200


def test_who_has_read_the_end_may_begin_again(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.default = says("Hello")
    for number in range(10):
        assert ask(limited, "listener", key=keys["single"], stream=bool(number % 2)).status_code == 200


def test_who_leaves_gives_the_place_back(limited: Live, upstream: Upstream, keys: dict[str, str]):
    upstream.turns(stalls("Wait"))
    with limited.client(keys["single"]) as client:
        _stream(client).close()
    upstream.default = says("Hello")
    assert eventually(lambda: ask(limited, "listener", key=keys["single"]).status_code == 200)
