from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path

MOST_ROWS = 100


class LiveRows:
    """For the admin of requests: the rows of some of them, if the list's filters let them through.

    The page asks for them when a WebSocket has told it that they have begun or ended.
    """

    def get_urls(self) -> list[Any]:
        view = self.admin_site.admin_view(self.rows_view)  # type: ignore[attr-defined]
        urls: list[Any] = super().get_urls()  # type: ignore[misc]
        return [path("rows/", view, name="agents_usagerecord_rows"), *urls]

    def rows_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):  # type: ignore[attr-defined]
            raise PermissionDenied
        asked = request.GET.copy()
        ids = _uuids(asked.pop("ids", [""])[-1].split(","))
        request.GET = asked  # type: ignore[assignment]
        request.only_rows = ids  # type: ignore[attr-defined]
        changelist = self.get_changelist_instance(request)  # type: ignore[attr-defined]
        if isinstance(changelist, HttpResponse):
            return changelist
        changelist.formset = None  # as the list's own view leaves it: nothing is edited in it
        return TemplateResponse(
            request, "admin/agents/usagerecord/rows.html", {"cl": changelist, "opts": changelist.opts}
        )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)  # type: ignore[misc]
        only = getattr(request, "only_rows", None)
        return rows if only is None else rows.filter(pk__in=only)


def _uuids(texts: list[str]) -> list[UUID]:
    found = []
    for text in texts[:MOST_ROWS]:
        try:
            found.append(UUID(text))
        except ValueError:
            continue
    return found
