"""A stream that fails after it has begun says so in a frame of its own, and ends as streams end."""

import openai
import pytest

from tests.live import Live
from tests.openai_compat import raw, strict
from tests.openai_compat.examples import HELLO
from tests.openai_compat.rows import row_of
from tests.upstream import Step, Upstream, chunk, cuts, error_frame, junk, stalls

BROKE_OFF = "Scripted broke off in mid-answer."


@pytest.mark.parametrize(
    ("step", "message", "code"),
    [
        pytest.param(cuts(after="One two"), BROKE_OFF, "provider_unavailable", id="cut"),
        pytest.param(cuts(after="One two", reset=True), BROKE_OFF, "provider_unavailable", id="reset"),
        pytest.param(
            junk([chunk({"content": "One two"}), error_frame("Out of memory.")]),
            "The provider broke off: Out of memory.",
            "provider_unavailable",
            id="error frame",
        ),
        pytest.param(
            junk([chunk({"content": "One two"}), b"data: {not json\n\n"]),
            "The provider sent a chunk that is not valid.",
            "bad_model_answer",
            id="junk",
        ),
    ],
)
def test_a_late_failure_is_an_error_frame_and_the_end(
    live: Live, upstream: Upstream, step: Step, message: str, code: str
):
    upstream.turns(step)
    answer = raw.chat(live, stream=True)
    assert answer.status == 200
    *chunks, failure = answer.chunks()
    texts = [strict.chunk(one).choices[0].delta.content or "" for one in chunks]
    assert "".join(texts) == "One two"
    assert all(one["choices"][0]["finish_reason"] is None for one in chunks)
    assert strict.error(failure).to_dict() == {"message": message, "type": "api_error", "param": None, "code": code}
    row = row_of(live, chunks[0]["id"])
    assert (row["status"], row["http_status"], row["error_code"]) == ("failed", 200, code)


def test_the_openai_package_raises_it(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(cuts(after="One two"))
    said = ""
    with (
        client.chat.completions.create(model="openfang:coder", messages=HELLO, stream=True) as stream,
        pytest.raises(openai.APIError, match=BROKE_OFF) as caught,
    ):
        for one in stream:
            said += one.choices[0].delta.content or ""
    assert said == "One two"
    assert caught.value.code == "provider_unavailable"


def test_the_time_limit_ends_a_stream_that_has_begun(live: Live, upstream: Upstream):
    upstream.turns(stalls("One"))
    *chunks, failure = raw.chat(live, model="openfang:hasty", stream=True).chunks()
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
