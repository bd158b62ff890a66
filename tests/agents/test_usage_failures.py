"""The usage row of a request that failed: how, at which try, what was used until then, and what the client saw."""

from typing import Any

import pytest

from tests.estimated import CODER_PROMPT
from tests.live import Live
from tests.live.asking import ask, events_of, row_of, somebody, text_of
from tests.upstream import Step, Upstream, answers, chunk, cuts, error_frame, fails, junk, says

NOTHING_USED = {
    "prompt_tokens": 0,
    "completion_tokens": 0,
    "cost": 0,
    "token_source": "none",
    "first_token_ms": None,
    "finish_reason": "",
}
NOW = {"retry-after": "0"}


def part(row: dict[str, Any], names: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in names}


def codes(live: Live, row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["name"], step["error_code"]) for step in live.steps(row["id"])]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("step", "status", "code"),
    [
        (fails(400), 400, "provider_refused"),
        (fails(400, {"error": {"message": "x", "code": "context_length_exceeded"}}), 400, "context_length_exceeded"),
        (fails(413), 400, "request_too_large"),
        (fails(401), 502, "provider_refused"),
        (fails(402), 502, "provider_refused"),
        (fails(403), 502, "provider_refused"),
        (fails(404), 502, "provider_refused"),
        (fails(429, headers={"retry-after": "999"}), 429, "provider_rate_limited"),
        (fails(500, headers={"x-should-retry": "false"}), 502, "provider_unavailable"),
    ],
)
def test_a_refusal_of_the_provider_leaves_a_row(
    live: Live, upstream: Upstream, *, step: Step, status: int, code: str, streamed: bool
):
    upstream.turns(step)
    response = ask(live, stream=streamed)
    assert response.status_code == status
    assert response.json()["error"]["code"] == code
    row = row_of(live, response)
    assert part(row, NOTHING_USED) == NOTHING_USED
    assert (row["status"], row["http_status"], row["error_code"]) == ("failed", status, code)
    assert (row["provider"], row["model"], row["llm_calls"]) == ("scripted", "scripted-model", 1)
    assert row["duration_ms"] >= 0
    assert codes(live, row) == [("scripted-model", code)]
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    ("step", "code"),
    [
        (cuts("One two three"), "provider_unavailable"),
        (cuts("One two three", reset=True), "provider_unavailable"),
        (junk([chunk({"content": "One two three"}), error_frame("Overloaded.")], interval=0.1), "provider_unavailable"),
        (junk([chunk({"content": "One two three"}), b"data: {junk\n\n"], interval=0.1), "bad_model_answer"),
    ],
)
@pytest.mark.parametrize("streamed", [False, True])
def test_what_was_answered_before_a_failure_is_counted(
    live: Live, upstream: Upstream, step: Step, code: str, streamed: bool
):
    upstream.turns(step)
    response = ask(live, stream=streamed)
    if streamed:
        events = events_of(response)
        assert text_of(events) == "One two three"
        error = events[-1]["error"]
    else:
        error = response.json()["error"]
    assert error["code"] == code
    row = row_of(live, response)
    assert (row["status"], row["error_code"]) == ("failed", code)
    assert row["http_status"] == response.status_code == (200 if streamed else 502)
    assert (row["token_source"], row["completion_tokens"], row["prompt_tokens"]) == ("estimated", 4, CODER_PROMPT)
    assert row["cost"] == CODER_PROMPT * 1_500_000 + 4 * 6_000_000
    assert 0 <= row["first_token_ms"] <= row["duration_ms"]
    assert codes(live, row) == [("scripted-model", code)]


def test_a_provider_that_cannot_be_reached_is_tried_three_times(live: Live):
    response = ask(live, "orphan")
    assert response.status_code == 502
    error = response.json()["error"]
    assert error["message"].startswith("Nowhere cannot be reached")
    row = row_of(live, response)
    assert (row["status"], row["error_code"], row["http_status"]) == ("failed", "provider_unavailable", 502)
    assert (row["provider"], row["model"], row["llm_calls"]) == ("nowhere", "unreachable-model", 3)
    assert codes(live, row) == [("unreachable-model", "provider_unavailable")] * 3
    assert part(row, NOTHING_USED) == NOTHING_USED


def test_each_failed_try_is_a_step_before_the_one_that_answered(live: Live, upstream: Upstream):
    upstream.turns(fails(429, headers=NOW), cuts(), says("Hello"))
    row = row_of(live, ask(live))
    assert (row["status"], row["error_code"], row["http_status"], row["llm_calls"]) == ("ok", "", 200, 3)
    assert codes(live, row) == [
        ("scripted-model", "provider_rate_limited"),
        ("scripted-model", "provider_unavailable"),
        ("scripted-model", ""),
    ]
    steps = live.steps(row["id"])
    assert [step["position"] for step in steps] == [1, 2, 3]
    # What refuses a request has not worked on it; what breaks off after it was sent may have.
    assert [step["token_source"] for step in steps] == ["none", "estimated", "provider"]
    assert [step["prompt_tokens"] for step in steps] == [0, CODER_PROMPT, 10]
    assert (row["prompt_tokens"], row["token_source"]) == (CODER_PROMPT + 10, "estimated")


def test_the_row_names_the_fallback_that_answered(live: Live, upstream: Upstream):
    upstream.model("scripted-model").turns(fails(401))
    upstream.model("second-model").says("Hello")
    row = row_of(live, ask(live, "understudy"))
    assert (row["status"], row["model"], row["llm_calls"]) == ("ok", "second-model", 2)
    assert codes(live, row) == [("scripted-model", "provider_refused"), ("second-model", "")]
    # The fallback has no price, so what the answer cost is unknown; what the refusal cost is known.
    assert row["cost"] is None
    assert [step["cost"] for step in live.steps(row["id"])] == [0, None]


def test_when_all_models_fail_the_row_has_the_error_that_the_client_got(live: Live, upstream: Upstream):
    upstream.model("scripted-model").turns(fails(401))
    upstream.model("second-model").turns(fails(500, headers={"x-should-retry": "false"}))
    response = ask(live, "understudy")
    row = row_of(live, response)
    assert response.json()["error"]["code"] == row["error_code"] == "provider_refused"
    assert response.status_code == row["http_status"] == 502
    assert codes(live, row) == [("scripted-model", "provider_refused"), ("second-model", "provider_unavailable")]
    assert row["cost"] == 0


def test_an_image_for_a_model_that_cannot_see_is_refused_before_the_run_and_leaves_no_row(
    live: Live, upstream: Upstream
):
    name = somebody()
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    response = ask(live, "blind", messages=[{"role": "user", "content": [image]}], user=name)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "messages[0].content[0].image_url"
    assert live.usage(f"end_user = '{name}'") == []
    assert upstream.requests == []


@pytest.mark.parametrize(
    "error",
    [
        {"message": "This model's maximum context length is 8 tokens.", "code": "context_length_exceeded"},
        {"message": "Invalid API key.", "code": 401},
    ],
)
def test_a_refusal_sent_as_200_costs_nothing(live: Live, upstream: Upstream, error: dict[str, Any]):
    upstream.default = answers({"error": error})
    row = row_of(live, ask(live))
    assert row["status"] == "failed"
    assert part(row, NOTHING_USED) == NOTHING_USED


def test_a_gateway_that_gave_up_on_a_working_model_costs_the_prompt(live: Live, upstream: Upstream):
    upstream.turns(fails(504, headers={"x-should-retry": "false"}))
    row = row_of(live, ask(live))
    assert (row["status"], row["token_source"], row["prompt_tokens"]) == ("failed", "estimated", CODER_PROMPT)
