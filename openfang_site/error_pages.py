"""Errors of requests that reach no view, such as those for another host: as JSON below /api, else as pages."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views import defaults

from agents.api.errors import envelope


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if not request.path_info.startswith("/api/"):
        return defaults.bad_request(request, exception)
    message = "This server does not answer to that host name, or the request cannot be read."
    return JsonResponse(envelope(message, status=400, code="bad_request"), status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    if not request.path_info.startswith("/api/"):
        return defaults.server_error(request)
    message = "The server failed to answer this request."
    return JsonResponse(envelope(message, status=500, code="internal_error"), status=500)
