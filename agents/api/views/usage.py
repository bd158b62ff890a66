"""What was used: the requests themselves, and the sums of them that the start page of the web admin shows."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from msgspec.structs import replace
from rest_framework.exceptions import ErrorDetail, ValidationError
from rest_framework.generics import GenericAPIView
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import GenericViewSet

from agents.api.pagination import Cursor, Whole
from agents.api.serializers.base import named
from agents.api.serializers.usage import (
    NO_KEY,
    AgentShare,
    DailyQuery,
    DaySerializer,
    FiguresSerializer,
    KeyShare,
    ModelShare,
    Named,
    Narrowing,
    RequestSerializer,
    RowsQuery,
    SummarySerializer,
    UsageRowSerializer,
)
from agents.api.views.base import ApiView
from agents.models import Agent, ApiKey, UsageRecord
from agents.models.usage import request_id
from agents.usage.periods import DAY, Lately, Period, days
from agents.usage.reports import Report, Share, report


class UsageView(ApiView):
    noun = "usage"
    table = UsageRecord
    lately = Lately.A_DAY  # where no period is asked for

    def period(self) -> Period:
        query, now = self.query, timezone.now()
        first, last = query.get("from"), query.get("to")
        if first is None and last is None:
            asked = query.get("period")
            return Period.lately(next((one for one in Lately if one.code == asked), self.lately), now)
        try:
            return Period.between(*days(first, last, now.date()), now)
        except ValueError as error:
            raise ValidationError({"to" if last else "from": str(error)}) from None

    def scope(self) -> dict[str, Any]:
        """Return the lookups that narrow sums and requests alike."""
        query, scope = self.query, {}
        if agent := query.get("agent"):
            scope["agent_id"] = _id_of(Agent.objects.all(), "agent", agent)
        if key := query.get("key"):
            scope["api_key_id"] = None if key == NO_KEY else _id_of(ApiKey.objects.all(), "key", key)
        if model := query.get("model"):
            scope["model"] = model
        return scope

    def report(self) -> Report:
        return report(self.period(), self.scope())


def _id_of(rows: "QuerySet[Any]", what: str, text: str) -> Any:
    """Return the id of what is named; what is deleted is asked for by its id."""
    with suppress(ValueError):
        return UUID(text)
    row = rows.filter(named(text)).first()
    if row is None:
        raise ValidationError({what: [ErrorDetail(f"There is no {what} {text!r}.", code="does_not_exist")]})
    return row.pk


class Rows(UsageView, GenericAPIView[UsageRecord]):
    """The requests, the latest first; all of them where no period is asked for."""

    queries = {"get": RowsQuery}
    answers = {"get": UsageRowSerializer(many=True)}
    serializer_class = UsageRowSerializer
    pagination_class = Cursor
    filter_backends: Any = []

    def get_queryset(self) -> QuerySet[UsageRecord]:
        query = self.query
        rows = UsageRecord.objects.filter(**self.scope())
        if query.keys() & {"period", "from", "to"}:
            stretch = self.period().stretch
            rows = rows.filter(started_at__gte=stretch.start, started_at__lt=stretch.end)
        same = {name: query[name] for name in ("status", "end_user") if name in query}
        return rows.filter(**same)

    def get(self, request: Request) -> Response:
        page = self.paginate_queryset(self.get_queryset())
        return self.get_paginated_response(UsageRowSerializer(page, many=True).data)


class Requests(ApiView, GenericViewSet[UsageRecord]):
    """A request by its id, as the header `x-request-id`, the answer or the log has it."""

    noun = "usage"
    table = UsageRecord
    queryset = UsageRecord.objects.prefetch_related("steps")
    serializer_class = RequestSerializer

    def retrieve(self, request: Request, id: str) -> Response:
        return Response(RequestSerializer(get_object_or_404(self.queryset, pk=request_id(id))).data)


class Summary(UsageView):
    """What was used in a period, and in as much time before it."""

    queries = {"get": Narrowing}
    answers = {"get": SummarySerializer}

    def get(self, request: Request) -> Response:
        found = self.report()
        return Response(
            {
                "period": {"start": found.period.stretch.start, "end": found.period.stretch.end},
                "total": FiguresSerializer(found.total).data,
                "before": FiguresSerializer(found.before).data,
            }
        )


class Shares(UsageView):
    """What was used in a period by each of something, those with most requests first."""

    queries = {"get": Narrowing}
    serializer: Any
    pagination_class = Whole

    def get(self, request: Request) -> Response:
        shares = [Named(share.figures, **self.names(share)) for share in self.parts(self.report())]
        return self.pagination_class().get_paginated_response(self.serializer(shares, many=True).data)

    def parts(self, found: Report) -> Iterable[Share]:
        raise NotImplementedError

    def names(self, share: Share) -> dict[str, Any]:
        raise NotImplementedError


class ByAgent(Shares):
    """What was used in a period by each agent, those with most requests first."""

    serializer = AgentShare
    answers = {"get": AgentShare(many=True)}

    def parts(self, found: Report) -> Iterable[Share]:
        return found.agents

    def names(self, share: Share) -> dict[str, Any]:
        return {"agent_id": share.key, "agent": share.name}


class ByKey(Shares):
    """What was used in a period by each API key, those with most requests first."""

    serializer = KeyShare
    answers = {"get": KeyShare(many=True)}

    def parts(self, found: Report) -> Iterable[Share]:
        return found.keys

    def names(self, share: Share) -> dict[str, Any]:
        return {"api_key_id": share.key, "api_key": share.name}


class ByModel(Shares):
    """What was used in a period of each model, those with most requests first."""

    serializer = ModelShare
    answers = {"get": ModelShare(many=True)}

    def parts(self, found: Report) -> Iterable[Share]:
        return found.models

    def names(self, share: Share) -> dict[str, Any]:
        provider, model = share.key
        return {"provider": provider, "model": model}


class Daily(UsageView):
    """What was used on each UTC day of a period, the first day first."""

    queries = {"get": DailyQuery}
    answers = {"get": DaySerializer(many=True)}
    lately = Lately.DAYS_30
    pagination_class = Whole

    def get(self, request: Request) -> Response:
        found = report(replace(self.period(), step=DAY), self.scope())
        days = [Named(figures, date=start.date()) for start, figures in found.points]
        return self.pagination_class().get_paginated_response(DaySerializer(days, many=True).data)
