"""Long lists in pages: each answer has its rows under `data`, and in `next` the path of the page after it."""

from typing import Any

from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import BasePagination, CursorPagination, PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView


def path_of(url: str | None) -> str | None:
    """Return a URL without scheme and host, which a proxy may have changed."""
    return f"/{url.split('/', 3)[3]}" if url else None


def envelope_schema(rows: Any, *, total: bool) -> dict[str, Any]:
    following = {"type": "string", "nullable": True, "description": "The path of the next page; null after the last."}
    counted = {"total": {"type": "integer"}} if total else {}
    properties = {"data": rows, **counted, "next": following}
    return {"type": "object", "required": list(properties), "properties": properties}


class Pages(PageNumberPagination):
    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = 200

    def paginate_queryset(self, queryset: Any, request: Request, view: APIView | None = None) -> Any:
        try:
            return super().paginate_queryset(queryset, request, view)
        except NotFound:
            raise ValidationError({"page": "There is no such page."}) from None

    def get_paginated_response(self, data: Any) -> Response:
        assert self.page is not None
        return Response({"data": data, "total": self.page.paginator.count, "next": path_of(self.get_next_link())})

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        return envelope_schema(schema, total=True)


class Cursor(CursorPagination):
    """For a table that is too long to be counted, and to which rows are added while somebody reads it."""

    page_size = 100
    page_size_query_param = "page_size"
    max_page_size = 1000
    ordering = ("-started_at", "-id")

    def decode_cursor(self, request: Request) -> Any:
        try:
            return super().decode_cursor(request)
        except NotFound:
            raise ValidationError({"cursor": "This is no cursor of this list."}) from None

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next": path_of(self.get_next_link())})

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        return envelope_schema(schema, total=False)


class Whole(BasePagination):
    """For lists that are short: all of them on one page."""

    def get_paginated_response(self, data: Any) -> Response:
        return Response({"data": data, "next": None})

    def get_paginated_response_schema(self, schema: Any) -> dict[str, Any]:
        return envelope_schema(schema, total=False)
