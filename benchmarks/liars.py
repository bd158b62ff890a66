"""Answers of an LLM API that lies: counts that cannot be, texts that no database takes, thousands of tool calls.

The name of a model is the lie. A model that called tools answers with a word once it has their results.
"""

import json
from typing import Any

MOST_CALLS = 2_000
WORD = {"choices": [{"index": 0, "delta": {"content": "word0 "}, "finish_reason": None}]}
DONE = b"data: [DONE]\n\n"


def _event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **fields}).encode() + b"\n\n"


def _end(finish: str, usage: dict[str, Any]) -> bytes:
    return _event(choices=[{"index": 0, "delta": {}, "finish_reason": finish}]) + _event(choices=[], usage=usage) + DONE


def _counts(prompt: Any, completion: Any) -> bytes:
    return _event(**WORD) + _end("stop", {"prompt_tokens": prompt, "completion_tokens": completion})


def _calls(count: int, name: str, arguments: str) -> bytes:
    function = {"name": name, "arguments": arguments}
    calls = [{"index": number, "id": f"call_{number}", "function": function} for number in range(count)]
    usage = {"prompt_tokens": 20, "completion_tokens": count}
    return _event(choices=[{"index": 0, "delta": {"tool_calls": calls}}]) + _end("tool_calls", usage)


LIES = {
    "lie-huge": _counts(10**12, 10**12),
    "lie-negative": _counts(-1, -(10**30)),
    "lie-nan": _counts(float("nan"), float("inf")),
    "lie-strings": _counts("many", ["more"]),
    "lie-nul": _calls(1, "cal\x00culator", '{"expression": "\x00"}'),
    "lie-surrogate": _calls(1, "cal\ud800culator", '{"expression": "\udfff"}'),
    "lie-calls": _calls(MOST_CALLS, "calculator", '{"expression": "6*7"}'),
}
RESULTS_READ = _event(**WORD) + _end("stop", {"prompt_tokens": 20, "completion_tokens": 1})


def answer(model: str, messages: list[dict[str, Any]]) -> bytes:
    """Return the whole stream."""
    return RESULTS_READ if any(message["role"] == "tool" for message in messages) else LIES[model]
