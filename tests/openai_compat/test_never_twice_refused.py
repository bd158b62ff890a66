"""A request that is refused leaves nothing behind: its Idempotency-Key is as free as before."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx2
import pytest

from tests.agents.acting import asks, turns_of
from tests.live import Live
from tests.live.asking import TIMEOUT, body, content_of, url_of
from tests.openai_compat.limits_parts import make_keys
from tests.upstream import Upstream, fails, says, stalls


@pytest.fixture(scope="module")
def keys(limited: Live) -> dict[str, str]:
    poor = [{"limit": 10, "unit": "tokens", "period": "day"}]
    return make_keys(limited, lonely={"max_parallel_requests": 1}, penniless={"budgets": poor})


@pytest.fixture
def header() -> dict[str, str]:
    return {"idempotency-key": f"key-{uuid.uuid4()}"}


def send(live: Live, key: str, header: dict[str, str], model: str = "coder") -> httpx2.Response:
    headers = {"authorization": f"Bearer {key}", **header}
    return httpx2.post(url_of(live), json=body(model), headers=headers, timeout=TIMEOUT, verify=False)


@contextmanager
def busy(live: Live, upstream: Upstream, key: str) -> Iterator[None]:
    """The key's one place is taken."""
    upstream.model("critic-model").turns(stalls("Wait", then=" done"))
    messages: Any = [{"role": "user", "content": "Hi"}]
    with live.client(key) as client:
        stream = client.chat.completions.create(model="openfang:critic", messages=messages, stream=True)
        next(iter(stream))
        yield
        upstream.release()
        list(stream)


def code_of(response: httpx2.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]["code"]


def test_after_a_limit_of_rate(limited: Live, upstream: Upstream, keys: dict[str, str], header: dict[str, str]):
    with busy(limited, upstream, keys["lonely"]):
        for _ in range(2):
            assert code_of(send(limited, keys["lonely"], header)) == (429, "rate_limit_exceeded")
    upstream.says("Hello.")
    assert content_of(send(limited, keys["lonely"], header)) == "Hello."


def test_after_a_spent_budget(limited: Live, upstream: Upstream, keys: dict[str, str], header: dict[str, str]):
    for _ in range(2):
        assert code_of(send(limited, keys["penniless"], header)) == (429, "insufficient_quota")
    assert limited.rows(f"SELECT * FROM agents_transcript WHERE idempotency_key = '{header['idempotency-key']}'") == []


def test_what_it_would_have_taken_over_is_there_for_the_next(
    limited: Live, upstream: Upstream, keys: dict[str, str], header: dict[str, str]
):
    key, steward = keys["lonely"], upstream.model("steward-model")
    steward.turns(asks("expert", "One?"), fails(401))
    upstream.model("expert-model").says("Answer one.")
    assert send(limited, key, header, "steward").status_code == 502
    with busy(limited, upstream, key):
        assert code_of(send(limited, key, header, "steward")) == (429, "rate_limit_exceeded")
    steward.turns(says("Done."))
    assert content_of(send(limited, key, header, "steward")) == "Done."
    assert turns_of(upstream.requests[-1])[1:] == [("assistant", ["agent_ask"]), ("tool", "Answer one.")]
