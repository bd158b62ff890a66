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
from agents.types import Message, ModelSpec, Prices, Usage
from agents.usage import estimates

OUTPUT_TOKENS = 4096  # what a model is taken to write at most if nothing is known of it


def output_cap(models: Iterable[ModelSpec], max_tokens: int | None) -> int:
    """Return how many tokens one answer may have."""
    return max_tokens or max((model.max_output_tokens or OUTPUT_TOKENS for model in models), default=OUTPUT_TOKENS)


def call_tokens(messages: list[Message], models: tuple[ModelSpec, ...], max_tokens: int | None) -> Usage:
    """Return what one LLM call is taken to use at most."""
    return Usage(estimates.prompt_tokens(messages), output_cap(models, max_tokens))


class Spending(Struct):
    """One run's part in the budgets that it counts for."""

    budgets: tuple[BudgetSpec, ...]
    models: tuple[ModelSpec, ...]
    max_tokens: int | None
    highest: Prices | None

    def hold(self, record_id: UUID, began: datetime, first_call: Usage) -> Hold:
        """Return what the run must reserve before it begins. Raises BudgetExceeded where a price must be known."""
        if settings.OPENFANG_UNKNOWN_PRICE == "refuse" and any(budget.unit is Unit.USD for budget in self.budgets):
            for model in self.models:
                if model.prices.cost(Usage()) is None:
                    raise BudgetExceeded(
                        f"The price of the model {model.name!r} is unknown, so a budget in dollars cannot cover it."
                    )
        return Hold(record_id, began, self.budgets, self._amounts(first_call))

    def next_call(self, messages: list[Message]) -> Amounts:
        """Return what another LLM call uses at most."""
        return self._amounts(call_tokens(messages, self.models, self.max_tokens))

    def _amounts(self, usage: Usage) -> Amounts:
        """Return what a call that uses these tokens takes of budgets, at the price of the dearest of the models."""
        dearest = max((self._usd(model.prices, usage)[0] for model in self.models), default=0)
        return Amounts(usage.prompt_tokens + usage.completion_tokens, dearest)

    def used(self, steps: Iterable[UsageStep]) -> Amounts:
        """Return what these steps have used."""
        return sum((self._of(step) for step in steps if step.kind == StepKind.LLM), Amounts())

    def _of(self, step: UsageStep) -> Amounts:
        usage = Usage(step.prompt_tokens, step.completion_tokens)
        if step.cost is not None:
            return Amounts(step.total_tokens, int(step.cost * PICO))
        usd, assumed = self._usd(Prices(), usage)
        return Amounts(step.total_tokens, usd, usd if assumed else 0)

    def _usd(self, prices: Prices, usage: Usage) -> tuple[int, bool]:
        """Return a price in picodollars, and whether another price stood in for an unknown one."""
        cost, assumed = prices.cost(usage), False
        if cost is None and settings.OPENFANG_UNKNOWN_PRICE != "free" and self.highest is not None:
            cost, assumed = self.highest.cost(usage), True
        return int((cost or 0) * PICO), assumed
