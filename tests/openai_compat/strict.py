"""Answers held against the `openai` package's own types: nothing required is missing, nothing unknown is there.

The package itself builds its objects without looking, so that a wrong answer shows only where it is used.
"""

import json
from typing import Any, TypeVar

from openai.types import ErrorObject, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

# What the server adds to OpenAI's types.
EXTRAS = {
    "ChatCompletionMessageFunctionToolCall": {"index"},
    "ChatCompletionMessage": {"reasoning_content"},
    "ChoiceDelta": {"reasoning_content"},
    "Model": {"name", "description", "context_window", "max_output_tokens"},
}

Answered = dict[str, Any] | bytes | BaseModel
M = TypeVar("M", bound=BaseModel)


def completion(answered: Answered) -> ChatCompletion:
    return _valid(ChatCompletion, answered)


def chunk(answered: Answered) -> ChatCompletionChunk:
    return _valid(ChatCompletionChunk, answered)


def model(answered: Answered) -> Model:
    return _valid(Model, answered)


def model_list(answered: bytes) -> list[Model]:
    body = json.loads(answered)
    assert list(body) == ["object", "data"]
    assert body["object"] == "list"
    return [model(data) for data in body["data"]]


def error(answered: dict[str, Any] | bytes) -> ErrorObject:
    """All four keys are there, also those that are null, and nothing stands beside the error."""
    body = answered if isinstance(answered, dict) else json.loads(answered)
    assert list(body) == ["error"]
    assert list(body["error"]) == ["message", "type", "param", "code"]
    assert body["error"]["message"]
    return _valid(ErrorObject, body["error"])


def _valid(kind: type[M], answered: Answered) -> M:
    if isinstance(answered, BaseModel):
        # Only what came over the wire, without the package's defaults.
        answered = answered.model_dump(mode="json", exclude_unset=True)
    text = answered if isinstance(answered, bytes) else json.dumps(answered)
    valid = kind.model_validate_json(text, strict=True)
    _knows_all(valid)
    return valid


def _knows_all(value: Any) -> None:
    if isinstance(value, BaseModel):
        unknown = set(value.model_extra or ()) - EXTRAS.get(type(value).__name__, set())
        assert not unknown, f"{type(value).__name__} has unknown fields: {sorted(unknown)}"
        for name in value.model_fields_set:
            _knows_all(getattr(value, name))
    elif isinstance(value, list):
        for item in value:
            _knows_all(item)
