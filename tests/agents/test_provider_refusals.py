"""What a provider says when it refuses, and what of it the client gets to read."""

import pytest

from agents.errors import ContextLengthExceeded
from agents.providers.refusals import refusal
from agents.types import ModelSpec, ProviderSpec
from tests.live import Live
from tests.live.asking import ask, content_of
from tests.upstream import Step, Upstream, fails, says

NO_RETRY = {"x-should-retry": "false"}
REFUSED = "Scripted refused the request: "


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fails(400, {"error": {"message": "Bad tool."}}), REFUSED + "Bad tool."),
        (fails(400, {"error": "Bad tool."}), REFUSED + "Bad tool."),
        (fails(400, {"message": "Bad tool.", "code": 400}), REFUSED + "Bad tool."),
        (fails(400, {"object": "error", "message": "Bad tool.", "type": "BadRequestError"}), REFUSED + "Bad tool."),
        (fails(422, {"detail": "Bad tool."}), REFUSED + "Bad tool."),
        (fails(422, {"detail": [{"loc": ["body", "n"], "msg": "Bad tool."}]}), REFUSED + "Bad tool."),
        (fails(400, {"error": {"code": 400, "message": None}}), REFUSED + "it gave no reason."),
        (fails(400, {}), REFUSED + "it gave no reason."),
        (fails(400, "<html><h1>Bad request</h1></html>"), REFUSED + "it gave no reason."),
        (fails(400, {"error": {"message": "x" * 5000}}), REFUSED + "x" * 500),
        (fails(413), "Scripted refused the request as too large."),
    ],
)
def test_a_refused_request_says_why(live: Live, upstream: Upstream, step: Step, message: str):
    upstream.turns(step)
    response = ask(live)
    assert response.status_code == 400
    assert response.json()["error"]["message"] == message
    assert response.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fails(401), "Scripted refused this server's API key (HTTP 401)."),
        (fails(402), "Scripted wants this server's account to be paid (HTTP 402)."),
        (fails(403), "Scripted does not let this server's API key use 'scripted-model' (HTTP 403)."),
        (fails(404), "Scripted has no model 'scripted-model' at {base_url} (HTTP 404)."),
        (
            fails(429, {"error": {"message": "Pay.", "code": "insufficient_quota"}}),
            "Scripted says that this server's quota is spent (HTTP 429).",
        ),
        (fails(418, {"error": "A teapot."}), "Scripted refused the request (HTTP 418): A teapot."),
    ],
)
def test_what_only_an_administrator_can_mend_says_so(live: Live, upstream: Upstream, step: Step, message: str):
    upstream.turns(step)
    response = ask(live, stream=True)
    assert response.status_code == 502
    assert response.headers["x-should-retry"] == "false"
    error = response.json()["error"]
    assert error["message"] == message.format(base_url=upstream.base_url)
    assert error["code"] == "provider_refused"


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (fails(500, {"error": {"message": "Oh."}}, NO_RETRY), "Scripted failed (HTTP 500): Oh."),
        (fails(502, "<html>Bad gateway</html>", NO_RETRY), "Scripted failed (HTTP 502)."),
    ],
)
def test_a_failure_is_no_web_page(live: Live, upstream: Upstream, step: Step, message: str):
    upstream.turns(step)
    response = ask(live)
    assert response.status_code == 502
    assert response.json()["error"]["message"] == message


def test_a_json_error_may_be_a_list(live: Live, upstream: Upstream):
    """As Gemini sends it."""
    step = fails(400, {})
    upstream.turns(
        step.but(pieces=(b'[{"error": {"code": 400, "message": "Bad tool.", "status": "X"}}]',), length=None)
    )
    assert ask(live).json()["error"]["message"] == REFUSED + "Bad tool."


def test_a_rate_limit_is_passed_on_with_its_patience(live: Live, upstream: Upstream):
    upstream.turns(fails(429, headers={"retry-after": "41.5"}))
    response = ask(live)
    assert response.status_code == 429
    assert response.headers["retry-after"] == "42"
    assert response.json() == {
        "error": {
            "message": "Scripted is limiting this server's requests.",
            "type": "rate_limit_error",
            "param": None,
            "code": "provider_rate_limited",
        }
    }


@pytest.mark.parametrize(
    "error",
    [
        {"message": "This model's maximum context length is 8192 tokens.", "code": "context_length_exceeded"},
        {"message": "the request exceeds the available context size", "code": 400, "n_ctx": 8192},
        {"message": "prompt is too long: 9000 tokens > 8192 maximum"},
        {"message": "The input is too long: 8192 is the limit"},
        {"message": "Requested 9000 tokens, the context window is 8192"},
    ],
)
def test_too_long_a_conversation_is_told_in_the_words_that_clients_look_for(error: dict[str, object]):
    import msgspec

    model = ModelSpec("m", ProviderSpec("scripted", "Scripted", "openai", "http://localhost"))
    found = refusal(model, 400, msgspec.json.encode({"error": error}), {})
    assert isinstance(found, ContextLengthExceeded)
    assert (found.code, found.param) == ("context_length_exceeded", "messages")
    assert str(found).startswith("This model's maximum context length is 8192 tokens.")


def test_a_parameter_that_a_model_does_not_take_is_left_out_and_not_sent_again(server: Live, upstream: Upstream):
    refused = {"message": "Unsupported value", "param": "temperature", "code": "unsupported_value"}
    upstream.turns(fails(400, {"error": refused}), says("Hello"), says("Hello"))
    assert content_of(ask(server, "listener")) == "Hello"
    assert content_of(ask(server, "listener")) == "Hello"
    assert ["temperature" in request for request in upstream.asked] == [True, False, False]
    assert [request["top_p"] for request in upstream.asked] == [0.9] * 3


def test_stream_options_are_left_out_where_they_are_refused(server: Live, upstream: Upstream):
    refused = {"detail": "Extra inputs are not permitted: stream_options"}
    upstream.turns(fails(422, refused), says("Hello"), says("Hello"))
    assert content_of(ask(server, "blind")) == "Hello"
    assert content_of(ask(server, "blind")) == "Hello"
    assert ["stream_options" in request for request in upstream.asked] == [True, False, False]


def test_a_parameter_that_matters_is_not_left_out(live: Live, upstream: Upstream):
    refused = {"message": "tools is not supported", "param": "tools", "code": "unsupported_parameter"}
    upstream.turns(fails(400, {"error": refused}))
    tools = [{"type": "function", "function": {"name": "clock"}}]
    assert ask(live, tools=tools).json()["error"]["message"] == REFUSED + "tools is not supported"
