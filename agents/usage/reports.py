"""What was used in a period, from the sums alone: by agent, by key, by model, and in the course of time.

Whole days are read from the sums by day, what is left at the edges from those by quarter of an hour.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from operator import add
from typing import Any

from django.db.models import Sum

from agents.models import DailyRollup, UsageRollup
from agents.models.rollup import HISTOGRAM_BUCKETS
from agents.usage.percentiles import about
from agents.usage.periods import DAY, Period, Stretch
from agents.usage.rollups import day

NUMBERS = (
    "requests",
    "failed",
    "cancelled",
    "lost",
    "streamed",
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "reasoning_tokens",
    "cost",
    "unpriced",
    "llm_calls",
    "tool_calls",
)
DURATION = tuple(f"duration_{bucket}" for bucket in HISTOGRAM_BUCKETS)
FIRST_TOKEN = tuple(f"first_token_{bucket}" for bucket in HISTOGRAM_BUCKETS)
WITHOUT_TIMES = {name: Sum(name) for name in NUMBERS}
SUMS = {**WITHOUT_TIMES, **{name: Sum(name) for name in (*DURATION, *FIRST_TOKEN)}}

Scope = Mapping[str, Any]
"""Lookups that sums and requests share, such as `agent_id`, `api_key_id` and `model`."""


@dataclass
class Figures:
    """What some requests used."""

    requests: int = 0
    failed: int = 0
    cancelled: int = 0
    lost: int = 0
    streamed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cost: Decimal = Decimal(0)
    unpriced: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    durations: list[int] = field(default_factory=lambda: [0] * len(DURATION))
    first_tokens: list[int] = field(default_factory=lambda: [0] * len(FIRST_TOKEN))

    def add(self, row: Mapping[str, Any]) -> None:
        """Add a row of sums; one that lacks a number has none of it."""
        for name in NUMBERS:
            setattr(self, name, getattr(self, name) + (row.get(name) or 0))
        for histogram, names in ((self.durations, DURATION), (self.first_tokens, FIRST_TOKEN)):
            for place, name in enumerate(names):
                histogram[place] += row.get(name) or 0

    def __add__(self, other: "Figures") -> "Figures":
        both = Figures()
        for part in (self, other):
            for name in NUMBERS:
                setattr(both, name, getattr(both, name) + getattr(part, name))
            both.durations = [*map(add, both.durations, part.durations)]
            both.first_tokens = [*map(add, both.first_tokens, part.first_tokens)]
        return both

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    @property
    def errors(self) -> int:
        """Requests that the server did not answer; those that their clients left are not among them."""
        return self.failed + self.lost

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.requests if self.requests else None

    @property
    def known_cost(self) -> Decimal | None:
        """The cost, or None if all of it is unknown; what `unpriced` requests cost comes on top."""
        return None if not self.cost and self.unpriced else self.cost

    def duration(self, share: float) -> int | None:
        return about(self.durations, share)

    def first_token(self, share: float) -> int | None:
        return about(self.first_tokens, share)


@dataclass
class Share:
    """The part of one agent, key, model or end user, without its times. `key` tells it from the others."""

    key: Any
    name: str
    figures: Figures = field(default_factory=Figures)


@dataclass
class Report:
    period: Period
    total: Figures
    before: Figures
    points: list[tuple[datetime, Figures]]
    agents: list[Share]
    keys: list[Share]
    models: list[Share]


def report(period: Period, scope: Scope) -> Report:
    by_what = ("agent_id", "agent_name", "api_key_id", "api_key_name", "provider", "model")
    rows = list(_sums(period.stretch, scope, *by_what, sums=WITHOUT_TIMES))
    points = _points(period, scope)
    return Report(
        period=period,
        total=sum((figures for _, figures in points), Figures()),
        before=_total(_sums(period.before, scope)),
        points=points,
        agents=_shares(rows, lambda row: (row["agent_id"], row["agent_name"])),
        keys=_shares(rows, lambda row: (row["api_key_id"], row["api_key_name"])),
        models=_shares(rows, lambda row: ((row["provider"], row["model"]), row["model"])),
    )


def pieces(stretch: Stretch) -> Iterable[tuple[type[DailyRollup] | type[UsageRollup], Stretch]]:
    """Cut a stretch into its whole days and the quarters of an hour around them."""
    first = day(stretch.start + DAY - timedelta(microseconds=1))
    last = day(stretch.end)
    if first >= last:
        yield UsageRollup, stretch
        return
    yield DailyRollup, Stretch(first, last)
    if stretch.start < first:
        yield UsageRollup, Stretch(stretch.start, first)
    if last < stretch.end:
        yield UsageRollup, Stretch(last, stretch.end)


def _sums(
    stretch: Stretch, scope: Scope, *by: str, finest: timedelta = DAY, sums: Mapping[str, Sum] = SUMS
) -> Iterable[Mapping[str, Any]]:
    for table, piece in pieces(stretch) if finest >= DAY else [(UsageRollup, stretch)]:
        rows = table._default_manager.filter(start__gte=piece.start, start__lt=piece.end, **scope)
        if by:
            yield from rows.values(*by).annotate(**sums).order_by()
        else:
            yield rows.aggregate(**sums)


def _points(period: Period, scope: Scope) -> list[tuple[datetime, Figures]]:
    points = {start: Figures() for start in period.steps}
    for row in _sums(period.stretch, scope, "start", finest=period.step):
        steps = (row["start"] - period.stretch.start) // period.step
        points[period.stretch.start + steps * period.step].add(row)
    return list(points.items())


def _total(rows: Iterable[Mapping[str, Any]]) -> Figures:
    total = Figures()
    for row in rows:
        total.add(row)
    return total


def _shares(rows: Iterable[Mapping[str, Any]], named: Callable[[Mapping[str, Any]], tuple[Any, str]]) -> list[Share]:
    """Return the parts, the largest first, under the name that each had in most of its requests."""
    parts: dict[Any, Figures] = defaultdict(Figures)
    names: dict[Any, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        key, name = named(row)
        parts[key].add(row)
        names[key][name] += row["requests"] or 0
    shares = [Share(key, max(names[key], key=names[key].__getitem__), figures) for key, figures in parts.items()]
    return sorted(shares, key=lambda share: (-share.figures.requests, share.name))
