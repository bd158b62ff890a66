"""Silence is not success: an answer that did not end well is an error, in the provider's words."""

from typing import Any

import pytest

from agents.errors import ContextLengthExceeded
from agents.providers.refusals import page_words
from tests.agents.provider_parts import heard
from tests.live import Live
from tests.live.asking import ask, content_of, events_of, row_of, text_of
from tests.upstream import DONE, Step, Upstream, answers, calls, chunk, fails, frame, junk, says


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask again at once."""
    monkeypatch.setattr("agents.providers.attempts.FIRST_PAUSE", 0)


HELLO, STOP = chunk({"content": "Hello"}), chunk({}, "stop")
FIRST, SECOND = "first-model", "second-model"


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("stop_sequence", "stop"),
        ("end_turn", "stop"),
        ("eos_token", "stop"),
        ("COMPLETE", "stop"),
        ("FinishReason.STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("max-tokens", "length"),
        ("model_length", "length"),
        ("model_context_window_exceeded", "length"),
        ("sensitive", "content_filter"),
        ("SAFETY", "content_filter"),
        ("RECITATION", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("BLOCKLIST", "content_filter"),
        ("refusal", "content_filter"),
        ("guardrail_intervened", "content_filter"),
        ("tool_use", "tool_calls"),
        ("function_call", "tool_calls"),
        ("FINISH_REASON_STOP", "stop"),
        ("endTurn", "stop"),
        ("STOP_REASON_MAX_TOKENS", "length"),
        ("maxTokens", "length"),
        ("context_window_exceeded", "length"),
        ("contentFiltered", "content_filter"),
        ("toolUse", "tool_calls"),
    ],
)
async def test_reasons_that_are_known(upstream: Upstream, said: str, meant: str):
    upstream.turns(says("Hello", finish=said))
    found = await heard(upstream)
    assert (found.text, found.finish, found.error) == ("Hello", meant, None)


UNKNOWN = [
    "error",
    "abort",
    "cancelled",
    "insufficient_system_resource",
    "network_error",
    "MALFORMED_FUNCTION_CALL",
    "OTHER",
    "unknown",
    "repetition_truncation",
]


@pytest.mark.parametrize("said", UNKNOWN)
async def test_an_unknown_reason_is_an_error(upstream: Upstream, said: str):
    upstream.turns(says("Hello", finish=said))
    found = await heard(upstream, FIRST, SECOND)
    assert (found.text, found.codes) == ("Hello", ["provider_unavailable"])
    assert str(found.error) == f"Scripted ended its answer with '{said}'."


@pytest.mark.parametrize("said", ["null", "None", "", None, 7, [], "in_progress"])
async def test_a_reason_that_is_none_yet_says_nothing(upstream: Upstream, said: Any):
    running = frame({"choices": [{"delta": {"content": "Hel"}, "finish_reason": said}]})
    upstream.turns(junk([running, chunk({"content": "lo"}, "stop"), DONE]))
    found = await heard(upstream)
    assert (found.text, found.finish, found.error) == ("Hello", "stop", None)


@pytest.mark.parametrize("said", UNKNOWN[:4])
async def test_before_the_first_word_it_is_asked_again(upstream: Upstream, said: str):
    upstream.turns(says("", finish=said), says("Hello"))
    found = await heard(upstream)
    assert (found.text, found.codes) == ("Hello", ["provider_unavailable", ""])


def test_the_client_sees_an_error_and_so_does_the_row(live: Live, upstream: Upstream):
    upstream.turns(*[says("Hello", finish="insufficient_system_resource")] * 2)
    error = {
        "message": "Scripted ended its answer with 'insufficient_system_resource'.",
        "type": "api_error",
        "param": None,
        "code": "provider_unavailable",
    }
    whole, streamed = ask(live), ask(live, stream=True)
    assert (whole.status_code, whole.json()) == (502, {"error": error})
    assert events_of(streamed)[-1] == {"error": error}
    assert text_of(events_of(streamed)) == "Hello"
    for response in (whole, streamed):
        assert row_of(live, response)["status"] == "failed"


# In mid-stream, and what is said of it.
EVENTS: dict[str, tuple[bytes, str]] = {
    "vLLM": (frame({"object": "error", "message": "Oh no", "code": 500}), "Scripted failed (HTTP 500): Oh no"),
    "a detail": (frame({"detail": "Oh no"}), "The provider broke off: Oh no"),
    "FastAPI": (frame({"detail": [{"loc": ["body"], "msg": "Oh no"}]}), "The provider broke off: Oh no"),
    "a named event": (b"event: error\n" + frame({"message": "Oh no"}), "The provider broke off: Oh no"),
    "a named event of words": (b"event: error\ndata: Oh no\n\n", "The provider broke off: Oh no"),
    "Anthropic": (
        frame({"type": "error", "error": {"type": "overloaded_error", "message": "Oh no"}}),
        "Scripted failed (HTTP 503): Oh no",
    ),
    "OpenRouter": (
        frame({"error": {"code": 502, "message": "Oh no"}, "choices": [{"delta": {}, "finish_reason": "error"}]}),
        "Scripted failed (HTTP 502): Oh no",
    ),
    "in a choice": (
        frame({"choices": [{"delta": {"content": ""}, "finish_reason": "error", "error": {"message": "Oh no"}}]}),
        "The provider broke off: Oh no",
    ),
    "a message and a code": (frame({"code": "InternalError", "message": "Oh no"}), "The provider broke off: Oh no"),
    "Baidu": (frame({"error_code": 336100, "error_msg": "Oh no"}), "The provider broke off: Oh no"),
    "MiniMax": (frame({"base_resp": {"status_code": 1000, "status_msg": "Oh no"}}), "The provider broke off: Oh no"),
    "a list of errors": (frame({"errors": [{"message": "Oh no"}]}), "The provider broke off: Oh no"),
    "Gemini's list": (
        b'data: [{"error": {"code": 503, "message": "Oh no", "status": "UNAVAILABLE"}}]\n\n',
        "Scripted failed (HTTP 503): Oh no",
    ),
    "a field that is not known": (frame({"problem": "Oh no"}), "The provider broke off: Oh no"),
    "a named event without a word": (b"event: error\n\n", "The provider broke off: it gave no reason."),
    "a named event with [DONE]": (b"event: error\ndata: [DONE]\n\n", "The provider broke off: [DONE]"),
    "a reason with words beside it": (
        frame({"choices": [{"delta": {}, "finish_reason": "error"}], "message": "Oh no"}),
        "Scripted ended its answer with 'error': Oh no",
    ),
    "words": (b"data: Oh no\n\n", "The provider broke off: Oh no"),
    "JSON that is no event": (b'{"error": {"message": "Oh no"}}\n', "The provider broke off: Oh no"),
    "an error in an error": (frame({"error": {"error": {"message": "Oh no"}}}), "The provider broke off: Oh no"),
    "errors by field": (frame({"errors": {"x": ["Oh no"]}}), "The provider broke off: Oh no"),
    "a message in parts": (frame({"message": {"text": "Oh no"}}), "The provider broke off: Oh no"),
    "in a delta": (frame({"choices": [{"delta": {"error": {"message": "Oh no"}}}]}), "The provider broke off: Oh no"),
    "words that begin like a list": (b"data: [ERROR] Oh no\n\n", "The provider broke off: [ERROR] Oh no"),
    "a text in JSON": (b'data: "Oh no"\n\n', "The provider broke off: Oh no"),
    "an error after the end": (STOP + frame({"error": "Oh no"}), "The provider broke off: Oh no"),
    "the reason first": (chunk({}, "error") + frame({"error": "Oh no"}), "The provider broke off: Oh no"),
}


# Their meaning is unknown: they are errors if the answer then ends without a reason.
UNKNOWN_EVENTS: dict[str, tuple[bytes, str]] = {
    "a code": (frame({"code": 500}), "Scripted failed (HTTP 500)."),
    "a name as a code": (frame({"code": "InternalError"}), "The provider broke off: InternalError"),
    "a word": (frame({"Message": "overloaded"}), 'The provider broke off: {"Message":"overloaded"}'),
    "words without blanks": (frame({"problem": "过载"}), 'The provider broke off: {"problem":"过载"}'),
    "an event of another name": (
        b"event: server_error\n" + frame({"text": "overloaded"}),
        'The provider broke off: {"text":"overloaded"}',
    ),
    "an empty error": (frame({"error": {}}), 'The provider broke off: {"error":{}}'),
    "a field that is not SSE's": (b"error: Oh no\n\n", "The provider broke off: error: Oh no"),
    "a page": (b"<html><title>Bad Gateway</title></html>\n", "The provider broke off: Bad Gateway"),
    "a line of text": (b"Internal Server Error\n", "The provider broke off: Internal Server Error"),
    "JSON in several lines": (b'{\n  "error": {\n "message": "Oh no"}}\n', "The provider broke off: Oh no"),
}


@pytest.mark.parametrize("before", [b"", HELLO])
@pytest.mark.parametrize("name", UNKNOWN_EVENTS)
async def test_what_nobody_knows_is_an_error_if_no_reason_follows(upstream: Upstream, name: str, before: bytes):
    event, words = UNKNOWN_EVENTS[name]
    upstream.turns(*[junk([before, event, DONE])] * 3)
    found = await heard(upstream)
    assert (found.text, str(found.error)) == ("Hello" if before else "", words)


@pytest.mark.parametrize("name", UNKNOWN_EVENTS)
async def test_what_nobody_knows_harms_no_answer_that_ends_well(upstream: Upstream, name: str):
    upstream.turns(junk([HELLO, UNKNOWN_EVENTS[name][0], STOP, DONE]))
    found = await heard(upstream)
    assert (found.text, found.finish, found.error) == ("Hello", "stop", None)


async def test_a_stop_takes_no_failure_back(upstream: Upstream):
    upstream.turns(junk([HELLO, chunk({}, "error"), STOP, DONE]))
    assert str((await heard(upstream)).error) == "Scripted ended its answer with 'error'."


async def test_calls_that_never_came_are_asked_for_again(upstream: Upstream):
    upstream.turns(says("", finish="tool_calls"), says("Hello"))
    assert (await heard(upstream)).text == "Hello"


@pytest.mark.parametrize("piece", [b"<script>", b"<title>", b"<title", b"<", b"<!-- "])
def test_a_page_of_tags_that_never_end_is_read(piece: bytes):
    """Looking for the end of each took 5 to 25 s in which the server did nothing else; now a few hundredths."""
    assert len(page_words(piece * (100_000 // len(piece)))) <= 500


@pytest.mark.parametrize("levels", [200, 470, 900, 990])
async def test_errors_that_are_nested_without_end_are_errors(upstream: Upstream, levels: int):
    said = b'{"error":' + b'{"message":' * levels + b"1" + b"}" * (levels + 1)
    upstream.turns(junk([HELLO, b"data: " + said + b"\n\n"]), fails(400, said.decode()))
    found = await heard(upstream)
    assert found.error is not None
    assert found.error.code in ("provider_unavailable", "bad_model_answer")
    assert (await heard(upstream)).error.code == "provider_refused"  # type: ignore[union-attr]


async def test_words_have_no_control_characters(upstream: Upstream):
    upstream.turns(junk([HELLO, frame({"error": "Oh\x1b[2J\x00 \x9bno"})]))
    assert str((await heard(upstream)).error) == "The provider broke off: Oh [2J no"


@pytest.mark.parametrize("name", EVENTS)
async def test_an_event_that_carries_an_error_is_one(upstream: Upstream, name: str):
    event, words = EVENTS[name]
    upstream.turns(junk([HELLO, event, DONE]))
    found = await heard(upstream, FIRST, SECOND)
    assert (found.text, str(found.error)) == ("Hello", words)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("name", EVENTS)
async def test_before_the_first_word_another_try_answers(upstream: Upstream, name: str):
    upstream.turns(junk([EVENTS[name][0], DONE]), says("Hello"))
    found = await heard(upstream)
    assert (found.text, found.error, len(found.codes)) == ("Hello", None, 2)


HARMLESS = [
    b"event: ping\n" + frame({"type": "ping"}),
    frame({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "provider": "Some One"}),
    frame({"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}),
    frame({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}),
    frame({"base_resp": {"status_code": 0, "status_msg": ""}, "choices": []}),
    frame({"prompt_progress": {"total": 3, "cache": 0, "processed": 1}}),
    frame({"error": None, "choices": [{"delta": {}}]}),
    frame({"warning": "This model will be shut down."}),
    b": OPENROUTER PROCESSING\n\n",
    b"data: null\n\n",
    b"data: [PING]\n\n",
    b"data:\n\n",
]


@pytest.mark.parametrize("event", HARMLESS)
async def test_events_that_say_nothing_are_passed_over(upstream: Upstream, event: bytes):
    upstream.turns(junk([event, HELLO, event, STOP, event, DONE]))
    found = await heard(upstream)
    assert (found.text, found.error) == ("Hello", None)


@pytest.mark.parametrize(
    ("code", "expected"),
    [(429, "provider_rate_limited"), ("rate_limit_exceeded", "provider_rate_limited"), (504, "provider_timeout")],
)
async def test_an_error_in_mid_stream_is_of_its_code(upstream: Upstream, code: Any, expected: str):
    upstream.turns(junk([frame({"error": {"message": "Wait.", "code": code}}), DONE]), says("Hello"))
    assert (await heard(upstream)).codes == [expected, ""]


async def test_too_long_a_conversation_is_known_in_mid_stream_too(upstream: Upstream):
    upstream.turns(junk([frame({"error": {"message": "This model's maximum context length is 8192 tokens."}}), DONE]))
    assert isinstance((await heard(upstream)).error, ContextLengthExceeded)


BODIES: dict[str, tuple[Step, str]] = {
    "an error": (
        answers({"error": {"message": "down for maintenance", "code": 503}}),
        "Scripted failed (HTTP 503): down for maintenance",
    ),
    "an error of words": (answers({"error": "down for maintenance"}), "The provider broke off: down for maintenance"),
    "a message": (answers({"message": "down for maintenance"}), "The provider broke off: down for maintenance"),
    "over several lines": (
        junk([b'{\n  "error": {\n    "message": "down for maintenance"\n  }\n}\n'], content_type="application/json"),
        "The provider broke off: down for maintenance",
    ),
    "said to be a stream": (
        junk([b'{"error": {"message": "down for maintenance"}}']),
        "The provider broke off: down for maintenance",
    ),
    "a page": (
        junk(
            [b"<html><head><title>Down for maintenance</title></head><body>x</body></html>"], content_type="text/html"
        ),
        "Scripted sent no answer but a page: Down for maintenance",
    ),
    "a page without a title": (
        junk([b"<html><style>p {}</style><p>Down for\n<b>maintenance</b></p></html>"], content_type="text/html"),
        "Scripted sent no answer but a page: Down for maintenance",
    ),
    "a text": (
        junk([b"upstream connect error"], content_type="text/plain"),
        "Scripted sent no answer but a page: upstream connect error",
    ),
    "nothing": (junk([b""], content_type="application/json"), "Scripted broke off in mid-answer."),
    "a completion without a choice": (
        answers({"id": "x", "object": "chat.completion", "choices": []}),
        "The provider broke off: it gave no reason.",
    ),
    "only [DONE]": (junk([DONE]), "Scripted sent an answer without a word."),
    "only a role, then [DONE]": (junk([chunk({"role": "assistant"}), DONE]), "Scripted sent an answer without a word."),
    "only usage, then [DONE]": (
        junk([frame({"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 0}}), DONE]),
        "Scripted sent an answer without a word.",
    ),
}


@pytest.mark.parametrize("name", BODIES)
async def test_a_body_that_is_no_answer_says_why(upstream: Upstream, name: str):
    step, words = BODIES[name]
    no_retry = step.but(headers={"x-should-retry": "false", "retry-after": "60"})
    upstream.turns(*[no_retry] * 3)
    found = await heard(upstream)
    assert str(found.error) == words
    assert found.text == ""


@pytest.mark.parametrize("name", BODIES)
async def test_then_a_fallback_answers(upstream: Upstream, name: str):
    upstream.model(FIRST).turns(*[BODIES[name][0]] * 3)
    upstream.model(SECOND).says("Hello")
    found = await heard(upstream, FIRST, SECOND)
    assert (found.text, found.error) == ("Hello", None)


async def test_words_are_bounded_and_have_no_key_in_them(upstream: Upstream):
    words = "The key provider-secret and sk-proj-abcdefghijklmnop " + "x" * 5000
    upstream.turns(*[junk([frame({"error": {"message": words, "code": 401}})])] * 1)
    assert "provider-secret" not in str((await heard(upstream, api_key="provider-secret")).error)
    upstream.turns(junk([HELLO, frame({"error": words})]), junk([HELLO, b"data: " + words.encode() + b"\n\n"]))
    for _ in range(2):
        found = await heard(upstream, api_key="provider-secret")
        assert "The key *** and [redacted] xxx" in str(found.error)
        assert len(str(found.error)) < 600


def test_an_empty_first_answer_is_asked_for_once_more(live: Live, upstream: Upstream):
    upstream.turns(says(""), says("Hello"))
    response = ask(live)
    assert content_of(response) == "Hello"
    assert row_of(live, response)["llm_calls"] == 2


def test_a_model_that_stays_silent_has_answered(live: Live, upstream: Upstream):
    upstream.turns(says(""), says(""))
    response = ask(live)
    assert content_of(response) == ""
    assert row_of(live, response)["finish_reason"] == "stop"


def test_silence_after_a_tools_result_is_the_end(live: Live, upstream: Upstream):
    upstream.turns(calls("calculator", expression="1+1"), says(""))
    assert ask(live, "handy").json()["choices"][0]["finish_reason"] == "stop"
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("finish", ["length", "content_filter"])
def test_an_answer_that_was_cut_before_its_first_word_is_not_asked_for_again(
    live: Live, upstream: Upstream, finish: str
):
    upstream.turns(says("", finish=finish))
    assert ask(live).json()["choices"][0]["finish_reason"] == finish


async def test_an_http_error_keeps_its_words(upstream: Upstream):
    upstream.turns(fails(400, {"base_resp": {"status_code": 2013, "status_msg": "invalid params"}}))
    assert str((await heard(upstream)).error) == "Scripted refused the request: invalid params"
