"""A stream that fails after it has begun says so in a frame of its own, and ends as streams end."""

import json
from typing import NamedTuple

import openai
import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.examples import HELLO
from tests.openai_compat.rows import row_of
from tests.upstream import Mark, Step, Upstream, chunk, cuts, error_frame, junk, says, stalls

BROKE_OFF = "Scripted broke off in mid-answer."


class Failure(NamedTuple):
    """What the provider does, and what the client is told."""

    step: Step
    message: str
    code: str


# Each holds until its first chunk has come through to the client.
FAILURES = {
    "cut": Failure(says(["One two", Mark.HOLD, Mark.CUT]), BROKE_OFF, "provider_unavailable"),
    "reset": Failure(says(["One two", Mark.HOLD, Mark.RESET]), BROKE_OFF, "provider_unavailable"),
    "error frame": Failure(
        junk([chunk({"content": "One two"}), Mark.HOLD, error_frame("Out of memory.")]),
        "The provider broke off: Out of memory.",
        "provider_unavailable",
    ),
    "junk": Failure(
        junk([chunk({"content": "One two"}), Mark.HOLD, b"data: {not json\n\n"]),
        "The provider sent a chunk that is not valid.",
        "bad_model_answer",
    ),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_late_failure_is_an_error_frame_and_the_end(
    live: Live, client: openai.OpenAI, upstream: Upstream, failure: Failure
):
    upstream.turns(failure.step)
    create = client.chat.completions.with_streaming_response.create
    events = []
    with create(model="openfang:coder", messages=HELLO, stream=True) as response:
        assert response.status_code == 200
        for line in filter(None, response.iter_lines()):
            events.append(line.removeprefix("data: "))
            if "One two" in line:
                upstream.release()
    role, text, error = map(json.loads, events[:-1])
    assert strict.chunk(role).choices[0].delta.role == "assistant"
    assert strict.chunk(text).choices[0].delta.content == "One two"
    assert strict.error(error).to_dict() == {
        "message": failure.message,
        "type": "api_error",
        "param": None,
        "code": failure.code,
    }
    assert events[-1] == "[DONE]"
    row = row_of(live, text["id"])
    assert (row["status"], row["http_status"], row["error_code"]) == ("failed", 200, failure.code)


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_the_openai_package_raises_it(client: openai.OpenAI, upstream: Upstream, failure: Failure):
    upstream.turns(failure.step)
    said = ""
    with (
        client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True) as stream,
        pytest.raises(openai.APIError) as caught,
    ):
        for one in stream:
            said += one.choices[0].delta.content or ""
            if said:
                upstream.release()
    assert said == "One two"
    assert (caught.value.message, caught.value.code) == (failure.message, failure.code)


def test_the_time_limit_ends_a_stream_that_has_begun(live: Live, upstream: Upstream):
    upstream.turns(stalls("One"))
    *chunks, failure = raw.chat(live, model="openfang:hurried", stream=True).chunks()
    assert [one["choices"][0]["delta"].get("content") for one in chunks] == [None, "One"]
    assert strict.error(failure).code == "run_timeout"


def test_a_whole_answer_that_breaks_off_is_an_error_with_its_status(live: Live, upstream: Upstream):
    upstream.turns(cuts(after="One two"))
    answer = raw.chat(live)
    assert answer.status == 502
    assert strict.error(answer.json()).to_dict() == {
        "message": BROKE_OFF,
        "type": "api_error",
        "param": None,
        "code": "provider_unavailable",
    }
