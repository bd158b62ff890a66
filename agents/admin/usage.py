from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import (
    BooleanRadioFilter,
    DropdownFilter,
    MultipleChoicesDropdownFilter,
    RangeDateTimeFilter,
    RelatedDropdownFilter,
)
from unfold.decorators import display
from unfold.paginator import InfinitePaginator

from agents.admin.exports import ExportsRequests
from agents.admin.formats import NBSP, NOTHING, count, duration, moment, usd
from agents.admin.live_rows import LiveRows
from agents.admin.usage_conversation import messages_of, stored_conversation
from agents.admin.usage_timeline import timeline
from agents.models import DailyRollup, Status, UsageRecord
from agents.models.usage import request_id

STATUSES = {
    Status.RUNNING: "info",
    Status.OK: "success",
    Status.FAILED: "danger",
    Status.CANCELLED: "warning",
    Status.LOST: "danger",
}


class StartedFilter(RangeDateTimeFilter):
    """From and to, in UTC; a date without a time is the whole day, 12:03 without seconds the whole minute."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        for edge, lookup, clock in (("from", "gte", "00:00"), ("to", "lte", "23:59:59.999999")):
            date, time = (self.used_parameters.get(f"started_at_{edge}_{part}") for part in (0, 1))
            if date:
                try:
                    when = datetime.fromisoformat(f"{date} {time or clock}").replace(tzinfo=UTC)
                    if edge == "to" and time and len(time) == len("12:03"):
                        when += timedelta(seconds=59, microseconds=999_999)
                except ValueError as error:
                    raise IncorrectLookupParameters from error
                queryset = queryset.filter(**{f"started_at__{lookup}": when})
        return queryset


class ModelFilter(DropdownFilter):
    title = "model"
    parameter_name = "model"
    DAYS = 30

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """Offer what answered lately, from the sums: reading it from the requests would read them all."""
        since = timezone.now() - timedelta(days=self.DAYS)
        names = DailyRollup.objects.filter(start__gte=since).exclude(model="").values_list("model", flat=True)
        chosen = filter(None, [self.value()])
        return [(name, name) for name in sorted({*names.distinct().order_by(), *chosen})]

    def queryset(self, request: HttpRequest, queryset: QuerySet[UsageRecord]) -> QuerySet[UsageRecord]:
        return queryset.filter(model=self.value()) if self.value() else queryset


class ReadOnly:
    """For admin classes of tables that only the server writes."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(UsageRecord)
class UsageRecordAdmin(LiveRows, ExportsRequests, ReadOnly, ModelAdmin):
    """Every request: who asked which agent, what was used and how it ended. A large table, read in bounded pieces."""

    list_before_template = "admin/agents/usagerecord/toolbar.html"
    list_display = ["started", "agent_and_key", "model_and_provider", "state", "tokens", "price", "first_token", "took"]
    sortable_by = ["started"]
    list_filter = [
        ("started_at", StartedFilter),
        ("agent", RelatedDropdownFilter),
        ("api_key", RelatedDropdownFilter),
        ("status", MultipleChoicesDropdownFilter),
        ModelFilter,
        ("streamed", BooleanRadioFilter),
    ]
    list_filter_submit = True
    list_per_page = 50
    search_fields = ["agent_name", "end_user"]
    search_help_text = "Request id (req_… or chatcmpl-…), agent or end user"
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    paginator = InfinitePaginator
    actions = None
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("outcome", "http"),
                    ("started", "ended"),
                    ("took", "first_token"),
                    ("finish", "delivery"),
                ]
            },
        ),
        ("Who", {"fields": [("agent_name", "key"), ("end_user", "client_address"), "user_agent"]}),
        (
            "Used",
            {"fields": [("tokens", "price"), ("cached", "reasoning"), ("llm_calls", "tool_calls"), "source"]},
        ),
        ("Model", {"fields": ["requested_model", ("provider", "model")]}),
        ("Ids", {"fields": ["as_request", "as_completion", "worker_id", "endpoint"]}),
    ]

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        """Add the timeline, and what was said where it is stored; offer no history of what does not change."""
        context = {"show_history": False, **(extra_context or {})}
        if record := self.get_object(request, object_id or ""):
            said = stored_conversation(request, record.pk)
            context["timeline"] = timeline(record, said.errors if said else {})
            context["conversation"] = messages_of(said) if said else []
        return super().changeform_view(request, object_id, form_url, context)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        term = search_term.strip()
        if not term:
            return queryset, False
        if found := request_id(term.lower()):
            return queryset.filter(pk=found), False
        return queryset.filter(Q(agent_name__icontains=term) | Q(end_user__icontains=term)), False

    @display(description="Started", ordering="started_at")
    def started(self, record: UsageRecord) -> str:
        return moment(record.started_at)

    @display(description="Ended")
    def ended(self, record: UsageRecord) -> str:
        return moment(record.ended_at)

    @display(description="Agent", header=True)
    def agent_and_key(self, record: UsageRecord) -> list[str]:
        return [record.agent_name, " · ".join(filter(None, [record.api_key_name, record.end_user]))]

    @display(description="Model", header=True)
    def model_and_provider(self, record: UsageRecord) -> list[str]:
        return [record.model or NOTHING, record.provider]

    @display(description="Status", label=STATUSES)
    def state(self, record: UsageRecord) -> tuple[str, str]:
        return record.status, f"{record.status}: {record.error_code}" if record.error_code else record.status

    @display(description="Tokens")
    def tokens(self, record: UsageRecord) -> str:
        return f"{count(record.prompt_tokens)}{NBSP}in, {count(record.completion_tokens)}{NBSP}out"

    @display(description="Cost")
    def price(self, record: UsageRecord) -> str:
        return NOTHING if record.status == Status.RUNNING else usd(record.cost)

    @display(description="First token")
    def first_token(self, record: UsageRecord) -> str:
        return duration(record.first_token_ms)

    @display(description="Duration")
    def took(self, record: UsageRecord) -> str:
        return duration(record.duration_ms)

    @display(description="Status")
    def outcome(self, record: UsageRecord) -> str:
        return " · ".join(filter(None, [record.get_status_display(), record.error_code]))

    @display(description="HTTP status")
    def http(self, record: UsageRecord) -> str:
        return str(record.http_status or NOTHING)

    @display(description="Finish reason")
    def finish(self, record: UsageRecord) -> str:
        return record.finish_reason or NOTHING

    @display(description="Delivery")
    def delivery(self, record: UsageRecord) -> str:
        return "streamed" if record.streamed else "in one piece"

    @display(description="Key")
    def key(self, record: UsageRecord) -> str:
        return record.api_key_name or "none"

    @display(description="Read from the cache")
    def cached(self, record: UsageRecord) -> str:
        return count(record.cached_tokens)

    @display(description="Spent on reasoning")
    def reasoning(self, record: UsageRecord) -> str:
        return count(record.reasoning_tokens)

    @display(description="Counted by")
    def source(self, record: UsageRecord) -> str:
        return record.get_token_source_display()

    @display(description="Request")
    def as_request(self, record: UsageRecord) -> str:
        return f"req_{record.id.hex}"

    @display(description="Completion")
    def as_completion(self, record: UsageRecord) -> str:
        return f"chatcmpl-{record.id}"
