"""The OpenAPI document of /v1: requests as the parser reads them, answers as the renderer writes them."""

from functools import cache
from typing import Annotated, Any, Literal

import msgspec
from django.conf import settings
from msgspec import Meta, Struct

from openai_compat.serializers import ChatCompletionRequest

OPENAPI_VERSION = "3.1.0"
DONE = "data: [DONE]"

# What is answered. The names are OpenAI's.


class PromptTokensDetails(Struct):
    cached_tokens: int


class CompletionTokensDetails(Struct):
    reasoning_tokens: int


class Usage(Struct):
    """The sum over all the calls of models that one request made."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class CalledFunction(Struct):
    name: str
    arguments: Annotated[str, Meta(description="JSON, as the model wrote it.")]


class ToolCall(Struct):
    index: int
    id: str
    type: Literal["function"]
    function: CalledFunction


class AnswerMessage(Struct):
    role: Literal["assistant"]
    content: str | None
    reasoning_content: str | msgspec.UnsetType = msgspec.UNSET
    refusal: str | msgspec.UnsetType = msgspec.UNSET
    tool_calls: list[ToolCall] | msgspec.UnsetType = msgspec.UNSET


class Choice(Struct):
    index: Literal[0]
    message: AnswerMessage
    finish_reason: Literal["stop", "length", "tool_calls", "content_filter"]


class ChatCompletion(Struct):
    """A whole answer."""

    id: Annotated[str, Meta(pattern="^chatcmpl-")]
    object: Literal["chat.completion"]
    created: int
    model: Annotated[str, Meta(description="The agent's name.")]
    choices: Annotated[list[Choice], Meta(min_length=1, max_length=1)]
    usage: Usage


class Model(Struct):
    """An agent."""

    id: Annotated[str, Meta(pattern="^openfang:")]
    object: Literal["model"]
    created: int
    owned_by: Literal["openfang"]
    name: str
    description: str
    context_window: int | None
    max_output_tokens: int | None


class ModelList(Struct):
    object: Literal["list"]
    data: list[Model]


class ErrorDetails(Struct):
    message: str
    type: str
    param: str | None
    code: str | None


class Error(Struct):
    """Every error, whatever its status."""

    error: ErrorDetails


ERRORS = {
    400: "The request is not valid; `param` names the place.",
    401: "The API key is missing or wrong.",
    404: "No agent answers to this model.",
    405: "The endpoint has no such method.",
    409: "The Idempotency-Key belongs to another request.",
    413: "The request is too large.",
    415: "The body is not JSON.",
    429: "A rate limit is reached, or a budget is spent (`insufficient_quota`).",
    500: "The server failed.",
    502: "The provider of the agent's model failed.",
    503: "The server stops, or cannot record the request.",
    504: "The provider, or the run, took too long.",
}
READING = (401, 405, 429, 500)
CHATTING = tuple(ERRORS)


@cache
def document() -> dict[str, Any]:
    """Return the whole document; it is the same for every caller."""
    roots = (ChatCompletionRequest, ChatCompletion, Model, ModelList, Error)
    _, schemas = msgspec.json.schema_components(roots, ref_template="#/components/schemas/{name}")
    return {
        "openapi": OPENAPI_VERSION,
        "info": {
            "title": "OpenFang",
            "version": "1",
            "description": "Agents behind OpenAI's chat completions. Each agent is a model named `openfang:<name>`.",
        },
        "servers": [{"url": settings.OPENFANG_ROOT_PATH or "/"}],
        "security": [{"key": []}],
        "paths": {
            "/v1/chat/completions": {"post": _chat_completions()},
            "/v1/models": {"get": _reading("listModels", "The agents that the key may use.", "ModelList")},
            "/v1/models/{model}": {"get": _model()},
            "/v1/openapi.json": {"get": _reading("describe", "This document.", None)},
        },
        "components": {
            "schemas": {name: _for_ecma(schema) for name, schema in schemas.items()},
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key. While the server has none, programs on its own machine need none.",
                }
            },
        },
    }


def _chat_completions() -> dict[str, Any]:
    frames = f"Chunks of the answer as `data:` lines, `{DONE}` at the end; with `stream: true`."
    return {
        "operationId": "createChatCompletion",
        "summary": "Run an agent and answer in OpenAI's format.",
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Repeated within a day, the request is not run again: the first answer is given.",
                "schema": {"type": "string", "maxLength": 255},
            }
        ],
        "requestBody": {"required": True, "content": _json("ChatCompletionRequest")},
        "responses": {
            "200": {
                "description": "The agent's answer.",
                "content": {
                    **_json("ChatCompletion"),
                    "text/event-stream": {"schema": {"type": "string", "description": frames}},
                },
            },
            **_errors(CHATTING),
        },
    }


def _model() -> dict[str, Any]:
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    operation = _reading("getModel", "One agent, by `openfang:<name>`, name or UUID.", "Model", (404, *READING))
    return operation | {"parameters": [name]}


def _reading(operation: str, summary: str, schema: str | None, errors: tuple[int, ...] = READING) -> dict[str, Any]:
    content = _json(schema) if schema else {"application/json": {"schema": {"type": "object"}}}
    answer = {"200": {"description": summary, "content": content}}
    return {"operationId": operation, "summary": summary, "responses": {**answer, **_errors(errors)}}


def _errors(statuses: tuple[int, ...]) -> dict[str, Any]:
    return {str(status): {"description": ERRORS[status], "content": _json("Error")} for status in sorted(statuses)}


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _for_ecma(schema: Any) -> Any:
    """Return a schema whose patterns are JavaScript's, as JSON Schema wants them, not Python's."""
    if isinstance(schema, dict):
        return {
            name: value.replace(r"\A", "^").replace(r"\Z", "$") if name == "pattern" else _for_ecma(value)
            for name, value in schema.items()
        }
    return [_for_ecma(item) for item in schema] if isinstance(schema, list) else schema
