import re
from collections.abc import Mapping
from typing import IO, Any

import msgspec
from rest_framework.parsers import BaseParser

from agents.errors import InvalidRequest
from openai_compat.serializers import ChatCompletionRequest

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

# Building a decoder costs a hundred times what using it does.
decode = msgspec.json.Decoder(ChatCompletionRequest).decode


class ChatCompletionParser(BaseParser):
    """Reads the body of a chat completion request into a ChatCompletionRequest, in one pass."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        try:
            return decode(stream.read())
        except msgspec.ValidationError as error:
            raise invalid_field(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidRequest(f"The body is not valid JSON: {error}", code="invalid_json") from None
        except RecursionError:
            raise InvalidRequest("The body is nested too deeply.", code="invalid_json") from None


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
    return InvalidRequest(f"Invalid '{param}': {_plain_words(what)}.", param=param, code="invalid_value")


def _plain_words(what: str) -> str:
    words = re.sub(r"`([^`]*)`", lambda match: _type_names(match[1]), what)
    return words[:1].lower() + words[1:]


def _type_names(types: str) -> str:
    names = [TYPE_NAMES.get(name.strip()) for name in types.split("|")]
    return " or ".join(filter(None, names)) if all(names) else types
