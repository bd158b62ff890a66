"""What a run may cost: an estimate before each LLM call, what it came to at its end."""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.conf import settings
from msgspec import Struct

from agents.errors import BudgetExceeded
from agents.limits.budgets import Amounts, BudgetSpec, Hold
from agents.models import StepKind, Unit, UsageStep
from agents.models.money import PICO
from agents.types import ModelSpec, Prices, PromptEstimate, Usage
from agents.usage import estimates

OUTPUT_TOKENS = 4096  # what a model is taken to write at most if nothing is known of it


def output_cap(models: Iterable[ModelSpec], max_tokens: int | None) -> int:
    """Return how many tokens one answer may have."""
    return max_tokens or max((model.max_output_tokens or OUTPUT_TOKENS for model in models), default=OUTPUT_TOKENS)


def call_tokens(estimate: PromptEstimate, models: Iterable[ModelSpec], cap: int) -> int:
    """Return the most tokens that one call of any of these models is taken to use."""
    return max(estimates.prompt_tokens(estimate, model) for model in models) + cap


class Spending(Struct):
    """One run's part in the budgets that it counts for; an answer of its models has at most `cap` tokens."""

    budgets: tuple[BudgetSpec, ...]
    models: tuple[ModelSpec, ...]
    cap: int
    highest: Prices | None
    in_dollars: bool = False

    def __post_init__(self) -> None:
        self.in_dollars = any(budget.unit is Unit.USD for budget in self.budgets)

    def hold(self, record_id: UUID, began: datetime, estimate: PromptEstimate) -> Hold:
        """Return what the run must reserve before it begins. Raises BudgetExceeded where a price must be known."""
        if settings.OPENFANG_UNKNOWN_PRICE == "refuse" and self.in_dollars:
            for model in self.models:
                if model.prices.cost(Usage()) is None:
                    raise BudgetExceeded(
                        f"The price of the model {model.name!r} is unknown, so a budget in dollars cannot cover it."
                    )
        reserved = Amounts()
        for model in self.models:
            reserved = reserved.at_least(self.next_call(estimate, model))
        least = self._amounts(self.models[0].prices, Usage(estimates.prompt_tokens(estimate, self.models[0])))
        return Hold(record_id, began, self.budgets, reserved, least)

    def next_call(self, estimate: PromptEstimate, model: ModelSpec) -> Amounts:
        """Return the most that one call of a model is taken to use."""
        return self._amounts(model.prices, Usage(estimates.prompt_tokens(estimate, model), self.cap))

    def used(self, steps: Iterable[UsageStep]) -> Amounts:
        """Return what these steps have used."""
        return sum((self._of(step) for step in steps if step.kind == StepKind.LLM), Amounts())

    def _of(self, step: UsageStep) -> Amounts:
        if not self.in_dollars:
            return Amounts(step.total_tokens)
        if step.cost is not None:
            return Amounts(step.total_tokens, int(step.cost * PICO))
        return self._amounts(Prices(), Usage(step.prompt_tokens, step.completion_tokens))

    def _amounts(self, prices: Prices, usage: Usage) -> Amounts:
        """Return what tokens take of the budgets, in dollars only where these count."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        if not self.in_dollars:
            return Amounts(tokens)
        cost, assumed = prices.cost(usage), False
        if cost is None and settings.OPENFANG_UNKNOWN_PRICE != "free" and self.highest is not None:
            cost, assumed = self.highest.cost(usage), True
        usd = int((cost or 0) * PICO)
        return Amounts(tokens, usd, usd if assumed else 0)
