from collections.abc import Mapping
from typing import IO, Any

import msgspec
from django.core.exceptions import RequestDataTooBig
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser

MOST_BYTES = 5_000_000
MOST_LEVELS = 20


class JSONBody(BaseParser):
    """Reads JSON strictly: in UTF-8, without NaN and halves of surrogate pairs, and not nested without end."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read(MOST_BYTES + 1)
        if len(body) > MOST_BYTES:
            raise RequestDataTooBig
        try:
            data = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
            raise ParseError(f"The body is not valid JSON: {why.removeprefix('JSON is malformed: ')}.") from None
        if _deeper_than(MOST_LEVELS, data):
            raise ParseError(f"The body is nested too deeply, more than {MOST_LEVELS} levels.")
        return data


def _deeper_than(levels: int, value: Any) -> bool:
    if not isinstance(value, dict | list):
        return False
    if levels == 0:
        return True
    return any(_deeper_than(levels - 1, inner) for inner in (value.values() if isinstance(value, dict) else value))
