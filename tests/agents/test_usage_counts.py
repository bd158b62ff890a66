"""Where a row's tokens come from: the provider, wherever it puts its count, or else an estimate that says so."""

import pytest

from tests.estimated import CODER_PROMPT
from tests.live import Live
from tests.live.asking import ask, events_of, row_of
from tests.upstream import DONE, Upstream, Usage, calls, chunk, frame, junk, says

COUNTED = {"prompt_tokens": 21, "completion_tokens": 9, "token_source": "provider"}


def counts(row: dict[str, object]) -> dict[str, object]:
    return {name: row[name] for name in COUNTED}


@pytest.mark.parametrize("place", ["own_chunk", "finish_chunk", "every_chunk"])
def test_the_count_is_read_wherever_the_provider_puts_it(live: Live, upstream: Upstream, place: str):
    usage = Usage(prompt_tokens=21, completion_tokens=9, place=place)  # type: ignore[arg-type]
    upstream.turns(says("One two three", usage=usage))
    response = ask(live)
    assert counts(row_of(live, response)) == COUNTED
    assert response.json()["usage"]["total_tokens"] == 30


def test_the_count_may_come_with_the_last_content(live: Live, upstream: Upstream):
    last = {
        "choices": [{"index": 0, "delta": {"content": " there"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30},
    }
    upstream.turns(junk([chunk({"content": "Hello"}), frame(last), DONE]))
    response = ask(live)
    assert response.json()["choices"][0]["message"]["content"] == "Hello there"
    assert counts(row_of(live, response)) == COUNTED


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 21, "completion_tokens": 9, "prompt_tokens_details": None, "cost": 0.1},
        {"prompt_tokens": 21, "completion_tokens": 9, "prompt_tokens_details": {"cached_tokens": None}},
        {"prompt_tokens": 21, "completion_tokens": 9, "completion_tokens_details": {}},
        {"prompt_tokens": 21.0, "completion_tokens": 9.0},
    ],
)
def test_odd_counts_are_read(live: Live, upstream: Upstream, usage: dict[str, object]):
    upstream.turns(junk([chunk({"content": "Hello"}), chunk({}, "stop"), frame({"choices": [], "usage": usage}), DONE]))
    assert counts(row_of(live, ask(live))) == COUNTED


@pytest.mark.parametrize("details", [{"prompt_cache_hit_tokens": 8}, {"prompt_tokens_details": {"cached_tokens": 8}}])
def test_cached_tokens_are_read_under_both_names(live: Live, upstream: Upstream, details: dict[str, object]):
    usage = {"prompt_tokens": 21, "completion_tokens": 9, **details}
    upstream.turns(junk([chunk({"content": "Hello"}), chunk({}, "stop"), frame({"choices": [], "usage": usage}), DONE]))
    response = ask(live)
    assert row_of(live, response)["cached_tokens"] == 8
    assert response.json()["usage"]["prompt_tokens_details"] == {"cached_tokens": 8}


def test_what_was_read_from_a_cache_is_never_more_than_what_was_read(live: Live, upstream: Upstream):
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=10, cached_tokens=99, completion_tokens=0)))
    row = row_of(live, ask(live))
    assert (row["cached_tokens"], row["cost"]) == (10, 1_500_000)


def test_the_count_is_asked_for(live: Live, upstream: Upstream):
    upstream.says("Hello")
    ask(live)
    assert upstream.asked[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize("usage", [None, {}, "odd", [], {"prompt_tokens": "many"}])
def test_without_a_count_tokens_are_estimated_and_named_so(live: Live, upstream: Upstream, usage: object):
    last = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage}
    upstream.turns(junk([chunk({"content": "x" * 40}), frame(last), DONE]))
    response = ask(live)
    row = row_of(live, response)
    # The answer's 40 bytes at four bytes a token; the prompt as its JSON is estimated.
    assert (row["token_source"], row["completion_tokens"], row["prompt_tokens"]) == ("estimated", 10, CODER_PROMPT)
    assert row["cost"] == CODER_PROMPT * 1_500_000 + 10 * 6_000_000
    assert response.json()["usage"] == {
        "prompt_tokens": CODER_PROMPT,
        "completion_tokens": 10,
        "total_tokens": CODER_PROMPT + 10,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_the_estimate_counts_bytes_so_that_no_script_is_cheap(live: Live, upstream: Upstream):
    upstream.turns(says("漢字漢字", usage=None))
    assert row_of(live, ask(live))["completion_tokens"] == 3


def test_the_estimate_counts_what_the_model_thought_and_called(live: Live, upstream: Upstream):
    tools = [{"type": "function", "function": {"name": "clock"}}]
    upstream.turns(says("x" * 20, reasoning="y" * 20, usage=None), calls("clock", zone="z" * 28).but(usage=None))
    assert row_of(live, ask(live))["completion_tokens"] == 10
    assert row_of(live, ask(live, tools=tools))["completion_tokens"] == 10  # {"zone": "zzz..."}


def test_the_usage_chunk_of_a_stream_agrees_with_the_row(live: Live, upstream: Upstream):
    upstream.turns(says("Hello", usage=None))
    response = ask(live, stream=True, stream_options={"include_usage": True})
    row = row_of(live, response)
    usage = events_of(response)[-1]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (row["prompt_tokens"], row["completion_tokens"])
    assert row["completion_tokens"] == 2


def test_without_a_price_the_cost_is_unknown_while_tokens_count(live: Live, upstream: Upstream):
    upstream.turns(says("Hello", usage=Usage(prompt_tokens=21, completion_tokens=9)))
    row = row_of(live, ask(live, "blind"))
    assert row["cost"] is None
    assert counts(row) == COUNTED
    assert [step["cost"] for step in live.steps(row["id"])] == [None]
