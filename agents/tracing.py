"""A run's place in a trace that other services write, too, as the header `traceparent` says it (W3C Trace Context)."""

import re
import secrets
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from agents.types import ModelRequest

HEADER = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


class Span(Struct, frozen=True):
    """What a `traceparent` names: a span, by its ids, and whether it is recorded."""

    trace_id: int
    span_id: int
    sampled: bool = True

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"


def read(traceparent: str) -> Span | None:
    """Return the span that a header names; what is no such header names none."""
    match = HEADER.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[5]):
        return None
    return Span(int(match[2], 16), int(match[3], 16), bool(int(match[4], 16) & 1))


def span_of_run(run_id: UUID, traceparent: str) -> Span:
    """Return the span of a run: within its caller's trace, or the first of a trace that has the id of the request."""
    caller = read(traceparent)
    span_id = run_id.int & (1 << 64) - 1
    return Span(caller.trace_id, span_id, caller.sampled) if caller else Span(run_id.int, span_id)


def of_one_call(request: ModelRequest) -> ModelRequest:
    """Return a request for one more call of a model, which has a span of its own if its run is traced."""
    run = read(request.traceparent)
    if run is None:
        return request
    return replace(request, traceparent=str(Span(run.trace_id, secrets.randbits(64) or 1, run.sampled)))
