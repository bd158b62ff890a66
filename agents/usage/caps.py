"""Limits to what a provider can report: counts that one call of a model cannot have are cut down to what it can."""

import logging

from agents.types import ModelSpec, Usage

logger = logging.getLogger(__name__)

MOST_TOKENS = 10_000_000  # of a model whose limits are unknown
TOLERANCE_PERCENT = 10  # some providers count template tokens beyond the limits they publish

_reported: set[tuple[str, str]] = set()


def capped(usage: Usage, model: ModelSpec) -> Usage:
    """Return what is possible of a reported usage: all of it, nearly always. The first cap of a model is logged."""
    prompt = min(usage.prompt_tokens, _most(model.context_window))
    completion = min(usage.completion_tokens, _most(model.max_output_tokens or model.context_window))
    reasoning = min(usage.reasoning_tokens, _most(model.max_output_tokens or model.context_window))
    if (prompt, completion, reasoning) == (usage.prompt_tokens, usage.completion_tokens, usage.reasoning_tokens):
        return usage
    _report(usage, model)
    return Usage(prompt, completion, min(usage.cached_tokens, prompt), reasoning)


def _most(limit: int | None) -> int:
    return MOST_TOKENS if limit is None else limit + limit * TOLERANCE_PERCENT // 100


def _report(usage: Usage, model: ModelSpec) -> None:
    name = (model.provider.name, model.name)
    if name not in _reported:
        _reported.add(name)
        logger.warning(
            "%s reports %d prompt and %d completion tokens for one call of %s, which cannot be. Its counts are capped: "
            "check the model's context window and output limit, or the provider.",
            model.provider.label,
            usage.prompt_tokens,
            usage.completion_tokens,
            model.name,
        )
