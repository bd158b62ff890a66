"""Token counts in every form that providers send them: zero is a count, null is unknown."""

import math
from typing import Any

import pytest

from agents.providers.counts import later, usage_in, usage_of
from agents.types import ReportedUsage, Usage
from tests.agents.provider_parts import heard
from tests.live import Live
from tests.live.asking import ask, events_of, row_of
from tests.upstream import DONE, Upstream, chunk, frame, junk

XAI = {
    "prompt_tokens": 1000,
    "completion_tokens": 50,
    "total_tokens": 3050,
    "completion_tokens_details": {"reasoning_tokens": 2000},
}
FORMS: dict[str, tuple[Any, tuple[int | None, int | None, int, int] | None]] = {
    "OpenAI": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
        (10, 5, 4, 3),
    ),
    "reasoning only in the total (xAI, Gemini)": (XAI, (1000, 2050, 0, 2000)),
    "reasoning beside the completion, no total": ({k: v for k, v in XAI.items() if k[0] != "t"}, (1000, 2050, 0, 2000)),
    "reasoning within the completion, no total": (
        {"prompt_tokens": 9, "completion_tokens": 50, "completion_tokens_details": {"reasoning_tokens": 20}},
        (9, 50, 0, 20),
    ),
    "DeepSeek": ({"prompt_tokens": 10, "completion_tokens": 5, "prompt_cache_hit_tokens": 4}, (10, 5, 4, 0)),
    "Moonshot": ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 4}, (10, 5, 4, 0)),
    "responses": (
        {"input_tokens": 10, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 4}},
        (10, 5, 4, 0),
    ),
    "Anthropic": (
        {"input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20},
        (130, 5, 100, 0),
    ),
    "Gemini's own": (
        {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 20, "totalTokenCount": 35},
        (10, 25, 0, 20),
    ),
    "Ollama's own": ({"prompt_eval_count": 10, "eval_count": 5}, (10, 5, 0, 0)),
    "both names, one of them zero": (
        {"prompt_tokens": 10, "completion_tokens": 5, "input_tokens": 0, "output_tokens": 0},
        (10, 5, 0, 0),
    ),
    "the later name has the count": ({"prompt_tokens": 0, "input_tokens": 10, "completion_tokens": 5}, (10, 5, 0, 0)),
    "Bedrock's own": ({"inputTokens": 10, "outputTokens": 5, "totalTokens": 15}, (10, 5, 0, 0)),
    "the AI SDK's": ({"promptTokens": 10, "completionTokens": 5}, (10, 5, 0, 0)),
    "floats": ({"prompt_tokens": 10.0, "completion_tokens": 5.0}, (10, 5, 0, 0)),
    "texts": ({"prompt_tokens": "10", "completion_tokens": "5.0", "total_tokens": "15"}, (10, 5, 0, 0)),
    "texts with a thousands separator": ({"prompt_tokens": "1,000", "completion_tokens": "5"}, (1000, 5, 0, 0)),
    "null, and a total": ({"prompt_tokens": 10, "completion_tokens": None, "total_tokens": 15}, (10, 5, 0, 0)),
    "the other null, and a total": ({"prompt_tokens": None, "completion_tokens": 5, "total_tokens": 15}, (10, 5, 0, 0)),
    "null": ({"prompt_tokens": 10, "completion_tokens": None}, (10, None, 0, 0)),
    "negative": ({"prompt_tokens": -1, "completion_tokens": 5}, (None, 5, 0, 0)),
    "NaN": ({"prompt_tokens": math.nan, "completion_tokens": 5}, (None, 5, 0, 0)),
    "infinite": ({"prompt_tokens": 10, "completion_tokens": math.inf}, (10, None, 0, 0)),
    "beyond all sense": ({"prompt_tokens": 10, "completion_tokens": 10**30}, (10, None, 0, 0)),
    "true": ({"prompt_tokens": True, "completion_tokens": 5}, (None, 5, 0, 0)),
    "only a total": ({"total_tokens": 15}, (None, None, 0, 0)),
    "a total that is too small": ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 1}, (10, 5, 0, 0)),
    "more cached than asked": ({"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 40}, (10, 5, 10, 0)),
    "zeros": ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, (0, 0, 0, 0)),
    "nothing": ({}, None),
    "words": ({"prompt_tokens": "many"}, None),
    "no object": ([10, 5], None),
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_read(name: str):
    wire, expected = FORMS[name]
    usage = usage_of(wire)
    found = usage and (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.reasoning_tokens)
    assert found == expected


COUNTED = {"prompt_tokens": 10, "completion_tokens": 5}


@pytest.mark.parametrize(
    "data",
    [
        {"usage": COUNTED},
        {"choices": [{"usage": COUNTED}]},
        {"choices": [{"delta": {"usage": COUNTED}}]},
        {"usage": None, "x_groq": {"id": "x", "usage": COUNTED}},
        {"choices": [{"message": {"usage": COUNTED}}]},
        {"usage": {"prompt_tokens": 0, "completion_tokens": 0}, "x_groq": {"usage": COUNTED}},
        {"metadata": {"usage": COUNTED}},
        COUNTED,
        {"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5}},
    ],
)
async def test_every_place_is_looked_at(upstream: Upstream, data: dict[str, Any]):
    usage = usage_in(data)
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 5)
    ending = {"delta": {}, "finish_reason": "stop"}
    choice = {**ending, **(data.get("choices") or [{}])[0]}
    upstream.turns(junk([chunk({"content": "Hello"}), frame({**data, "choices": [choice]}), DONE]))
    assert (await heard(upstream)).usage == usage


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([COUNTED, {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}], (10, 5)),
        ([{"prompt_tokens": 10, "completion_tokens": 0}, COUNTED], (10, 5)),
        ([COUNTED, {"prompt_tokens": None, "completion_tokens": 9}], (10, 9)),
        ([{"input_tokens": 10, "output_tokens": 1}, {"output_tokens": 5}], (10, 5)),
        ([COUNTED, {}], (10, 5)),
        ([COUNTED, XAI], (1000, 2050)),
        ([{"prompt_tokens": 10, "completion_tokens": None}, {"total_tokens": 15}], (10, 5)),
    ],
)
async def test_the_larger_of_several_counts_holds(
    upstream: Upstream, counts: list[dict[str, Any]], expected: tuple[int, int]
):
    chunks = [frame({"choices": [], "usage": usage}) for usage in counts]
    upstream.turns(junk([chunk({"content": "Hello"}), chunks[0], chunk({}, "stop"), *chunks[1:], DONE]))
    usage = (await heard(upstream)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == expected


@pytest.mark.parametrize("place", ["before", "behind"])
async def test_a_choice_counts_beside_the_end_too(upstream: Upstream, place: str):
    counted = frame({"choices": [{"index": 0, "delta": {}, "finish_reason": None, "usage": COUNTED}]})
    end = chunk({}, "stop")
    upstream.turns(
        junk([chunk({"content": "Hello"}), *([counted, end] if place == "before" else [end, counted]), DONE])
    )
    usage = (await heard(upstream)).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (10, 5)


def test_nothing_takes_a_count_away():
    assert later(ReportedUsage(10, 5, 15), None) == ReportedUsage(10, 5, 15)
    assert later(None, ReportedUsage(10, None)) == ReportedUsage(10, None)


def test_what_is_unknown_is_estimated_within_the_total():
    estimated = Usage(100, 20)
    assert ReportedUsage(10, None).filled(estimated) == Usage(10, 20)
    assert ReportedUsage(None, 5).filled(estimated) == Usage(100, 5)
    assert ReportedUsage(None, None, 50).filled(estimated) == Usage(30, 20)
    assert ReportedUsage(None, None, 15).filled(estimated) == Usage(0, 15)
    assert ReportedUsage(None, 5, cached_tokens=400).filled(estimated) == Usage(100, 5, 100)


def test_reasoning_is_paid_for_and_the_client_sees_the_same(live: Live, upstream: Upstream):
    step = junk([chunk({"content": "Hello"}), chunk({}, "stop"), frame({"choices": [], "usage": XAI}), DONE])
    upstream.turns(step, step)
    whole = ask(live)
    streamed = ask(live, stream=True, stream_options={"include_usage": True})
    for usage in (whole.json()["usage"], events_of(streamed)[-1]["usage"]):
        assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (1000, 2050, 3050)
        assert usage["completion_tokens_details"] == {"reasoning_tokens": 2000}
    row = row_of(live, whole)
    assert (row["prompt_tokens"], row["completion_tokens"], row["reasoning_tokens"]) == (1000, 2050, 2000)
    assert row["cost"] == 13_800_000_000  # picodollars, at 1.5 and 6 dollars a million
    assert row["token_source"] == "provider"


def test_an_unknown_half_is_estimated_and_the_row_says_so(live: Live, upstream: Upstream):
    usage = {"prompt_tokens": 1000, "completion_tokens": None}
    upstream.turns(
        junk([chunk({"content": "x" * 40}), chunk({}, "stop"), frame({"choices": [], "usage": usage}), DONE])
    )
    row = row_of(live, ask(live))
    assert (row["prompt_tokens"], row["completion_tokens"], row["token_source"]) == (1000, 10, "estimated")
