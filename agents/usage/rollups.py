"""Sums of closed requests by quarter of an hour, kept while the requests are closed."""

import uuid
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from django.db import connection
from django.db.models import F

from agents.models import Status, UsageRecord, UsageRollup
from agents.models.rollup import HISTOGRAM_BOUNDS, HISTOGRAM_BUCKETS, QUARTER_HOUR, ROLLUP_NAMESPACE

DIMENSIONS = ("id", "start", "agent_id", "agent_name", "api_key_id", "api_key_name", "provider", "model")
FIELDS = {field.name: field for field in UsageRollup._meta.concrete_fields}
COUNTS = tuple(name for name in FIELDS if name not in DIMENSIONS)
STATUS_COUNTS = {Status.FAILED: "failed", Status.CANCELLED: "cancelled", Status.LOST: "lost"}


def quarter_hour(moment: datetime) -> datetime:
    seconds = int(moment.timestamp())
    return datetime.fromtimestamp(seconds - seconds % QUARTER_HOUR, UTC)


def bucket(milliseconds: int) -> str:
    """Return the histogram bucket that a duration falls in."""
    return HISTOGRAM_BUCKETS[bisect_left(HISTOGRAM_BOUNDS, milliseconds)]


def add_to_rollups(closed: Iterable[UsageRecord]) -> None:
    """Add closed requests to their rows; belongs in the transaction that closes them."""
    _add(map(_contribution, closed))


def take_back_lost(row: UsageRecord) -> None:
    """Take a request out again that was counted as lost, before it is counted for what it turned out to be."""
    (rollup_id, *_), counts = _contribution(row)
    less = {name: F(name) - value for name, value in counts.items() if value}
    UsageRollup.objects.filter(pk=rollup_id).update(**less)


Dimensions = tuple[Any, ...]


def _contribution(row: UsageRecord) -> tuple[Dimensions, dict[str, Any]]:
    start = quarter_hour(row.started_at)
    named = (start, row.agent_id, row.agent_name, row.api_key_id, row.api_key_name, row.provider, row.model)
    rollup_id = uuid.uuid5(ROLLUP_NAMESPACE, "\x1f".join(map(str, named)))
    counts: dict[str, Any] = {
        "requests": 1,
        "streamed": int(row.streamed),
        "prompt_tokens": row.prompt_tokens,
        "completion_tokens": row.completion_tokens,
        "cached_tokens": row.cached_tokens,
        "reasoning_tokens": row.reasoning_tokens,
        "cost": row.cost or 0,
        "unpriced": int(row.cost is None and row.status != Status.LOST),
        "llm_calls": row.llm_calls,
        "tool_calls": row.tool_calls,
    }
    if name := STATUS_COUNTS.get(Status(row.status)):
        counts[name] = 1
    if row.duration_ms is not None:
        counts[f"duration_{bucket(row.duration_ms)}"] = 1
    if row.first_token_ms is not None:
        counts[f"first_token_{bucket(row.first_token_ms)}"] = 1
    return (rollup_id, *named), counts


def _add(contributions: Iterable[tuple[Dimensions, dict[str, Any]]]) -> None:
    sums: dict[Dimensions, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(COUNTS, 0))
    for dimensions, counts in contributions:
        row = sums[dimensions]
        for name, value in counts.items():
            row[name] += value
    # In one order everywhere, so that two writers never wait for each other in a circle.
    rows = [(*dimensions, *counts.values()) for dimensions, counts in sorted(sums.items(), key=lambda item: item[0][0])]
    if not rows:
        return
    fields = [FIELDS[name] for name in (*DIMENSIONS, *COUNTS)]
    prepared = [
        [field.get_db_prep_save(value, connection) for field, value in zip(fields, row, strict=True)] for row in rows
    ]
    with connection.cursor() as cursor:
        cursor.executemany(UPSERT, prepared)


def _upsert() -> str:
    """Return the statement that adds to a row or creates it; SQLite and PostgreSQL share its form."""
    table = UsageRollup._meta.db_table
    columns = (*DIMENSIONS, *COUNTS)
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join(['%s'] * len(columns))}) "
        f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{name} = {table}.{name} + excluded.{name}' for name in COUNTS)}"
    )


UPSERT = _upsert()
