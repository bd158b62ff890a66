"""Every refusal is an error that OpenAI's clients know, with the status and the class they expect, streamed or not."""

import asyncio
from typing import Any, NamedTuple

import openai
import pytest

from tests.live import Live
from tests.openai_compat import strict
from tests.openai_compat.examples import HELLO, PIXEL
from tests.upstream import Step, Upstream, fails, hangs

ASKED: dict[str, Any] = {"model": "openfang:coder", "messages": HELLO}
NO_RETRY = {"x-should-retry": "false"}


def asked(**fields: Any) -> dict[str, Any]:
    return {**ASKED, **fields}


class Refusal(NamedTuple):
    """A request, what the provider does, the exception it ends with, and what its body says."""

    request: dict[str, Any]
    step: Step | None
    kind: type[openai.APIStatusError]
    status: int
    error: dict[str, Any]


REFUSALS = {
    "a parameter": Refusal(
        asked(n=2),
        None,
        openai.BadRequestError,
        400,
        {"type": "invalid_request_error", "param": "n", "code": "invalid_value"},
    ),
    "a role": Refusal(
        asked(messages=[{"role": "judge", "content": "Hello!"}]),
        None,
        openai.BadRequestError,
        400,
        {"type": "invalid_request_error", "param": "messages[0].role", "code": "invalid_value"},
    ),
    "an image's URL": Refusal(
        asked(messages=[{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://a.b"}}]}]),
        None,
        openai.BadRequestError,
        400,
        {"type": "invalid_request_error", "param": "messages[0].content[0].image_url", "code": "unsupported_image"},
    ),
    "a blind model": Refusal(
        {
            "model": "openfang:blind",
            "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}],
        },
        None,
        openai.BadRequestError,
        400,
        {
            "message": "The model of the agent 'blind' cannot see images.",
            "type": "invalid_request_error",
            "param": "messages[0].content[0].image_url",
            "code": "unsupported_image",
        },
    ),
    "a model": Refusal(
        asked(model="openfang:nobody"),
        None,
        openai.NotFoundError,
        404,
        {
            "message": "No agent found for model 'openfang:nobody'",
            "type": "invalid_request_error",
            "param": None,
            "code": "model_not_found",
        },
    ),
    "a long conversation": Refusal(
        ASKED,
        fails(400, {"error": {"message": "This model's maximum context length is 8192 tokens.", "code": 400}}),
        openai.BadRequestError,
        400,
        {
            "message": "This model's maximum context length is 8192 tokens.",
            "type": "invalid_request_error",
            "param": "messages",
            "code": "context_length_exceeded",
        },
    ),
    "the provider's limit": Refusal(
        ASKED,
        fails(429, headers={"retry-after": "30"}),
        openai.RateLimitError,
        429,
        {"type": "rate_limit_error", "param": None, "code": "provider_rate_limited"},
    ),
    "the provider's key": Refusal(
        ASKED,
        fails(401),
        openai.InternalServerError,
        502,
        {"type": "api_error", "param": None, "code": "provider_refused"},
    ),
    "the provider": Refusal(
        ASKED,
        fails(500, headers=NO_RETRY),
        openai.InternalServerError,
        502,
        {"type": "api_error", "param": None, "code": "provider_unavailable"},
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_a_refusal_keeps_its_status(client: openai.OpenAI, upstream: Upstream, stream: bool, refusal: Refusal):
    upstream.turns(*[refusal.step] if refusal.step else [])
    with pytest.raises(refusal.kind) as caught:
        client.chat.completions.create(**refusal.request, stream=stream)
    error, headers = caught.value, caught.value.response.headers
    assert error.status_code == refusal.status
    assert headers["content-type"] == "application/json"
    said = strict.error(error.response.content).to_dict()
    assert {name: said[name] for name in refusal.error} == refusal.error
    assert (error.code, error.param) == (said["code"], said["param"])
    assert error.request_id == headers["x-request-id"] != ""
    assert headers["openai-processing-ms"].isdecimal()


def test_the_providers_patience_is_passed_on(client: openai.OpenAI, upstream: Upstream):
    upstream.turns(fails(429, headers={"retry-after": "30"}))
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(**ASKED)
    assert caught.value.response.headers["retry-after"] == "30"


def test_a_client_is_told_not_to_ask_again_where_an_administrator_has_to_act(live: Live, upstream: Upstream):
    upstream.turns(fails(401))
    with live.client(max_retries=2) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**ASKED)
    assert len(upstream.requests) == 1


async def test_a_run_that_takes_too_long_is_a_gateway_timeout(async_client: openai.AsyncOpenAI, upstream: Upstream):
    upstream.default = hangs()
    create = async_client.chat.completions.create
    asking: list[Any] = [create(model="openfang:hasty", messages=HELLO, stream=stream) for stream in (False, True)]
    for error in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(error, openai.InternalServerError)
        assert error.status_code == 504
        assert strict.error(error.response.content).to_dict() == {
            "message": "The run reached its time limit.",
            "type": "api_error",
            "param": None,
            "code": "run_timeout",
        }


def test_a_wrong_key_is_an_authentication_error(guarded: Live):
    with guarded.client("of_wrong") as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(**ASKED)
    assert caught.value.status_code == 401
    assert strict.error(caught.value.response.content).to_dict() == {
        "message": "Incorrect API key provided. Ask the administrator of this server for one.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_api_key",
    }


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
def test_a_body_that_is_not_json_is_an_unsupported_media_type(live: Live, content_type: str):
    with (
        live.client(default_headers={"content-type": content_type}) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.chat.completions.create(**ASKED)
    assert caught.value.status_code == 415
    error = strict.error(caught.value.response.content)
    assert (error.type, error.code) == ("invalid_request_error", "unsupported_media_type")
    assert content_type in error.message


def test_a_body_beyond_the_limit_is_too_large(client: openai.OpenAI):
    huge = "x" * (33 * 1024 * 1024)
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="openfang:coder", messages=[{"role": "user", "content": huge}])
    assert caught.value.status_code == 413
    error = strict.error(caught.value.response.content)
    assert error.type == "invalid_request_error"
    assert "33554432" in error.message
