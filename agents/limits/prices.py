"""The price that stands in for an unknown one."""

from collections.abc import Iterable

from agents.types import ModelSpec, Prices


def highest_prices(models: Iterable[ModelSpec]) -> Prices | None:
    """Return the highest known price of a prompt token and of a written one, if any is known."""
    known = [model.prices for model in models]
    prompts = [prices.prompt for prices in known if prices.prompt is not None]
    completions = [prices.completion for prices in known if prices.completion is not None]
    return Prices(prompt=max(prompts), completion=max(completions)) if prompts and completions else None
