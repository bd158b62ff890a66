"""A request's steps: every call of a model and of a tool, in the order they ended."""

import hashlib
from typing import Any

import pytest
from django.test import override_settings

from agents.models import UsageRecord
from agents.types import FunctionCall, ToolCall, ToolCallEnded
from agents.usage.recording import Recording
from tests.agents.acting import asks
from tests.live import Live
from tests.live.asking import ask, row_of
from tests.upstream import Call, Upstream, calls_many, says

ARGUMENTS = '{"agent": "expert", "question": "Ünd?"}'


def told(steps: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(step[name] for name in names) for step in steps]


def test_calls_of_models_and_tools_are_recorded_in_order(live: Live, upstream: Upstream):
    upstream.model("steward-model").turns(
        calls_many(Call("agent_ask", ARGUMENTS)), asks("nobody", "?"), says("That is all.")
    )
    upstream.model("expert-model").says("Grün.")
    row = row_of(live, ask(live, "steward"))
    steps = live.steps(row["id"])
    assert told(steps, "position", "kind", "name", "error_code", "provider") == [
        (1, "llm", "steward-model", "", "scripted"),
        (2, "tool", "agent_ask", "", ""),
        (3, "llm", "steward-model", "", "scripted"),
        (4, "tool", "agent_ask", "tool_failed", ""),
        (5, "llm", "steward-model", "", "scripted"),
    ]
    asked = steps[1]
    assert asked["arguments_digest"] == hashlib.sha256(ARGUMENTS.encode()).hexdigest()
    assert (asked["arguments"], asked["result_bytes"]) == ("", len("Grün.".encode()))
    assert (asked["prompt_tokens"], asked["cost"], asked["first_token_ms"]) == (0, 0, None)
    assert asked["duration_ms"] <= row["duration_ms"]
    assert told(steps[::2], "prompt_tokens", "result_bytes", "arguments_digest") == [(10, None, "")] * 3
    assert (row["llm_calls"], row["tool_calls"]) == (3, 2)


@pytest.mark.parametrize(("keeps", "kept"), [(True, ARGUMENTS), (False, "")])
def test_the_arguments_are_kept_only_where_the_administrator_wants_it(keeps: bool, kept: str):
    recording = Recording(UsageRecord())
    called = ToolCall("a", FunctionCall("agent_ask", ARGUMENTS))
    with override_settings(OPENFANG_KEEP_TOOL_ARGUMENTS=keeps):
        recording.observe(ToolCallEnded(called, "Green.", is_error=False, duration_ms=1))
    [step] = recording.steps
    assert (step.kind, step.name, step.arguments) == ("tool", "agent_ask", kept)
