"""Which requests are the same: digests of what was asked, however the client wrote it down."""

import hashlib
import math
from typing import Any

import msgspec
from msgspec import Struct

# How the answer is to be sent, and a client's notes about itself. `user` and `safety_identifier` are not among them:
# they say who asks, and what the tools did for one end user must never be handed to another.
NOT_ASKED = frozenset({"stream", "stream_options", "metadata", "client_metadata"})
VERSION = "2:"  # of the canonical form; a digest without a version is that of a body's bytes
LENGTH = 64  # of the column that keeps it


class Digests(Struct, frozen=True):
    """The digest of a request, and the one under which servers before the canonical form kept its runs.

    Transcripts live for OPENFANG_TRANSCRIPT_HOURS; `old` can go once no server that wrote it is upgraded any more.
    """

    current: str
    old: str

    def asking(self, question: str) -> "Digests":
        """Return the digests of what a run of this request asks another agent: the same in every repeat."""
        asked = [f"{digest}\n{question}".encode(errors="replace") for digest in (self.current, self.old)]
        return Digests(_versioned(asked[0]), _digest(asked[1]))


def digests_of(body: bytes, end_user: str) -> Digests:
    """Return the digests of a body as a client sent it for an end user."""
    return Digests(_versioned(_canonical(body) + b"\n" + end_user.encode(errors="replace")), _digest(body))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _versioned(data: bytes) -> str:
    return (VERSION + _digest(data))[:LENGTH]


def _number(literal: str) -> int | float | str:
    """Return a number so that 1, 1.0 and 1e0 are one; what no float can hold stays text."""
    number = float(literal)
    if not math.isfinite(number):
        return literal
    return int(number) if number.is_integer() and abs(number) < 2**53 else number


_decode = msgspec.json.Decoder(float_hook=_number).decode
_encode = msgspec.json.Encoder(order="deterministic").encode


def _canonical(body: bytes) -> bytes:
    """Return a JSON object with sorted keys and without what does not change the answer; anything else as it is."""
    try:
        asked: Any = _decode(body)
        if isinstance(asked, dict):
            # null is the same as absent.
            asked = {name: value for name, value in asked.items() if value is not None and name not in NOT_ASKED}
        return _encode(asked)
    except (ValueError, RecursionError):  # in an ignored field: the request itself was parsed before
        return body
