"""What of a period is read from the requests themselves: always a bounded number of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from agents.models import DailyRollup, EndUserDay, Status, UsageRecord
from agents.usage.periods import Period, Stretch
from agents.usage.reports import Figures, Scope, Share, pieces

SHOWN = 5
READ_AT_MOST = 10_000


@dataclass
class EndUsers:
    """End users, those with most requests first; `of_latest` is set where only so many requests were looked at."""

    shares: list[Share]
    of_latest: int | None = None


def end_users(period: Period, scope: Scope) -> EndUsers:
    """Rank end users: whole days by their sums; hours, and what is narrowed to a scope, by the latest requests."""
    figures: dict[str, Figures] = {}
    cut = False
    for table, piece in [(None, period.stretch)] if scope else pieces(period.stretch):
        if table is DailyRollup:
            rows = _from_days(piece)
        else:
            latest = _within(piece, scope).order_by("-started_at").values("pk")[:READ_AT_MOST]
            rows = _from_requests(latest)
            cut = cut or latest.count() == READ_AT_MOST
        for row in rows:
            figures.setdefault(row["end_user"], Figures()).add(row)
    shares = [Share(name, name, used) for name, used in figures.items()]
    shares.sort(key=lambda share: (-share.figures.requests, share.name))
    return EndUsers(shares, READ_AT_MOST if cut else None)


def slowest(period: Period, scope: Scope, requests: int) -> list[UsageRecord]:
    """Return the requests that took longest; `requests` tells how many there are to choose from."""
    if requests <= READ_AT_MOST:
        rows = _within(period.stretch, scope)
    else:
        # Among so many it is quicker to walk through all requests from the slowest on, whenever they were, than to
        # sort those of the period: the index of durations has the times in it. This keeps databases from the latter.
        rows = UsageRecord.objects.alias(began=Coalesce("started_at", "started_at")).filter(
            began__gte=period.stretch.start, began__lt=period.stretch.end, **scope
        )
    return list(rows.filter(duration_ms__isnull=False).order_by("-duration_ms")[:SHOWN])


def failing(period: Period, scope: Scope) -> list[UsageRecord]:
    """Return the latest requests that failed."""
    return list(_within(period.stretch, scope).filter(status=Status.FAILED).order_by("-started_at")[:SHOWN])


def _within(stretch: Stretch, scope: Scope) -> QuerySet[UsageRecord]:
    return UsageRecord.objects.filter(started_at__gte=stretch.start, started_at__lt=stretch.end, **scope)


def _from_days(days: Stretch) -> Iterable[Mapping[str, Any]]:
    rows = EndUserDay.objects.filter(start__gte=days.start, start__lt=days.end).values("end_user").order_by()
    names = ("requests", "failed", "lost", "prompt_tokens", "completion_tokens", "cost", "unpriced")
    return rows.annotate(**{name: Sum(name) for name in names})


def _from_requests(chosen: QuerySet[Any]) -> Iterable[Mapping[str, Any]]:
    rows = UsageRecord.objects.filter(pk__in=chosen).exclude(end_user="").exclude(status=Status.RUNNING)
    return (
        rows.values("end_user")
        .order_by()
        .annotate(
            requests=Count("pk"),
            failed=Count("pk", filter=Q(status=Status.FAILED)),
            lost=Count("pk", filter=Q(status=Status.LOST)),
            unpriced=Count("pk", filter=Q(cost=None) & ~Q(status=Status.LOST)),
            prompt_tokens=Sum("prompt_tokens"),
            completion_tokens=Sum("completion_tokens"),
            cost=Sum("cost"),
        )
    )
