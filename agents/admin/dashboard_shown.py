"""The dashboard's figures as its template shows them: written out, compared, and each with its requests' URL."""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from agents.admin.dashboard_charts import step_name
from agents.admin.dashboard_query import DashboardQuery
from agents.admin.formats import NBSP, NOTHING, count, duration, size, usd
from agents.models import Budget, BudgetPeriod, Period, Status, Unit
from agents.usage.periods import Stretch
from agents.usage.reports import Figures, Report, Share

SHOWN = 8
LARGE = 10_000_000
ERRORS = [Status.FAILED, Status.LOST]


def number(value: int) -> str:
    return count(value) if value < LARGE else size(value)


def percent(part: float | None) -> str:
    if part is None:
        return NOTHING
    return f"{part * 100:.{1 if 0 < part < 0.1 else 0}f}{NBSP}%"


def cost(used: Figures) -> str:
    return usd(used.known_cost) if used.requests else NOTHING


def unpriced(used: Figures) -> str:
    if not used.unpriced:
        return ""
    return f"+ {count(used.unpriced)} request{'' if used.unpriced == 1 else 's'} of unknown price"


def change(now: float | Decimal | None, before: float | Decimal | None) -> str:
    """Return by how much a figure has changed, as the eye reads it: ▲ 12 %."""
    if now is None or not before:
        return ""
    ratio = float(now) / float(before) - 1
    if abs(ratio) < 0.005:
        return "= the same"
    arrow = "▲" if ratio > 0 else "▼"
    return f"{arrow}{NBSP}{abs(ratio) * 100:,.0f}{NBSP}%" if ratio < 10 else f"{arrow}{NBSP}{ratio + 1:,.0f}{NBSP}times"


def cards(report: Report, query: DashboardQuery) -> list[dict[str, str]]:
    now, before = report.total, report.before

    def card(title: str, value: str, note: str, was: str, changed: str, **lookups: Any) -> dict[str, str]:
        url = query.requests_url(**lookups)
        return {"title": title, "value": value, "note": note, "was": was, "changed": changed, "url": url}

    tokens = f"{number(now.prompt_tokens)} in, {number(now.completion_tokens)} out"
    errors = f"{count(now.errors)} of {count(now.requests)}"
    return [
        card(
            "Requests",
            number(now.requests),
            f"{count(now.cancelled)} left by their client" if now.cancelled else "",
            number(before.requests),
            change(now.requests, before.requests),
        ),
        card("Tokens", number(now.tokens), tokens, number(before.tokens), change(now.tokens, before.tokens)),
        card("Cost", cost(now), unpriced(now), cost(before), change(now.known_cost, before.known_cost)),
        card("Error rate", percent(now.error_rate), errors, percent(before.error_rate), "", status__exact=ERRORS),
        _times("Duration", now.duration, before.duration, card),
        _times("First token", now.first_token, before.first_token, card),
    ]


def _times(title: str, now: Callable[[float], int | None], before: Callable[[float], int | None], card: Any) -> Any:
    half, most = now(0.5), now(0.95)
    value = NOTHING if half is None else f"≈{NBSP}{duration(half)}"
    note = "" if most is None else f"p95 ≈{NBSP}{duration(most)}"
    was = NOTHING if before(0.5) is None else f"≈{NBSP}{duration(before(0.5))}"
    return card(f"{title} (p50)", value, note, was, change(half, before(0.5)))


def ranked(title: str, shares: Sequence[Share], url: Callable[[Share], str], *, more: str = "") -> dict[str, Any]:
    """Return a table of the largest parts, each as long a bar as its requests among those of the largest."""
    largest = shares[0].figures.requests if shares else 1
    rows = [
        {"name": share.name, "url": url(share), "width": round(100 * share.figures.requests / largest), **_cells(share)}
        for share in shares[:SHOWN]
    ]
    if len(shares) > SHOWN:
        more = f"and {len(shares) - SHOWN} more"
    return {"title": title, "rows": rows, "more": more}


def _cells(share: Share) -> dict[str, str]:
    used = share.figures
    return {
        "requests": number(used.requests),
        "tokens": number(used.tokens),
        "cost": cost(used),
        "unpriced": unpriced(used),
        "errors": percent(used.error_rate) if used.errors else "",
    }


def moments(report: Report, query: DashboardQuery) -> list[dict[str, Any]]:
    """Return the steps in time that had requests, the latest first."""
    step = report.period.step
    return [
        {
            "name": step_name(report.period, start),
            "when": start,
            "url": query.requests_url(Stretch(start, start + step)),
            "p95": duration(used.duration(0.95)),
            **_cells(Share(start, "", used)),
        }
        for start, used in reversed(report.points)
        if used.requests
    ]


def budget_bars(now: datetime) -> list[dict[str, Any]]:
    """Return how far each budget is spent in the period that is under way."""
    spent = {
        row.budget_id: row
        for row in BudgetPeriod.objects.filter(start__in=[period.start(now) for period in Period])
        if row.start <= now
    }
    return [_budget_bar(budget, spent.get(budget.pk)) for budget in Budget.objects.select_related("api_key", "agent")]


def _budget_bar(budget: Budget, spent: BudgetPeriod | None) -> dict[str, Any]:
    unit = Unit(budget.unit)
    used, reserved = (spent.spent, spent.reserved) if spent else (0, 0)
    share = used / budget.limit if budget.limit else 1.0
    tone = "over" if share >= 1 else "warn" if share * 100 >= budget.warn_percent else "fine"

    def amount(stored: int) -> str:
        shown = unit.shown(stored)
        return usd(shown) if unit is Unit.USD else f"{number(int(shown))} tokens"

    return {
        "name": f"{budget.whose[0].upper()}{budget.whose[1:]}, a {budget.period}",
        "spent": amount(used),
        "limit": amount(budget.limit),
        "reserved": amount(reserved) if reserved else "",
        "width": min(100, round(share * 100)),
        "percent": percent(share),
        "tone": tone,
    }
