import re
from collections.abc import Iterator, Mapping
from typing import IO, Any, get_args

import msgspec
from rest_framework.parsers import BaseParser

from agents.errors import InvalidRequest
from openai_compat.serializers import (
    FUNCTION_NAME,
    MODEL_NAME,
    ChatCompletionRequest,
    RequestMessage,
    RequestPart,
    ResponseFormat,
)


def _tags(union: Any) -> tuple[str, ...]:
    return tuple(kind.__struct_config__.tag for kind in get_args(union))


# What may stand at a place where only certain words may.
CHOICES: list[tuple[str, tuple[str, ...]]] = [
    (r"messages\[\d+\]\.role", _tags(RequestMessage)),
    (r"messages\[\d+\]\.content\[\d+\]\.type", _tags(RequestPart)),
    (r"response_format\.type", get_args(ResponseFormat.__annotations__["type"])),
    (r"tool_choice", ("none", "auto", "required")),
    (r"function_call", ("none", "auto")),
    (r".*\.type", ("function",)),
]
PATTERNS = {
    MODEL_NAME: "of 1 to 200 characters, none of them a control character",
    FUNCTION_NAME: "of 1 to 64 letters, digits, underscores, dots and hyphens",
}
INVALID_CHOICE = re.compile(r"^Invalid (enum )?value (?P<value>.*)$", re.S)
PLACE = re.compile(r"^(?P<what>.*) - at `(?P<key>key in )?\$(?P<path>.*)`$", re.S)
MISSING = re.compile(r"^Object missing required field `(?P<field>\w+)`")
TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a number",
    "bool": "a boolean",
    "array": "an array",
    "object": "an object",
    "null": "null",
}

MOST_LEVELS = 100

# Building a decoder costs a hundred times what using it does.
decode = msgspec.json.Decoder(ChatCompletionRequest).decode


class ChatCompletionParser(BaseParser):
    """Reads the body of a chat completion request into a ChatCompletionRequest, in one pass."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            chat = decode(stream.read())
            refuse_deep_values(chat)
            return chat
        except msgspec.ValidationError as error:
            raise invalid_field(str(error)) from None
        except UnicodeDecodeError:
            raise InvalidRequest("The body is not valid JSON: it is not in UTF-8.", code="invalid_json") from None
        except msgspec.DecodeError as error:
            why = str(error).removeprefix("JSON is malformed: ").replace("Input data was truncated", "it is incomplete")
            raise InvalidRequest(f"The body is not valid JSON: {why}.", code="invalid_json") from None
        except RecursionError:
            raise InvalidRequest("The body is nested too deeply.", code="invalid_json") from None


def refuse_deep_values(chat: ChatCompletionRequest) -> None:
    """Refuse what is nested so deeply, where any JSON may stand, that a provider or a library would choke on it."""
    for place, value in _free_values(chat):
        if _deeper_than(MOST_LEVELS, value):
            message = f"Invalid '{place}': it is nested too deeply, more than {MOST_LEVELS} levels."
            raise InvalidRequest(message, param=place, code="invalid_value")


def _free_values(chat: ChatCompletionRequest) -> Iterator[tuple[str, Any]]:
    yield "user", chat.user
    if chat.response_format is not None:
        yield "response_format.json_schema", chat.response_format.json_schema
    for index, tool in enumerate(chat.tools or ()):
        yield f"tools[{index}].function.parameters", tool.function.parameters
    for index, function in enumerate(chat.functions or ()):
        yield f"functions[{index}].parameters", function.parameters


def _deeper_than(levels: int, value: Any) -> bool:
    level = [value]
    for _ in range(levels + 1):
        containers = [item for item in level if isinstance(item, dict | list)]
        if not containers:
            return False
        level = [inner for outer in containers for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return True


def invalid_field(said: str) -> InvalidRequest:
    """Return the error that names the field a validation message speaks of, as in `messages[0].role`."""
    placed = PLACE.match(said)
    what, path = (placed["what"], placed["path"]) if placed else (said, "")
    param = path.removeprefix(".")
    if missing := MISSING.match(what):
        param = f"{param}.{missing['field']}" if param else missing["field"]
        return InvalidRequest(f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter")
    if not param:
        return InvalidRequest("The body must be a JSON object.", code="invalid_type")
    return InvalidRequest(f"Invalid '{param}': {_plain_words(what, param)}.", param=param, code="invalid_value")


def _plain_words(what: str, param: str) -> str:
    if invalid := INVALID_CHOICE.match(what):
        choices = next((words for place, words in CHOICES if re.fullmatch(place, param)), ())
        return f"{invalid['value'][:70]} is not {'one of ' * (len(choices) > 1)}{', '.join(map(repr, choices))}"
    words = re.sub(r"`([^`]*)`", lambda match: _type_names(match[1]), what)
    words = words.replace(" of length >= 1", " that is not empty")
    for pattern, meaning in PATTERNS.items():
        words = words.replace(f"matching regex {pattern!r}", meaning)
    return words[:1].lower() + words[1:]


def _type_names(types: str) -> str:
    names = [TYPE_NAMES.get(name.strip()) for name in types.split("|")]
    return " or ".join(filter(None, names)) if all(names) else types
