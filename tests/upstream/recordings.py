"""One turn with thoughts and a tool call as each family of providers streams it, written from their documented shapes.

Every recording calls `look` with `{"city": "Zürich 🏔"}` and says "Let me look." or thinks so.
"""

import json
from dataclasses import dataclass
from typing import Any

from tests.upstream.steps import Raw, junk
from tests.upstream.wire import DONE, Json, encoded

CITY = {"city": "Zürich 🏔"}
THOUGHT = "Where is it? 🤔"
TEXT = "Let me look."


@dataclass(frozen=True)
class Recording:
    """A stream, and what it says: `attached` is what must go back with the turn, `call` what must with its call."""

    body: bytes
    text: str
    reasoning: str
    prompt: int
    completion: int
    attached: Json
    call: Json

    def step(self, tool: str = "look") -> Raw:
        """Play it, calling a tool of this name."""
        return junk([self.body.replace(b'"look"', json.dumps(tool).encode())])


def _stream(*chunks: Json, done: bytes = DONE, between: bytes = b"\n\n", **head: Any) -> bytes:
    shared = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_760_000_000, "model": "m", **head}
    return b"".join(b"data: " + encoded({**shared, **chunk}) + between for chunk in chunks) + done


def _delta(finish: str | None = None, **fields: Any) -> Json:
    return {"choices": [{"index": 0, "delta": fields, "logprobs": None, "finish_reason": finish}]}


def _call(arguments: str | None, **more: Any) -> Json:
    function = {"name": "look"} if "id" in more else {}
    return _delta(tool_calls=[{"index": 0, **more, "function": {**function, "arguments": arguments}}])


def _in_pieces(size: int, *, ascii_only: bool = False) -> list[str]:
    text = json.dumps(CITY, ensure_ascii=ascii_only)
    return [text[at : at + size] for at in range(0, len(text), size)]


def _usage(prompt: int, completion: int, **more: Any) -> Json:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion, **more}


_WHOLE = json.dumps(CITY, ensure_ascii=False)
_SIGNATURE = {"google": {"thought_signature": "EpwCCpkCAXLI2nx+c2ln=="}}
_DETAIL = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}

RECORDINGS: dict[str, Recording] = {
    "OpenAI": Recording(
        _stream(
            {**_delta(role="assistant", content=None, refusal=None), "usage": None, "obfuscation": "aQ"},
            _call("", id="call_1", type="function"),
            *(_call(piece) for piece in _in_pieces(3)),
            _delta("tool_calls"),
            {"choices": [], "usage": _usage(60, 20, completion_tokens_details={"reasoning_tokens": 8})},
            service_tier="default",
            system_fingerprint="fp_1",
        ),
        text="",
        reasoning="",
        prompt=60,
        completion=20,
        attached={},
        call={},
    ),
    "DeepSeek": Recording(
        _stream(
            _delta(role="assistant", content=None, reasoning_content=""),
            *(_delta(content=None, reasoning_content=piece) for piece in ("Where ", "is it? ", "🤔")),
            _delta(content=TEXT, reasoning_content=None),
            _call("", id="call_00_x", type="function"),
            *(_call(piece) for piece in _in_pieces(4)),
            {
                **_delta("tool_calls", content="", reasoning_content=None),
                "usage": _usage(60, 20, prompt_cache_hit_tokens=32, prompt_cache_miss_tokens=28),
            },
        ),
        text=TEXT,
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={"reasoning_content": THOUGHT},
        call={},
    ),
    "Kimi": Recording(
        _stream(
            _delta(role="assistant", content=""),
            _delta(reasoning_content="Where is "),
            _delta(reasoning_content="it? 🤔"),
            _call("", id="look:0", type="function"),
            *(_call(piece) for piece in _in_pieces(5)),
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {},
                        "finish_reason": "tool_calls",
                        "usage": _usage(60, 20, cached_tokens=32),
                    }
                ]
            },
        ),
        text="",
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={"reasoning_content": THOUGHT},
        call={},
    ),
    "Gemini": Recording(
        _stream(
            _delta(
                "tool_calls",
                role="assistant",
                content=TEXT,
                tool_calls=[
                    {
                        "index": 0,
                        "id": "function-call-1",
                        "type": "function",
                        "function": {"name": "look", "arguments": _WHOLE},
                        "extra_content": _SIGNATURE,
                    }
                ],
            ),
            {
                **_delta("stop", role="assistant"),
                "usage": {"prompt_tokens": 60, "completion_tokens": 12, "total_tokens": 92},
            },
        ),
        text=TEXT,
        reasoning="",
        prompt=60,
        completion=32,
        attached={},
        call={"extra_content": _SIGNATURE},
    ),
    "xAI": Recording(
        _stream(
            _delta(role="assistant", reasoning_content="Where is "),
            _delta(reasoning_content="it? 🤔"),
            _delta(
                tool_calls=[
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": _WHOLE}}
                ]
            ),
            _delta("tool_calls"),
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 60,
                    "completion_tokens": 20,
                    "total_tokens": 480,
                    "completion_tokens_details": {"reasoning_tokens": 400},
                    "num_sources_used": 0,
                },
            },
        ),
        text="",
        reasoning=THOUGHT,
        prompt=60,
        completion=420,
        attached={"reasoning_content": THOUGHT},
        call={},
    ),
    "Mistral": Recording(
        _stream(
            _delta(role="assistant", content=""),
            _delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Where is "}]}]),
            _delta(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "it? 🤔"}]}]),
            _delta(content=TEXT),
            {
                **_delta(
                    "tool_calls",
                    content="",
                    tool_calls=[{"id": "D681PevKs", "function": {"name": "look", "arguments": _WHOLE}, "index": 0}],
                ),
                "usage": _usage(60, 20),
            },
        ),
        text=TEXT,
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]},
                {"type": "text", "text": TEXT},
            ]
        },
        call={},
    ),
    "OpenRouter": Recording(
        b": OPENROUTER PROCESSING\n\n"
        + _stream(
            _delta(
                role="assistant",
                content="",
                reasoning="Where is ",
                reasoning_details=[{**_DETAIL, "text": "Where is "}],
            ),
            _delta(role="assistant", content="", reasoning="it? 🤔", reasoning_details=[{**_DETAIL, "text": "it? 🤔"}]),
            _delta(role="assistant", content="", reasoning=None, reasoning_details=[{**_DETAIL, "signature": "c2ln"}]),
            _call(None, id="toolu_1", type="function"),
            *(_call(piece) for piece in _in_pieces(6)),
            {
                "choices": [
                    {
                        "index": 0,
                        "delta": {"role": "assistant", "content": ""},
                        "finish_reason": "tool_calls",
                        "native_finish_reason": "tool_use",
                    }
                ]
            },
            {
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}],
                "usage": _usage(60, 20, cost=0.0012),
            },
            provider="Anthropic",
        ),
        text="",
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={
            "reasoning": THOUGHT,
            "reasoning_details": [{**_DETAIL, "text": THOUGHT, "signature": "c2ln"}],
        },
        call={},
    ),
    "vLLM": Recording(
        _stream(
            {**_delta(role="assistant", content=""), "usage": _usage(60, 0)},
            {**_delta(reasoning="Where is ", reasoning_content="Where is "), "usage": _usage(60, 3)},
            {**_delta(reasoning="it? 🤔", reasoning_content="it? 🤔"), "usage": _usage(60, 6)},
            _call("", id="chatcmpl-tool-1", type="function"),
            *(
                _delta(tool_calls=[{"index": 0, "id": f"chatcmpl-tool-{number}", "function": {"arguments": piece}}])
                for number, piece in enumerate(_in_pieces(4, ascii_only=True), 2)
            ),
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls", "stop_reason": None}]},
            {"choices": [], "usage": _usage(60, 20)},
        ),
        text="",
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={"reasoning": THOUGHT, "reasoning_content": THOUGHT},
        call={},
    ),
    "llama.cpp": Recording(
        _stream(
            _delta(role="assistant", content=None),
            *(_delta(reasoning_content=piece) for piece in ("Where", " is it? 🤔")),
            _call("{", id="Xy9", type="function"),
            *(_call(piece) for piece in [_WHOLE[1:9], _WHOLE[9:]]),
            _delta("tool_calls"),
            {
                "choices": [],
                "usage": _usage(60, 20),
                "timings": {"prompt_n": 60, "predicted_n": 20, "predicted_per_second": 31.4},
            },
        ),
        text="",
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={"reasoning_content": THOUGHT},
        call={},
    ),
    "Ollama": Recording(
        _stream(
            _delta(role="assistant", content="", reasoning="Where is "),
            _delta(role="assistant", content="", reasoning="it? 🤔"),
            _delta(
                role="assistant",
                content="",
                tool_calls=[
                    {"id": "call_9x", "index": 0, "type": "function", "function": {"name": "look", "arguments": _WHOLE}}
                ],
            ),
            _delta("tool_calls", role="assistant", content=""),
            {"choices": [], "usage": _usage(60, 20)},
            system_fingerprint="fp_ollama",
        ),
        text="",
        reasoning=THOUGHT,
        prompt=60,
        completion=20,
        attached={"reasoning": THOUGHT},
        call={},
    ),
}
