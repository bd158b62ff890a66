"""A chunk of a stream, or a completion: decoded strictly, which is fast, or from whatever a server sends."""

from typing import Any

import msgspec
from msgspec import Struct


class WireChoice(Struct):
    delta: dict[str, Any] | None = None
    message: Any = None
    text: Any = None
    finish_reason: Any = None
    error: Any = None


class WireChunk(Struct):
    model: Any = None
    choices: list[WireChoice] | None = None
    usage: Any = None
    error: Any = None


decode_chunk = msgspec.json.Decoder(WireChunk).decode
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def as_chunk(data: dict[str, Any]) -> WireChunk:
    """Return a chunk of which every field may be of an odd type; what is of one counts as absent."""
    choices = data.get("choices")
    choices = [choices] if isinstance(choices, dict) else choices
    found = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
    return WireChunk(
        model=data.get("model"),
        choices=[
            WireChoice(
                delta=choice["delta"] if isinstance(choice.get("delta"), dict) else None,
                message=choice.get("message"),
                text=choice.get("text"),
                finish_reason=choice.get("finish_reason"),
                error=choice.get("error"),
            )
            for choice in found
        ],
        usage=data.get("usage"),
        error=data.get("error"),
    )


def text_of(value: Any) -> str:
    """Return a text that may come as a string or, from some servers, as a list of text parts."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(part["text"] for part in value if isinstance(part, dict) and isinstance(part.get("text"), str))
    return ""
