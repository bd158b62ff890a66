"""What of a period is read from the requests themselves: always a bounded number of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from agents.models import EndUserDay, Status, UsageRecord
from agents.usage.periods import Period, Stretch
from agents.usage.reports import Scope, Share
from agents.usage.rollups import day

SHOWN = 5
END_USERS = 8
READ_AT_MOST = 10_000
NUMBERS = ("requests", "failed", "lost", "prompt_tokens", "completion_tokens", "cost", "unpriced")


@dataclass
class EndUsers:
    """End users, those with most requests first; `of_latest` is set where only so many requests were looked at."""

    shares: list[Share]
    more: bool = False
    of_latest: int | None = None


def end_users(period: Period, scope: Scope) -> EndUsers:
    """Rank end users: of whole days by their sums; of hours, and of one agent, key or model, by the latest requests."""
    start, end = period.stretch.start, period.stretch.end
    days = EndUserDay.objects.filter(start__gte=start, start__lt=end).values("end_user")
    if not scope and day(start) == start and day(end) == end:
        ranked = days.annotate(most=Sum("requests")).order_by("-most", "end_user")
        names = list(ranked.values_list("end_user", flat=True)[: END_USERS + 1])
        sums = days.filter(end_user__in=names).annotate(**{name: Sum(name) for name in NUMBERS}).order_by()
        return _ranked(sums)
    requests = _within(period.stretch, scope)
    # The first that is not looked at, if there are that many.
    beyond = requests.order_by("-started_at").values_list("started_at", flat=True)[READ_AT_MOST : READ_AT_MOST + 1]
    if not (edge := next(iter(beyond), None)):
        return _ranked(_from_requests(requests))
    return _ranked(_from_requests(requests.filter(started_at__gt=edge)), of_latest=READ_AT_MOST)


def _ranked(rows: Iterable[Mapping[str, Any]], *, of_latest: int | None = None) -> EndUsers:
    shares = []
    for row in rows:
        share = Share(row["end_user"], row["end_user"])
        share.figures.add(row)
        shares.append(share)
    shares.sort(key=lambda share: (-share.figures.requests, share.name))
    return EndUsers(shares[:END_USERS], len(shares) > END_USERS, of_latest)


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


def _from_requests(requests: QuerySet[UsageRecord]) -> Iterable[Mapping[str, Any]]:
    rows = requests.exclude(end_user="").exclude(status=Status.RUNNING)
    return (
        rows.values("end_user")
        .order_by()
        .annotate(
            requests=Count("pk"),
            failed=Count("pk", filter=Q(status=Status.FAILED)),
            lost=Count("pk", filter=Q(status=Status.LOST)),
            unpriced=Count("pk", filter=Q(cost=None) & ~Q(status=Status.LOST, prompt_tokens=0)),
            prompt_tokens=Sum("prompt_tokens"),
            completion_tokens=Sum("completion_tokens"),
            cost=Sum("cost"),
        )
    )
