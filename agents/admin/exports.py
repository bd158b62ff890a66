"""Filtered lists as files, sent while they are read: no list is too long, and none is ever whole in memory."""

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.urls import path
from django.utils import timezone

from agents.models import UsageRecord

CHUNK = 1000
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS: dict[str, Callable[[UsageRecord], Any]] = {
    "request_id": lambda record: f"req_{record.id.hex}",
    "started_at": lambda record: record.started_at,
    "ended_at": lambda record: record.ended_at,
    "agent": lambda record: record.agent_name,
    "api_key": lambda record: record.api_key_name,
    "end_user": lambda record: record.end_user,
    "status": lambda record: record.status,
    "http_status": lambda record: record.http_status,
    "error_code": lambda record: record.error_code,
    "finish_reason": lambda record: record.finish_reason,
    "requested_model": lambda record: record.requested_model,
    "provider": lambda record: record.provider,
    "model": lambda record: record.model,
    "prompt_tokens": lambda record: record.prompt_tokens,
    "completion_tokens": lambda record: record.completion_tokens,
    "cached_tokens": lambda record: record.cached_tokens,
    "reasoning_tokens": lambda record: record.reasoning_tokens,
    "token_source": lambda record: record.token_source,
    "cost_usd": lambda record: record.cost,
    "llm_calls": lambda record: record.llm_calls,
    "tool_calls": lambda record: record.tool_calls,
    "first_token_ms": lambda record: record.first_token_ms,
    "duration_ms": lambda record: record.duration_ms,
    "streamed": lambda record: record.streamed,
    "endpoint": lambda record: record.endpoint,
    "client_address": lambda record: record.client_address,
    "user_agent": lambda record: record.user_agent,
    "parent_request_id": lambda record: f"req_{record.parent_id.hex}" if record.parent_id else None,
}


class ExportsRequests:
    """For the admin of requests: its list, as it is filtered and searched, at `export/csv/` and `export/json/`."""

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.export_view)  # type: ignore[attr-defined]
        urls: list[Any] = super().get_urls()  # type: ignore[misc]
        return [path("export/<str:form>/", view, name="agents_usagerecord_export"), *urls]

    def export_view(self, request: HttpRequest, form: str) -> HttpResponseBase:
        if form not in FORMS:
            raise Http404(f"There is no export as {form}.")
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        changelist = self.get_changelist_instance(request)  # type: ignore[attr-defined]
        if isinstance(changelist, HttpResponse):
            return changelist
        content_type, write = FORMS[form]
        response = StreamingHttpResponse(write(_chunks(changelist.queryset)), content_type=content_type)
        name = f"openfang-requests-{timezone.now():%Y%m%d-%H%M%S}.{form}"
        response["Content-Disposition"] = f'attachment; filename="{name}"'
        response["X-Content-Type-Options"] = "nosniff"
        return response


async def _chunks(queryset: QuerySet[UsageRecord]) -> AsyncIterator[list[UsageRecord]]:
    """Yield the rows, the latest first, each chunk read anew: nothing is held in the database while a client reads."""
    rows = queryset.order_by("-started_at", "-id")
    left = rows
    while chunk := await _read(left):
        yield chunk
        last = chunk[-1]
        left = rows.filter(Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, id__lt=last.id))


@sync_to_async
def _read(rows: QuerySet[UsageRecord]) -> list[UsageRecord]:
    return list(rows[:CHUNK])


async def _as_csv(chunks: AsyncIterator[list[UsageRecord]]) -> AsyncIterator[str]:
    yield _csv_lines([list(COLUMNS)])
    async for chunk in chunks:
        yield _csv_lines([[_cell(value(record)) for value in COLUMNS.values()] for record in chunk])


def _csv_lines(rows: Sequence[Sequence[str]]) -> str:
    lines = io.StringIO()
    csv.writer(lines).writerows(rows)
    return lines.getvalue()


def _cell(value: Any) -> str:
    """Return a value as a cell that no spreadsheet takes for a formula, whatever clients have put into it."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return str(_plain(value))
    return f"'{value}" if value.lstrip(" ").startswith(FORMULA_STARTS) else value


async def _as_json(chunks: AsyncIterator[list[UsageRecord]]) -> AsyncIterator[str]:
    before = "[\n"
    async for chunk in chunks:
        rows = [{name: _plain(value(record)) for name, value in COLUMNS.items()} for record in chunk]
        yield before + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        before = ",\n"
    yield "\n]\n" if before == ",\n" else "[]\n"


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; money stays exact, as text."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value) if isinstance(value, UUID) else value


FORMS: dict[str, tuple[str, Callable[[AsyncIterator[list[UsageRecord]]], AsyncIterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", _as_csv),
    "json": ("application/json", _as_json),
}
