"""Budgets that hold: a run reserves what it may use up before it begins, and what it has used is settled at its end.

All functions here belong in a transaction of the ledger. The rows of the periods are locked while they are changed, so
that of any number of requests at once exactly those begin that can be paid for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import partial
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from msgspec import Struct, field

from agents.errors import BudgetExceeded
from agents.limits import alerts
from agents.limits.turns import own_turn
from agents.models import Budget, BudgetPeriod, Period, Reservation, Unit


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
    """What one run holds of its budgets, in the periods in which it began; `refusal` if it could not have it."""

    record_id: UUID
    began: datetime
    budgets: tuple[BudgetSpec, ...]
    reserved: Amounts
    used: Amounts = field(default_factory=Amounts)
    refusal: BudgetExceeded | None = None

    def starts(self) -> Iterable[tuple[BudgetSpec, datetime]]:
        return ((budget, budget.period.start(self.began)) for budget in self.budgets)


def reserve(holds: Collection[Hold]) -> None:
    """Reserve for runs that begin, or set their `refusal`; those that come first are served first."""
    if not holds:
        return
    periods = Periods(holds)
    made: list[Reservation] = []
    for hold in holds:
        hold.refusal = periods.refusal(hold, hold.reserved)
        if hold.refusal is None:
            made += periods.reserve(hold, hold.reserved)
    Reservation.objects.bulk_create(made)
    periods.save()


def settle(holds: Collection[Hold]) -> None:
    """Enter what runs have used that are over, in place of what they had reserved."""
    if not holds:
        return
    periods = Periods(holds)
    held = _take_reservations([hold.record_id for hold in holds])
    for hold in holds:
        for budget, row in periods.of(hold):
            row.reserved -= held[hold.record_id].get(row.pk, 0)
            row.spent += hold.used.of(budget.unit)
            row.assumed += hold.used.assumed if budget.unit is Unit.USD else 0
    periods.save()


def extend(hold: Hold, needed: Amounts) -> BudgetExceeded | None:
    """Reserve more for a run under way, or return why that cannot be done."""
    with own_turn():
        periods = Periods([hold])
        held = _take_reservations([hold.record_id])[hold.record_id]
        for _, row in periods.of(hold):
            row.reserved -= held.get(row.pk, 0)
        refusal = periods.refusal(hold, needed)
        hold.reserved = hold.reserved if refusal else needed
        Reservation.objects.bulk_create(periods.reserve(hold, hold.reserved))
        periods.save()
    return refusal


def release(record_ids: Collection[UUID]) -> None:
    """Give back what runs held that are no more."""
    reservations = list(Reservation.objects.filter(record_id__in=record_ids))
    if not reservations:
        return
    rows = {
        row.pk: row
        for row in BudgetPeriod.objects.select_for_update()
        .filter(pk__in={reservation.budget_period_id for reservation in reservations})
        .order_by("pk")
    }
    for amounts in _take_reservations(record_ids).values():
        for pk, amount in amounts.items():
            rows[pk].reserved -= amount
    BudgetPeriod.objects.bulk_update(rows.values(), ["reserved"], batch_size=200)


class Periods:
    """The locked rows of all the periods that some runs touch; a budget that is deleted has none."""

    def __init__(self, holds: Iterable[Hold]) -> None:
        wanted = {(budget.id, start) for hold in holds for budget, start in hold.starts()}
        self._budgets = {row.pk: row for row in Budget.objects.filter(pk__in={pk for pk, _ in wanted})}
        wanted = {(pk, start) for pk, start in wanted if pk in self._budgets}
        self._rows = self._locked(wanted)
        if missing := wanted - self._rows.keys():
            new = [BudgetPeriod(budget_id=pk, start=start) for pk, start in sorted(missing)]
            BudgetPeriod.objects.bulk_create(new, ignore_conflicts=True)
            self._rows = self._locked(wanted)

    def _locked(self, wanted: set[tuple[int, datetime]]) -> dict[tuple[int, datetime], BudgetPeriod]:
        # In one order everywhere, so that two processes never wait for each other in a circle.
        rows = BudgetPeriod.objects.select_for_update().filter(
            budget__in={pk for pk, _ in wanted}, start__in={start for _, start in wanted}
        )
        return {(row.budget_id, row.start): row for row in rows.order_by("pk")}

    def of(self, hold: Hold) -> list[tuple[BudgetSpec, BudgetPeriod]]:
        found = ((budget, self._rows.get((budget.id, start))) for budget, start in hold.starts())
        return [(budget, row) for budget, row in found if row is not None]

    def refusal(self, hold: Hold, amounts: Amounts) -> BudgetExceeded | None:
        """Return why these amounts cannot be had, if they cannot. What costs nothing can always be had."""
        for budget, row in self.of(hold):
            amount = amounts.of(budget.unit)
            if amount and row.spent + row.reserved + amount > self._budgets[budget.id].limit:
                return budget.exceeded(row.start)
        return None

    def reserve(self, hold: Hold, amounts: Amounts) -> list[Reservation]:
        made = []
        for budget, row in self.of(hold):
            amount = amounts.of(budget.unit)
            row.reserved += amount
            made.append(Reservation(record_id=hold.record_id, budget_period=row, amount=amount))
        return made

    def save(self) -> None:
        """Write the rows, and have a warning sent for each that has come to its threshold, once."""
        for row in self._rows.values():
            budget = self._budgets[row.budget_id]
            if row.warned_at is None and row.spent and row.spent * 100 >= budget.limit * budget.warn_percent:
                row.warned_at = timezone.now()
                transaction.on_commit(partial(alerts.send, alerts.BudgetWarning.about(budget, row)))
        BudgetPeriod.objects.bulk_update(
            self._rows.values(), ["spent", "reserved", "assumed", "warned_at"], batch_size=200
        )


def _take_reservations(record_ids: Collection[UUID]) -> dict[UUID, dict[int, int]]:
    """Delete the reservations of these runs and return their amounts, by run and period."""
    amounts: dict[UUID, dict[int, int]] = defaultdict(dict)
    if record_ids:
        reservations = Reservation.objects.filter(record_id__in=record_ids)
        for record_id, period_id, amount in reservations.values_list("record_id", "budget_period_id", "amount"):
            amounts[record_id][period_id] = amount
        reservations.delete()
    return amounts
