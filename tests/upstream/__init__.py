"""A scripted OpenAI-compatible provider, served over real HTTP: the fake at the seam of every test that needs an LLM.

The steps (`says`, `calls`, `fails`, `cuts`, `stalls`, `hangs`, `junk`) are in `steps.py`, `Upstream` in `server.py`.
A fixture that hands an `Upstream` to a test ends with `assert not upstream.unscripted`.
"""

from tests.upstream.acts import Mark, Pause
from tests.upstream.received import Moment, Received
from tests.upstream.script import Script
from tests.upstream.server import Upstream
from tests.upstream.steps import (
    Answer,
    Raw,
    Step,
    answers,
    call,
    calls,
    calls_many,
    cuts,
    fails,
    hangs,
    junk,
    says,
    stalls,
)
from tests.upstream.wire import DONE, Call, CallStyle, Usage, chunk, error_frame, frame

__all__ = [
    "DONE",
    "Answer",
    "Call",
    "CallStyle",
    "Mark",
    "Moment",
    "Pause",
    "Raw",
    "Received",
    "Script",
    "Step",
    "Upstream",
    "Usage",
    "answers",
    "call",
    "calls",
    "calls_many",
    "chunk",
    "cuts",
    "error_frame",
    "fails",
    "frame",
    "hangs",
    "junk",
    "says",
    "stalls",
]
