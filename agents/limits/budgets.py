"""Budgets that hold: a run reserves what it may use up before it begins, and what it has used is settled at its end.

All functions here belong in a transaction of the ledger. The rows of the periods are locked while they are changed, so
that of any number of requests at once exactly those begin that can be paid for.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from msgspec import Struct

from agents.errors import BudgetExceeded
from agents.limits.periods import PeriodRow, locked_periods, make_reservations, save_periods, take_reservations
from agents.limits.turns import own_turn
from agents.models import Period, Unit


class BudgetSpec(Struct, frozen=True):
    """A budget as runs meet it; how large it is, only the database knows."""

    id: int
    whose: str
    period: Period
    unit: Unit

    def exceeded(self, start: datetime) -> BudgetExceeded:
        """Return the error of a request that this budget does not cover."""
        every = "daily" if self.period is Period.DAY else "monthly"
        return BudgetExceeded(
            f"The {every} budget of {self.whose} is used up: what is left does not cover this request. "
            f"It resets at {self.period.end(start):%Y-%m-%d %H:%M} UTC."
        )


class Amounts(Struct, frozen=True):
    """What something uses, in every unit that a budget may have; `assumed` is the part of `usd` at assumed prices."""

    tokens: int = 0
    usd: int = 0
    assumed: int = 0

    def of(self, unit: Unit) -> int:
        return self.usd if unit is Unit.USD else self.tokens

    def __add__(self, other: "Amounts") -> "Amounts":
        return Amounts(self.tokens + other.tokens, self.usd + other.usd, self.assumed + other.assumed)

    def covers(self, other: "Amounts") -> bool:
        return self.tokens >= other.tokens and self.usd >= other.usd

    def at_least(self, other: "Amounts") -> "Amounts":
        return Amounts(max(self.tokens, other.tokens), max(self.usd, other.usd))


class Hold(Struct, eq=False):
    """What one run holds of its budgets, in the periods in which it began; `refusal` if it could not have it.

    `least` counts as spent if the run is lost with its process, and `charged` is what was entered so for a run that was
    taken for lost. `starts` are the periods' beginnings, budget by budget.
    """

    record_id: UUID
    began: datetime
    budgets: tuple[BudgetSpec, ...]
    reserved: Amounts
    least: Amounts = Amounts()
    used: Amounts = Amounts()
    charged: Amounts = Amounts()
    refusal: BudgetExceeded | None = None
    starts: tuple[tuple[BudgetSpec, datetime], ...] = ()

    def __post_init__(self) -> None:
        self.starts = tuple((budget, budget.period.start(self.began)) for budget in self.budgets)


def enter(cursor: Any, *, ended: Collection[Hold] = (), begun: Collection[Hold] = ()) -> None:
    """Enter what runs that have ended used, in place of what they had reserved, and reserve for runs that begin.

    Those that cannot have it get their `refusal`; those that come first are served first.
    """
    if not (ended or begun):
        return
    periods = Periods(cursor, [*ended, *begun])
    held = take_reservations(cursor, [hold.record_id for hold in ended])
    for hold in ended:
        for budget, row in periods.of(hold):
            row.reserved -= held[hold.record_id].get(row.id, 0)
            row.spent += hold.used.of(budget.unit) - hold.charged.of(budget.unit)
            row.assumed += hold.used.assumed - hold.charged.assumed if budget.unit is Unit.USD else 0
    made: list[tuple[UUID, int, int, int]] = []
    for hold in begun:
        hold.refusal = periods.refusal(hold, hold.reserved)
        if hold.refusal is None:
            made += periods.reserve(hold, hold.reserved)
    if made:
        make_reservations(cursor, made)
    periods.save()


def extend(hold: Hold, needed: Amounts) -> BudgetExceeded | None:
    """Reserve more for a run under way, or return why that cannot be done."""
    with own_turn() as cursor:
        periods = Periods(cursor, [hold])
        held = take_reservations(cursor, [hold.record_id])[hold.record_id]
        for _, row in periods.of(hold):
            row.reserved -= held.get(row.id, 0)
        refusal = periods.refusal(hold, needed)
        hold.reserved = hold.reserved if refusal else needed
        make_reservations(cursor, periods.reserve(hold, hold.reserved))
        periods.save()
    return refusal


class Periods:
    """The locked rows of all the periods that some runs touch."""

    def __init__(self, cursor: Any, holds: Iterable[Hold]) -> None:
        self._cursor = cursor
        self._rows = locked_periods(cursor, {(budget.id, start) for hold in holds for budget, start in hold.starts})

    def of(self, hold: Hold) -> list[tuple[BudgetSpec, PeriodRow]]:
        found = ((budget, self._rows.get((budget.id, start))) for budget, start in hold.starts)
        return [(budget, row) for budget, row in found if row is not None]

    def refusal(self, hold: Hold, amounts: Amounts) -> BudgetExceeded | None:
        """Return why these amounts cannot be had, if they cannot. What costs nothing can always be had."""
        for budget, row in self.of(hold):
            amount = amounts.of(budget.unit)
            if amount and row.spent + row.reserved + amount > row.limit:
                return budget.exceeded(row.start)
        return None

    def reserve(self, hold: Hold, amounts: Amounts) -> list[tuple[UUID, int, int, int]]:
        made = []
        for budget, row in self.of(hold):
            amount = amounts.of(budget.unit)
            row.reserved += amount
            made.append((hold.record_id, row.id, amount, hold.least.of(budget.unit)))
        return made

    def save(self) -> None:
        save_periods(self._cursor, self._rows.values())
