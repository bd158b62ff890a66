"""What agents have used lately, read with the list of agents itself."""

from datetime import UTC, datetime
from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery, Sum

from agents.models import Agent, UsageRecord, UsageRollup


def with_figures(agents: QuerySet[Agent]) -> QuerySet[Any]:
    """Add today's requests and cost (of the UTC day, from the sums of its quarters of an hour) and the last use."""
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    today = UsageRollup.objects.filter(agent_id=OuterRef("pk"), start__gte=midnight).order_by().values("agent_id")
    latest = UsageRecord.objects.filter(agent_id=OuterRef("pk")).order_by("-started_at")
    return agents.annotate(
        requests_today=Subquery(today.annotate(sum=Sum("requests")).values("sum")),
        cost_today=Subquery(today.annotate(sum=Sum("cost")).values("sum")),
        unpriced_today=Subquery(today.annotate(sum=Sum("unpriced")).values("sum")),
        last_used_at=Subquery(latest.values("started_at")[:1]),
    )
