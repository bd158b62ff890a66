"""Token counts, in whichever form a provider sends them: zero is a count, null is unknown."""

import math
from collections.abc import Iterator
from typing import Any

from agents.types import ReportedUsage

MOST_TOKENS = 10**12  # more than any answer has, and far from what a database column holds
Path = tuple[str, ...]
PROMPT: tuple[Path, ...] = (
    ("prompt_tokens",),
    ("input_tokens",),
    ("prompt_token_count",),
    ("promptTokenCount",),
    ("prompt_eval_count",),
    ("inputTokens",),
    ("promptTokens",),
)
COMPLETION: tuple[Path, ...] = (
    ("completion_tokens",),
    ("output_tokens",),
    ("candidates_token_count",),
    ("candidatesTokenCount",),
    ("eval_count",),
    ("outputTokens",),
    ("completionTokens",),
)
TOTAL: tuple[Path, ...] = (("total_tokens",), ("total_token_count",), ("totalTokenCount",), ("totalTokens",))
CACHE_READ, CACHE_WRITTEN = ("cache_read_input_tokens",), ("cache_creation_input_tokens",)  # Anthropic
CACHED: tuple[Path, ...] = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("cached_tokens",),  # Moonshot
    ("prompt_cache_hit_tokens",),  # DeepSeek
    CACHE_READ,
    ("cachedContentTokenCount",),
    ("cached_content_token_count",),
    ("cacheReadInputTokens",),
)
REASONING: tuple[Path, ...] = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("reasoning_tokens",),
    ("thoughtsTokenCount",),
    ("thoughts_token_count",),
)
PLACES: tuple[Path, ...] = (("usage",), ("usage_metadata",), ("usageMetadata",), ())
CHOICE_PLACES: tuple[Path, ...] = (("usage",), ("delta", "usage"), ("message", "usage"))


def usage_in(data: dict[str, Any]) -> ReportedUsage | None:
    """Return what a chunk or a completion counts, wherever in it, or None if it counts nothing."""
    usage = None
    for wire in _places(data):
        usage = later(usage, usage_of(wire))
    return usage


def usage_of(wire: Any) -> ReportedUsage | None:
    """Return what a usage object counts, or None if it counts nothing."""
    if not isinstance(wire, dict) or not wire:
        return None
    prompt, completion, total = _first(wire, PROMPT), _first(wire, COMPLETION), _first(wire, TOTAL)
    cached, reasoning = _first(wire, CACHED), _first(wire, REASONING)
    if prompt is not None and (_count(wire, PROMPT[0]) is None or (_count(wire, CACHE_READ) or 0) > prompt):
        # Anthropic counts what came from its cache, or went there, beside the input tokens.
        prompt += sum(_count(wire, name) or 0 for name in (CACHE_READ, CACHE_WRITTEN))
    if total is not None:
        prompt, completion = _within(total, prompt, completion)
    elif completion is not None and (reasoning or 0) > completion:
        completion += reasoning or 0
    if prompt is None and completion is None and total is None:
        return None
    if cached is not None and prompt is not None:
        cached = min(cached, prompt)
    return ReportedUsage(prompt, completion, total, cached or 0, reasoning or 0)


def later(known: ReportedUsage | None, usage: ReportedUsage | None) -> ReportedUsage | None:
    """Return what two counts of one answer say together: counts only grow, and some servers end with zeros."""
    if known is None or usage is None:
        return known or usage
    prompt = _larger(known.prompt_tokens, usage.prompt_tokens)
    completion = _larger(known.completion_tokens, usage.completion_tokens)
    total = _larger(known.total_tokens, usage.total_tokens)
    if total is not None:
        prompt, completion = _within(total, prompt, completion)
    return ReportedUsage(
        prompt,
        completion,
        total,
        max(known.cached_tokens, usage.cached_tokens),
        max(known.reasoning_tokens, usage.reasoning_tokens),
    )


def _within(total: int, prompt: int | None, completion: int | None) -> tuple[int | None, int | None]:
    """Return both halves of a total, as far as they follow from it."""
    if prompt is None and completion is not None and total >= completion:
        prompt = total - completion
    elif prompt is not None and total > prompt + (completion or 0):
        # xAI and Gemini leave the reasoning out of the completion, and have it in the total.
        completion = total - prompt
    return prompt, completion


def _larger(one: int | None, other: int | None) -> int | None:
    return max((count for count in (one, other) if count is not None), default=None)


def _places(data: dict[str, Any]) -> Iterator[Any]:
    yield from (_at(data, place) for place in PLACES)
    yield from (value.get("usage") for value in data.values() if isinstance(value, dict))  # x_groq, metadata
    choices = data.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        yield from (_at(choice, place) for place in CHOICE_PLACES)


def _first(wire: dict[str, Any], paths: tuple[Path, ...]) -> int | None:
    """Return the first count above zero, else zero if any count is known, else None."""
    found = None
    for path in paths:
        if path[0] in wire and (count := _count(wire, path)) is not None:
            if count:
                return count
            found = 0
    return found


def _count(wire: dict[str, Any], path: Path) -> int | None:
    value = _at(wire, path)
    if isinstance(value, str):
        try:
            value = float(value.replace(",", ""))
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return int(value) if 0 <= value <= MOST_TOKENS else None


def _at(wire: Any, path: Path) -> Any:
    for name in path:
        wire = wire.get(name) if isinstance(wire, dict) else None
    return wire
