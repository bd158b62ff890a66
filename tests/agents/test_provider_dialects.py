"""What a model refuses to take is asked for in another way, and the next requests ask so at once."""

from typing import Any

import msgspec
import pytest

from agents.providers import Providers
from agents.providers.dialects import dialect_of
from agents.types import ImagePart, ImageURL, Message, Parameters, ProviderSpec, TextPart
from tests.agents.provider_parts import heard
from tests.live import Live
from tests.live.asking import ask, content_of
from tests.upstream import Upstream, fails, says

ALL = Parameters(
    temperature=0.1,
    top_p=0.9,
    max_tokens=500,
    stop=["END"],
    parallel_tool_calls=False,
    reasoning_effort="low",
)
SENT = {"temperature", "top_p", "max_tokens", "stop", "parallel_tool_calls", "reasoning_effort", "stream_options"}


def openai_error(message: str, param: str | None = None, code: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": code}}


def fastapi(name: str) -> dict[str, Any]:
    return {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]}


REFUSALS: list[tuple[str, dict[str, Any]]] = [
    ("temperature", openai_error("Unsupported value: 'temperature' does not support 0.1.", "temperature")),
    ("temperature", openai_error("invalid temperature: only 1 is allowed for this model")),
    ("temperature", openai_error("Unsupported parameter", "temperature", "unsupported_parameter")),
    ("temperature", {"message": "`temperature` is deprecated for this model."}),
    ("top_p", openai_error("`temperature` and `top_p` cannot both be specified for this model.")),
    ("top_p", {"detail": "Unknown field: top_p"}),
    ("stop", openai_error("Argument not supported on this model: stop")),
    ("stop", openai_error("Unsupported parameter: 'stop' is not supported with this model.", "stop")),
    ("stop", fastapi("stop")),
    ("parallel_tool_calls", fastapi("parallel_tool_calls")),
    ("parallel_tool_calls", {"object": "error", "message": fastapi("parallel_tool_calls"), "type": "invalid"}),
    (
        "parallel_tool_calls",
        {"error": {"code": 400, "message": 'Unknown name "parallel_tool_calls": Cannot find field.', "status": "X"}},
    ),
    ("parallel_tool_calls", openai_error("property 'body.parallelToolCalls' is unsupported")),
    ("stream_options", {"detail": "Extra inputs are not permitted: stream_options"}),
    ("stream_options", fastapi("stream_options")),
    ("reasoning_effort", openai_error("`reasoning_effort` is not supported with this model")),
    ("reasoning_effort", openai_error("Model m does not support parameter reasoningEffort.")),
    ("reasoning_effort", openai_error("Unrecognized request argument supplied: reasoning_effort")),
    ("top_p", openai_error("Only one of temperature and top_p may be specified")),
    ("top_p", {"error": {"field": "top_p", "message": "unknown field"}}),
    ("top_p", {"detail": [{"type": "extra_forbidden", "loc": ["body", "top_p"], "msg": "no"}]}),
    ("top_p", {"errors": [{"param": "top_p", "message": "unsupported"}]}),
    ("temperature", openai_error("This model does not accept temperature.")),
    ("temperature", openai_error("temperature cannot be used with reasoning models")),
    ("temperature", openai_error("temperature may only be set to 1 when thinking is enabled")),
    ("temperature", openai_error("temperature must be 1 for this model")),
    ("stop", openai_error("stop is not compatible with this model", "stop")),
]


@pytest.mark.parametrize(("name", "body"), REFUSALS)
@pytest.mark.parametrize("status", [400, 422])
async def test_a_parameter_that_a_model_can_do_without_is_left_out(
    upstream: Upstream, name: str, body: dict[str, Any], status: int
):
    upstream.turns(fails(status, body), says("Hello"), says("Hello"))
    providers = Providers(idle_seconds=30)
    for _ in range(2):
        assert (await heard(upstream, parameters=ALL, providers=providers)).text == "Hello"
    await providers.aclose()
    first, *later = upstream.asked
    assert first.keys() >= SENT
    assert [SENT - request.keys() for request in later] == [{name}] * 2


RENAMES = [
    openai_error(
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "unsupported_parameter",
    ),
    openai_error("Unsupported parameter: 'max_tokens' is not supported with this model."),
    {"message": "max_tokens is deprecated, please use max_completion_tokens"},
    fastapi("max_tokens"),
    openai_error("`max_completion_tokens` should be given instead of `max_tokens`."),
    openai_error("Invalid parameter max_tokens; did you mean 'max_completion_tokens'?"),
    openai_error("max_tokens is not a valid parameter for this model", "max_tokens"),
]


@pytest.mark.parametrize("body", RENAMES)
async def test_a_limit_takes_the_name_that_a_host_asks_for(upstream: Upstream, body: dict[str, Any]):
    upstream.turns(fails(400, body), says("Hello"), says("Hello"), says("Hello"))
    providers = Providers(idle_seconds=30)
    for name in ("new-model", "new-model", "old-model"):
        assert (await heard(upstream, name, parameters=Parameters(max_tokens=500), providers=providers)).text == "Hello"
    await providers.aclose()
    limits = [{key: value for key, value in body.items() if "tokens" in key} for body in upstream.asked]
    renamed = {"max_completion_tokens": 500}
    assert limits == [{"max_tokens": 500}, renamed, renamed, {"max_tokens": 500}]


def test_a_client_never_hears_of_it(server: Live, upstream: Upstream):
    upstream.turns(fails(400, RENAMES[0]), says("Hello"), says("Hello"))
    assert content_of(ask(server, "listener")) == "Hello"
    assert content_of(ask(server, "listener")) == "Hello"
    assert ["max_tokens" in body for body in upstream.asked] == [True, False, False]


@pytest.mark.parametrize(
    "message",
    [
        "max_tokens is too large: 500. This model supports at most 400 completion tokens.",
        "temperature must be between 0 and 0.05",
        "temperature must be 1.5 or less",
        "Please stop sending so many messages.",
        "Invalid schema for response_format 'x': 'oneOf' is not permitted.",
        "tools is not supported",
    ],
)
async def test_a_value_that_is_wrong_is_the_callers_to_mend(upstream: Upstream, message: str):
    asked = replace_format(ALL, {"type": "json_schema", "json_schema": {"name": "x", "schema": {}}})
    upstream.turns(fails(400, openai_error(message)))
    assert str((await heard(upstream, parameters=asked)).error) == f"Scripted refused the request: {message}"


async def test_a_limit_that_is_too_large_keeps_its_name(upstream: Upstream):
    too_large = "max_completion_tokens is too large: 500. This model supports at most 400."
    upstream.turns(fails(400, RENAMES[0]), fails(400, openai_error(too_large)), says("Hello"))
    providers = Providers(idle_seconds=30)
    found = await heard(upstream, parameters=Parameters(max_tokens=500), providers=providers)
    assert too_large in str(found.error)
    assert (await heard(upstream, parameters=Parameters(max_tokens=5), providers=providers)).text == "Hello"
    await providers.aclose()
    assert upstream.asked[-1]["max_completion_tokens"] == 5


async def test_both_names_refused_end_in_the_refusal(upstream: Upstream):
    upstream.turns(fails(400, RENAMES[0]), fails(400, openai_error("Unknown parameter: 'max_completion_tokens'.")))
    found = await heard(upstream, parameters=Parameters(max_tokens=5))
    assert "Unknown parameter" in str(found.error)


async def test_several_refusals_are_taken_one_by_one(upstream: Upstream):
    upstream.turns(*[fails(400, REFUSALS[at][1]) for at in (0, 4, 6)], fails(400, RENAMES[0]), says("Hello"))
    assert (await heard(upstream, parameters=ALL)).text == "Hello"
    assert {"temperature", "top_p", "stop", "max_tokens"}.isdisjoint(upstream.asked[-1])


def replace_format(parameters: Parameters, response_format: dict[str, Any]) -> Parameters:
    return msgspec.structs.replace(parameters, response_format=response_format)


SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
CITY = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}


@pytest.mark.parametrize(
    "body",
    [
        openai_error("This response_format type is unavailable now"),
        openai_error("Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."),
        {"message": "json_schema is not supported"},
    ],
)
async def test_a_schema_that_is_refused_goes_into_the_instructions(upstream: Upstream, body: dict[str, Any]):
    upstream.turns(fails(400, body), says("{}"))
    messages = [Message("system", "Be brief."), Message("user", "Hi")]
    assert (await heard(upstream, messages=messages, parameters=Parameters(response_format=CITY))).text == "{}"
    asked = upstream.asked[-1]
    assert asked["response_format"] == {"type": "json_object"}
    assert asked["messages"][0]["content"] == (
        "Be brief.\n\nAnswer with one JSON object that fits this JSON schema: "
        '{"type":"object","properties":{"city":{"type":"string"}}}'
    )


async def test_a_format_that_is_refused_altogether_is_left_out(upstream: Upstream):
    refused = openai_error("response_format is not supported")
    upstream.turns(fails(400, refused), fails(400, refused), says("{}"))
    assert (await heard(upstream, parameters=Parameters(response_format=CITY))).text == "{}"
    assert "response_format" not in upstream.asked[-1]
    assert "JSON schema" in upstream.asked[-1]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("status", "bodies", "expected"),
    [
        (
            400,
            [openai_error("Unsupported value: 'messages[0].role' does not support 'system'.", "messages[0].role")],
            [("developer", "Be brief."), ("user", "Hi")],
        ),
        (
            400,
            [
                openai_error("Unsupported value: 'messages[0].role' does not support 'system'.", "messages[0].role"),
                openai_error("Unsupported value: 'messages[0].role' does not support 'developer'.", "messages[0].role"),
            ],
            [("user", "Be brief.\n\nHi")],
        ),
        (400, [{"message": "Developer instruction is not enabled for models/gemma"}], [("user", "Be brief.\n\nHi")]),
        (500, [{"error": {"message": "System role not supported", "code": 500}}], [("user", "Be brief.\n\nHi")]),
    ],
)
async def test_instructions_take_the_role_that_a_model_knows(
    upstream: Upstream, status: int, bodies: list[dict[str, Any]], expected: list[tuple[str, str]]
):
    upstream.turns(*(fails(status, body) for body in bodies), says("Hello"))
    messages = [Message("system", "Be brief."), Message("user", "Hi")]
    assert (await heard(upstream, messages=messages)).text == "Hello"
    assert [(message["role"], message["content"]) for message in upstream.asked[-1]["messages"]] == expected


async def test_instructions_join_an_image(upstream: Upstream):
    upstream.turns(fails(400, {"message": "System role not supported"}), says("Hello"))
    image = ImagePart(ImageURL("data:image/png;base64,AA=="))
    messages = [Message("system", "Be brief."), Message("user", [TextPart("Hi"), image])]
    await heard(upstream, messages=messages)
    [asked] = upstream.asked[-1]["messages"]
    assert [part.get("text") for part in asked["content"]] == ["Be brief.", "Hi", None]


def test_what_is_known_of_openai_needs_no_refusal():
    assert dialect_of(ProviderSpec("x", "X", "openai", "https://api.openai.com/v1")).output_limit == (
        "max_completion_tokens"
    )
    assert dialect_of(ProviderSpec("x", "X", "openai", "https://llm.example/v1")).output_limit == "max_tokens"
