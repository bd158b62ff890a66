"""The rows of budgets that change with every run, by statements made once: the ORM would take 9 ms a run for them.

All functions here work in the transaction of the driver's cursor that they are given. `amounts` are in the budget's
unit, as the tables have them.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from functools import cache as once
from functools import partial
from typing import Any
from uuid import UUID

from django.db import connection, transaction
from django.utils import timezone
from msgspec import Struct

from agents.limits import alerts
from agents.models import Budget, BudgetPeriod, Reservation, Unit
from agents.models.money import MOST_INTEGER
from agents.sql.driver import PLACE, execute_each, places

PERIODS, RESERVATIONS = BudgetPeriod._meta.db_table, Reservation._meta.db_table
[START] = [field for field in BudgetPeriod._meta.concrete_fields if field.name == "start"]
[RECORD_ID] = [field for field in Reservation._meta.concrete_fields if field.name == "record_id"]
RESERVE = f"INSERT INTO {RESERVATIONS} (record_id, budget_period_id, amount, least) VALUES ({places(range(4))})"
SAVE = f"UPDATE {PERIODS} SET spent = {PLACE}, reserved = {PLACE}, assumed = {PLACE} WHERE id = {PLACE}"
LOST = (
    "SELECT r.record_id, r.amount, r.least, b.unit, p.id, p.spent, p.reserved, p.assumed "
    f"FROM {RESERVATIONS} r JOIN {PERIODS} p ON p.id = r.budget_period_id "
    f"JOIN {Budget._meta.db_table} b ON b.id = p.budget_id WHERE r.record_id IN"
)


class PeriodRow(Struct, eq=False):
    """What is spent and reserved in one period of a budget, whose `limit` and `warn_percent` these are."""

    id: int
    budget_id: int
    start: datetime
    spent: int
    reserved: int
    assumed: int
    warned: bool
    limit: int
    warn_percent: int


def locked_periods(cursor: Any, wanted: Collection[tuple[int, datetime]]) -> dict[tuple[int, datetime], PeriodRow]:
    """Return the rows of these budgets' periods, new ones too, locked to the transaction's end.

    A budget that is deleted has none.
    """
    rows = _select(cursor, wanted)
    if missing := set(wanted) - rows.keys():
        there = set(Budget.objects.filter(pk__in={budget for budget, _ in missing}).values_list("pk", flat=True))
        new = [BudgetPeriod(budget_id=pk, start=start) for pk, start in sorted(missing) if pk in there]
        if new:
            BudgetPeriod.objects.bulk_create(new, ignore_conflicts=True)
            rows = _select(cursor, wanted)
    return rows


def save_periods(cursor: Any, rows: Collection[PeriodRow]) -> None:
    """Write the rows, and have a warning sent for each that has come to its threshold, once."""
    kept = [(min(row.spent, MOST_INTEGER), row.reserved, min(row.assumed, MOST_INTEGER), row.id) for row in rows]
    execute_each(cursor, SAVE, kept)
    for row in rows:
        if not row.warned and row.spent and row.spent * 100 >= row.limit * row.warn_percent:
            row.warned = True
            BudgetPeriod.objects.filter(pk=row.id).update(warned_at=timezone.now())
            period = BudgetPeriod.objects.select_related("budget__api_key", "budget__agent").get(pk=row.id)
            warning = alerts.BudgetWarning.about(period.budget, period)
            transaction.on_commit(partial(alerts.send, warning), robust=True)


def make_reservations(cursor: Any, made: Iterable[tuple[UUID, int, int, int]]) -> None:
    """Enter how much runs have reserved: the run, the period, the amount, and what counts if the run is lost."""
    execute_each(cursor, RESERVE, [(RECORD_ID.get_db_prep_save(run, connection), *rest) for run, *rest in made])


def take_reservations(cursor: Any, record_ids: Collection[UUID]) -> dict[UUID, dict[int, int]]:
    """Delete the reservations of these runs and return their amounts, by run and period."""
    amounts: dict[UUID, dict[int, int]] = defaultdict(dict)
    if not record_ids:
        return amounts
    ids = {RECORD_ID.get_db_prep_save(record_id, connection): record_id for record_id in record_ids}
    of_runs = f"FROM {RESERVATIONS} WHERE record_id IN ({places(ids)})"
    cursor.execute(f"SELECT record_id, budget_period_id, amount {of_runs}", [*ids])
    found = cursor.fetchall()
    if found:
        cursor.execute(f"DELETE {of_runs}", [*ids])
    for stored, period_id, amount in found:
        amounts[ids[stored]][period_id] = amount
    return amounts


def settle_lost(cursor: Any, unpriced: Mapping[UUID, bool]) -> None:
    """Release what lost runs had reserved, and enter the least they may have used as spent.

    `unpriced` holds for each run whether its model has no known price, so that the least is an assumed amount.
    """
    ids = {RECORD_ID.get_db_prep_save(record_id, connection): record_id for record_id in unpriced}
    if not ids:
        return
    cursor.execute(f"{LOST} ({places(ids)})", [*ids])
    periods: dict[int, tuple[int, int, int]] = {}
    for stored, amount, least, unit, period_id, *stands in cursor.fetchall():
        spent, reserved, assumed = periods.get(period_id, stands)
        if unit == Unit.USD and unpriced[ids[stored]]:
            assumed += least
        periods[period_id] = spent + least, reserved - amount, assumed
    take_reservations(cursor, unpriced.keys())
    for period_id, (spent, reserved, assumed) in sorted(periods.items()):
        cursor.execute(SAVE, [min(spent, MOST_INTEGER), reserved, min(assumed, MOST_INTEGER), period_id])


def _select(cursor: Any, wanted: Collection[tuple[int, datetime]]) -> dict[tuple[int, datetime], PeriodRow]:
    budgets = {budget for budget, _ in wanted}
    starts = {START.get_db_prep_save(start, connection) for _, start in wanted}
    where = f"p.budget_id IN ({places(budgets)}) AND p.start IN ({places(starts)})"
    # In one order everywhere, so that two processes never wait for each other in a circle.
    cursor.execute(f"{_select_from()} WHERE {where} ORDER BY p.id {_lock()}", [*budgets, *starts])
    rows = [PeriodRow(*values) for values in cursor.fetchall()]
    for row in rows:
        row.start = row.start.replace(tzinfo=UTC)  # SQLite has times without zone
    return {(row.budget_id, row.start): row for row in rows if (row.budget_id, row.start) in wanted}


@once
def _select_from() -> str:
    limit = connection.ops.quote_name("limit")
    return (
        "SELECT p.id, p.budget_id, p.start, p.spent, p.reserved, p.assumed, p.warned_at IS NOT NULL, "
        f"b.{limit}, b.warn_percent FROM {PERIODS} p JOIN {Budget._meta.db_table} b ON b.id = p.budget_id"
    )


@once
def _lock() -> str:
    return "FOR UPDATE OF p" if connection.features.has_select_for_update else ""
