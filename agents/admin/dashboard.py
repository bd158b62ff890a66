"""The start page: what was used, by whom, what it cost and how well it went, read from the sums."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from agents.admin.dashboard_charts import charts, step_name
from agents.admin.dashboard_query import NO_KEY, WITHOUT_KEY, DashboardQuery
from agents.admin.dashboard_shown import budget_bars, cards, moments, ranked
from agents.admin.formats import duration, minute
from agents.admin.public_urls import public_url
from agents.models import Agent, ApiKey, DailyRollup, Status, UsageRecord
from agents.usage.periods import Lately
from agents.usage.rankings import end_users, failing, slowest
from agents.usage.reports import report

PERIODS = {
    Lately.AN_HOUR: "Hour",
    Lately.A_DAY: "24 hours",
    Lately.DAYS_7: "7 days",
    Lately.DAYS_30: "30 days",
    Lately.DAYS_90: "90 days",
}
MODELS_OF = timedelta(days=30)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the figures to the context of the start page, for those who may see them."""
    if not request.user.has_perm("agents.view_usagerecord"):
        return context
    if not UsageRecord.objects.exists() and not DailyRollup.objects.exists():
        return context | {"first_step": _first_step(request)}
    query = DashboardQuery.read(request.GET, timezone.now())
    return context | {"dashboard": _figures(query, request)}


def _figures(query: DashboardQuery, request: HttpRequest) -> dict[str, Any]:
    found = report(query.period, query.scope)
    users = end_users(found.period, query.scope)
    requests, failed = found.total.requests, found.total.failed
    return {
        "query": query,
        "periods": [
            {"name": name, "url": query.url(period=period.code), "chosen": period is query.lately and not query.first}
            for period, name in PERIODS.items()
        ],
        "choices": _choices(query),
        "cards": cards(found, query),
        "charts": charts(found.period, found.points) if requests else [],
        "moments": moments(found, query),
        "step": step_name,
        "tables": [
            ranked("Agents", found.agents, lambda share: query.requests_url(agent__id__exact=share.key)),
            ranked("API keys", found.keys, lambda share: query.requests_url(**_key_lookup(share.key))),
            ranked("Models", found.models, lambda share: query.requests_url(**_model_lookup(share.key))),
            ranked(
                "End users",
                users.shares,
                lambda share: query.requests_url(end_user=share.key),
                more="and more" if users.more else "",
            ),
        ],
        "end_users_of_latest": users.of_latest,
        "slowest": _rows(slowest(found.period, query.scope, requests) if requests else []),
        "failing": _rows(failing(found.period, query.scope) if failed else []),
        "failing_url": query.requests_url(status__exact=Status.FAILED),
        "budgets": budget_bars(query.now) if request.user.has_perm("agents.view_budget") else [],
    }


def _key_lookup(key: Any) -> dict[str, Any]:
    return WITHOUT_KEY if key is None else {"api_key__id__exact": key}


def _model_lookup(key: Any) -> dict[str, Any]:
    provider, model = key
    return {"provider": provider, "model": model} if model else {"model__exact": ""}


def _rows(records: Iterable[UsageRecord]) -> list[dict[str, Any]]:
    return [
        {
            "agent": record.agent_name,
            "began": minute(record.started_at),
            "what": record.error_code or record.model,
            "took": duration(record.duration_ms),
            "url": reverse("admin:agents_usagerecord_change", args=[record.pk]),
        }
        for record in records
    ]


def _choices(query: DashboardQuery) -> list[dict[str, Any]]:
    """Return what the page can be narrowed to; what is chosen is offered even if it is gone."""
    since = query.now - MODELS_OF
    names = DailyRollup.objects.filter(start__gte=since).exclude(model="").values_list("model", flat=True)
    models = sorted({*names.distinct().order_by(), *filter(None, [query.model])})
    keys: list[tuple[Any, str]] = [(NO_KEY, "without a key"), *ApiKey.objects.values_list("pk", "name")]
    return [
        _choice("agent", "All agents", list(Agent.objects.order_by("name").values_list("pk", "name")), query.agent),
        _choice("key", "All API keys", keys, query.key),
        _choice("model", "All models", [(model, model) for model in models], query.model),
    ]


def _choice(name: str, everything: str, options: list[tuple[Any, str]], chosen: Any) -> dict[str, Any]:
    if chosen and chosen not in dict(options):
        options = [*options, (chosen, str(chosen))]
    return {"name": name, "everything": everything, "options": options, "chosen": chosen}


def _first_step(request: HttpRequest) -> dict[str, Any]:
    agent = Agent.objects.filter(enabled=True).order_by("created_at", "id").first()
    return {
        "agent": agent,
        "base_url": public_url(request, "/v1"),
        "key_needed": ApiKey.objects.needed(),
        "add_agent_url": reverse("admin:agents_agent_add"),
        "add_key_url": reverse("admin:agents_apikey_add"),
    }
