"""A second look at what a strict reader refused: NaN, bytes that are not UTF-8, halves of characters."""

import codecs
import json
import math
import re
from collections.abc import Set
from typing import Any

import msgspec

# Their strings are cut at any place; the half of a character at the end is joined to the next piece.
STREAMED = {"content", "reasoning_content", "reasoning", "refusal", "arguments", "text", "thinking"}
LONGEST_INTEGER = 300
LONE_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")


def loosely_decoded(payload: bytes) -> Any:
    """Return what JSON says that is not quite JSON. Raises ValueError.

    A byte that is not UTF-8 becomes a surrogate (U+DC80 to U+DCFF), so that `HalfCharacters` can join it to its rest.
    """
    payload = payload.strip(b" \t\r\n\x00")
    text = ""
    for errors in ("strict", "surrogatepass", "surrogateescape"):
        try:
            text = payload.decode("utf-8", errors)
            break
        except UnicodeDecodeError:
            continue
    try:
        return whole(json.loads(text, strict=False, parse_int=_integer), kept=STREAMED)
    except RecursionError:
        raise ValueError("The JSON is nested too deeply.") from None


def decoded_anyhow(payload: bytes) -> Any:
    """Return what JSON says, read strictly if that is possible, since it is many times faster. Raises ValueError."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return loosely_decoded(payload)


def whole_text(text: str) -> str:
    """Return a text without halves of characters."""
    return text if text.isascii() else HalfCharacters().join(text, final=True)


class HalfCharacters:
    """Joins the characters of a text that were cut in two; a half that stays alone becomes U+FFFD."""

    def __init__(self) -> None:
        self._high = ""
        self._bytes: codecs.IncrementalDecoder | None = None

    def join(self, text: str, *, final: bool = False) -> str:
        """Return a piece with the half that came before it, and without the one at its end unless it is the `final`."""
        if self._bytes is None:
            # Nearly every text has no halves, and encoding it is the fastest way to find out.
            try:
                text.encode()
                return text
            except UnicodeEncodeError:
                self._bytes = codecs.getincrementaldecoder("utf-8")("replace")
        text = self._high + text
        self._high = text[-1] if text and not final and "\ud800" <= text[-1] <= "\udbff" else ""
        text = text.removesuffix(self._high) if self._high else text
        joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
        escaped = LONE_HALF.sub("\ufffd", joined).encode("utf-8", "surrogateescape")
        return self._bytes.decode(escaped, final)


def _integer(digits: str) -> float | int:
    return int(digits) if len(digits) <= LONGEST_INTEGER else math.inf


def whole(value: Any, *, kept: Set[str] = frozenset(), name: str = "") -> Any:
    """Return decoded JSON without halves of characters, except in the texts of the fields to be `kept`."""
    if isinstance(value, str):
        return value if name in kept else whole_text(value)
    if isinstance(value, list):
        return [whole(item, kept=kept, name=name) for item in value]
    if isinstance(value, dict):
        return {whole_text(key): whole(item, kept=kept, name=key) for key, item in value.items()}
    return value
