"""Sums of closed requests by quarter of an hour and by day, kept while the requests are closed."""

import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from django.db import connection, models
from django.db.models import F

from agents.models import DailyRollup, EndUserDay, Status, UsageRecord, UsageRollup
from agents.models.money import MOST_INTEGER
from agents.models.rollup import HISTOGRAM_BOUNDS, HISTOGRAM_BUCKETS, QUARTER_HOUR, ROLLUP_NAMESPACE
from agents.sql.driver import PLACE, places

STATUS_COUNTS = {Status.FAILED: "failed", Status.CANCELLED: "cancelled", Status.LOST: "lost"}
BY_WHAT = ("agent_id", "agent_name", "api_key_id", "api_key_name", "provider", "model")

Place = tuple[Any, ...]
Counts = dict[str, Any]


def quarter_hour(moment: datetime) -> datetime:
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % QUARTER_HOUR, UTC)


def day(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def bucket(milliseconds: int) -> str:
    """Return the histogram bucket that a duration falls in."""
    return HISTOGRAM_BUCKETS[bisect_left(HISTOGRAM_BOUNDS, milliseconds)]


class Sums:
    """A table of sums: a row for each start of its spans and each set of what the requests have in common."""

    def __init__(
        self, table: type[models.Model], start: Callable[[datetime], datetime], dimensions: tuple[str, ...]
    ) -> None:
        self._table = table
        self._start = start
        self._dimensions = dimensions
        placing = ("id", "start", *dimensions)
        fields = {field.name: field for field in table._meta.concrete_fields}
        self._counts = dict.fromkeys(name for name in fields if name not in placing)
        self._placing = [fields[name] for name in placing]
        self._cost = fields["cost"]
        self._upsert = self._statement([*placing, *self._counts])

    def add(self, cursor: Any, closed: Iterable[tuple[UsageRecord, Counts]]) -> None:
        sums: dict[Place, Counts] = {}
        for record, counts in closed:
            row = sums.setdefault(self._place(record), {})
            for name, value in counts.items():
                if value and name in self._counts:
                    row[name] = row.get(name, 0) + value
        # In one order everywhere, so that two writers never wait for each other in a circle.
        for place, row in sorted(sums.items(), key=lambda item: item[0][0]):
            if "cost" in row:
                row["cost"] = self._cost.get_prep_value(row["cost"])
            for name, value in row.items():
                row[name] = min(value, MOST_INTEGER)
            # The row is there nearly always, and then ten of its columns are written and not all the fifty.
            added = [number for value in row.values() for number in (MOST_INTEGER - value, value)]
            cursor.execute(_adding(self._table._meta.db_table, *row), [*added, place[0]])
            if cursor.rowcount == 0:
                cursor.execute(self._upsert, self._whole_row(place, row))

    def _whole_row(self, place: Place, counts: Counts) -> list[Any]:
        """Return a row as the database takes it; counts it takes as they are."""
        placing = [field.get_db_prep_save(value, connection) for field, value in zip(self._placing, place, strict=True)]
        return [*placing, *(counts.get(name, 0) for name in self._counts)]

    def take_back(self, record: UsageRecord) -> None:
        counts = {name: value for name, value in _counts(record).items() if value and name in self._counts}
        if "cost" in counts:  # as the column has it: an expression would subtract dollars from picodollars
            counts["cost"] = self._cost.get_prep_value(counts["cost"])
        less = {name: F(name) - value for name, value in counts.items()}
        self._table._default_manager.filter(pk=self._place(record)[0]).update(**less)

    def _place(self, record: UsageRecord) -> Place:
        named = (self._start(record.started_at), *(getattr(record, name) for name in self._dimensions))
        return (_row_id(named), *named)

    def _statement(self, columns: list[str]) -> str:
        """Return the statement that adds to a row or creates it; SQLite and PostgreSQL share its form."""
        table = self._table._meta.db_table
        added = ", ".join(f"{name} = {table}.{name} + excluded.{name}" for name in self._counts)
        return (
            f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places(columns)}) "
            f"ON CONFLICT (id) DO UPDATE SET {added}"
        )


@lru_cache(maxsize=1024)
def _adding(table: str, *names: str) -> str:
    """Return the statement that adds to a row. A sum stops at the column's end: past it every later add would fail."""
    least = "min" if connection.vendor == "sqlite" else "least"
    added = ", ".join(f"{name} = {least}({name}, {PLACE}) + {PLACE}" for name in names)
    return f"UPDATE {table} SET {added} WHERE id = {PLACE}"


@lru_cache(maxsize=1024)
def _row_id(named: tuple[Any, ...]) -> Any:
    """Return the id of the row of these dimensions, as the database takes it."""
    row_id = uuid.uuid5(ROLLUP_NAMESPACE, "\x1f".join(map(str, named)))
    return UsageRollup._meta.pk.get_db_prep_save(row_id, connection)


BY_QUARTER_HOUR = Sums(UsageRollup, quarter_hour, BY_WHAT)
BY_DAY = Sums(DailyRollup, day, BY_WHAT)
BY_END_USER = Sums(EndUserDay, day, ("end_user",))


def add_to_rollups(cursor: Any, closed: Iterable[UsageRecord]) -> None:
    """Add closed requests to their rows, in the transaction that closes them."""
    counted = [(record, _counts(record)) for record in closed]
    BY_QUARTER_HOUR.add(cursor, counted)
    BY_DAY.add(cursor, counted)
    BY_END_USER.add(cursor, ((record, counts) for record, counts in counted if record.end_user))


def take_back_lost(record: UsageRecord) -> None:
    """Take a request out again that was counted as lost, before it is counted for what it turned out to be."""
    for sums in (BY_QUARTER_HOUR, BY_DAY, BY_END_USER):
        sums.take_back(record)


def _counts(record: UsageRecord) -> Counts:
    counts: Counts = {
        "requests": 1,
        "streamed": int(record.streamed),
        "prompt_tokens": record.prompt_tokens,
        "completion_tokens": record.completion_tokens,
        "cached_tokens": record.cached_tokens,
        "reasoning_tokens": record.reasoning_tokens,
        "cost": record.cost or 0,
        "unpriced": int(record.cost is None and (record.status != Status.LOST or record.prompt_tokens > 0)),
        "llm_calls": record.llm_calls,
        "tool_calls": record.tool_calls,
    }
    if name := STATUS_COUNTS.get(Status(record.status)):
        counts[name] = 1
    if record.duration_ms is not None:
        counts[f"duration_{bucket(record.duration_ms)}"] = 1
    if record.first_token_ms is not None:
        counts[f"first_token_{bucket(record.first_token_ms)}"] = 1
    return counts
