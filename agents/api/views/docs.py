"""The OpenAPI document of this API, and a page to read it and to try it out. Both are made when somebody asks."""

from functools import cache
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http.response import HttpResponseBase
from rest_framework.exceptions import NotAuthenticated
from rest_framework.renderers import JSONRenderer, TemplateHTMLRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.views.base import ApiView


@cache
def document() -> dict[str, Any]:
    """Return the document, which is the same for everybody."""
    from agents.api.schema import generated  # noqa: PLC0415 -- loads drf-spectacular, which nothing else needs

    return generated()


class SchemaDocument(ApiView):
    schema = None

    def get(self, request: Request) -> Response:
        return Response(document())


class Docs(ApiView):
    """Swagger UI, with its files from this server. Whoever is not logged in is asked to."""

    schema = None
    renderer_classes = [TemplateHTMLRenderer]

    def get(self, request: Request) -> Response:
        return Response(template_name="api/docs.html")

    def handle_exception(self, exc: Exception) -> Any:
        if isinstance(exc, NotAuthenticated):
            page: HttpResponseBase = redirect_to_login(self.request.get_full_path())
            return page
        # An error has no template: it looks as everywhere below /api.
        self.request.accepted_renderer, self.request.accepted_media_type = JSONRenderer(), JSONRenderer.media_type
        return super().handle_exception(exc)
