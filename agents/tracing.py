"""A run's place in a trace that other services write, too, as W3C Trace Context's headers say it."""

import re
import secrets
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
MEMBER = re.compile(
    r"([a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
# What every service passes on; beyond it some do and some do not.
MOST_MEMBERS, LONGEST_STATE = 32, 512


class Span(Struct, frozen=True):
    """What a `traceparent` names: a span, by its ids, and whether it is recorded; `state` is what goes on beside it."""

    trace_id: int
    span_id: int
    sampled: bool = True
    state: str = ""

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.sampled:02x}"

    @property
    def headers(self) -> dict[str, str]:
        """What a service is told that is asked within this span."""
        return {"traceparent": str(self)} | ({"tracestate": self.state} if self.state else {})

    def child(self) -> "Span":
        return replace(self, span_id=secrets.randbits(64) or 1)


def read(traceparent: str, tracestate: str = "") -> Span | None:
    """Return the span that the headers name; what is no such header names none, whatever its state may say."""
    match = PARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[5]):
        return None
    return Span(int(match[2], 16), int(match[3], 16), bool(int(match[4], 16) & 1), _state(tracestate))


def _state(tracestate: str) -> str:
    """Return the state as it is passed on: as it came, or not at all if it is none."""
    members = [member for part in tracestate.split(",") if (member := part.strip(" \t"))]
    whole = len(members) <= MOST_MEMBERS and all(map(MEMBER.fullmatch, members))
    state = ",".join(members)
    return state if whole and len(state) <= LONGEST_STATE else ""


def span_of_run(run_id: UUID, caller: Span | None) -> Span:
    """Return the span of a run: within its caller's trace, or the first of a trace that has the id of the request."""
    span_id = run_id.int & (1 << 64) - 1
    return replace(caller, span_id=span_id) if caller else Span(run_id.int, span_id)
