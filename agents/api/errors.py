"""What an error of /api looks like, which is as on /v1: one error, with the place in the request that it is about."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import (
    NON_FIELD_ERRORS,
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    ValidationError,
)
from django.db import IntegrityError, OperationalError
from django.db.models import ProtectedError
from django.http import Http404
from django.http.multipartparser import MultiPartParserError
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.settings import api_settings

from agents.errors import LimitsUnavailable, RateLimitExceeded, ToolFailed

logger = logging.getLogger(__name__)

INVALID, API, RATE = "invalid_request_error", "api_error", "rate_limit_error"
# The first class that fits, from the top. No words: the error's own are for the caller.
TABLE: list[tuple[type[Exception], int, str, str]] = [
    (Http404, 404, "not_found", "There is nothing of this name or id."),
    (PermissionDenied, 403, "permission_denied", "You may not do this."),
    (RequestDataTooBig, 413, "request_too_large", "The body is too large."),
    (SuspiciousOperation, 400, "invalid_request", "The request cannot be read."),
    (MultiPartParserError, 400, "invalid_request", "The body cannot be read."),
    (ProtectedError, 409, "in_use", ""),
    (IntegrityError, 409, "conflict", "Somebody else has changed the same at this moment. Look, and try again."),
    (ToolFailed, 502, "mcp_server_failed", ""),
    (OperationalError, 503, "database_unavailable", "The database does not answer at the moment."),
    (LimitsUnavailable, 503, "limits_unavailable", ""),
    (RateLimitExceeded, 429, "rate_limit_exceeded", ""),
]
UNFORESEEN = (Exception, 500, "internal_error", "The server failed to answer this request.")
# As they are called on /v1.
CODES = {
    "parse_error": "invalid_json",
    "throttled": "rate_limit_exceeded",
    "not_authenticated": "invalid_token",
    "authentication_failed": "invalid_token",
}
LONGEST_PLACE = 200


class Conflict(exceptions.APIException):
    """What is asked for is not wrong, but cannot be as things are."""

    status_code = 409
    default_code = "conflict"


def envelope(message: str, *, status: int, code: str, param: str | None = None) -> dict[str, Any]:
    kind = RATE if status == HTTPStatus.TOO_MANY_REQUESTS else INVALID if status < 500 else API
    # A client may have sent half of a surrogate pair, which is no text that can be sent back.
    message = message.encode(errors="replace").decode()
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def exception_handler(error: Exception, context: Mapping[str, Any]) -> Response:
    """Answer an exception of a view."""
    if isinstance(error, ValidationError):
        error = as_invalid(error)
    if isinstance(error, exceptions.ValidationError):
        param, detail = first_of(error.detail)
        return Response(envelope(str(detail), status=400, code=detail.code or "invalid", param=param), status=400)
    if isinstance(error, exceptions.APIException):
        return _known(error)
    known = next((known for known in TABLE if isinstance(error, known[0])), None)
    if known is None:
        logger.error("A request failed in an unforeseen way.", exc_info=error)
    _, status, code, message = known or UNFORESEEN
    if isinstance(error, ProtectedError):
        message = in_use(error)
    response = Response(envelope(message or str(error), status=status, code=code), status=status)
    if isinstance(error, RateLimitExceeded):
        response["Retry-After"] = str(max(1, error.retry_after))
    return response


def _known(error: exceptions.APIException) -> Response:
    detail: Any = error.detail
    code = CODES.get(detail.code, detail.code)
    message = "Rate limit exceeded" if isinstance(error, exceptions.Throttled) else str(detail)
    if isinstance(error, exceptions.NotAuthenticated):
        message = "An admin token is needed, as a header: Authorization: Bearer ofa_..."
    response = Response(envelope(message, status=error.status_code, code=code), status=error.status_code)
    if header := getattr(error, "auth_header", None):
        response["WWW-Authenticate"] = header
    if wait := getattr(error, "wait", None):
        response["Retry-After"] = str(max(1, int(wait)))
    return response


def as_invalid(error: ValidationError) -> exceptions.ValidationError:
    """Return Django's validation error as DRF's."""
    if not hasattr(error, "error_dict"):
        return exceptions.ValidationError(_details(error))
    places = (
        (api_settings.NON_FIELD_ERRORS_KEY if n == NON_FIELD_ERRORS else n, e) for n, e in error.error_dict.items()
    )
    return exceptions.ValidationError(
        {name: [detail for one in errors for detail in _details(one)] for name, errors in places}
    )


def _details(error: ValidationError) -> list[exceptions.ErrorDetail]:
    return [
        exceptions.ErrorDetail(" ".join(one.messages), code=getattr(one, "code", None) or "invalid")
        for one in error.error_list
    ]


def first_of(detail: Any, place: str = "") -> tuple[str | None, exceptions.ErrorDetail]:
    """Return the first of nested errors, and the place that it is about, as in `mcp_tools[0].server`."""
    while not isinstance(detail, exceptions.ErrorDetail):
        if isinstance(detail, Mapping):
            name, detail = next((name, inner) for name, inner in detail.items() if inner)
            if isinstance(name, int):
                place += f"[{name}]"
            elif name != api_settings.NON_FIELD_ERRORS_KEY:
                place += f".{name}" if place else str(name)
        else:
            index, detail = next((index, inner) for index, inner in enumerate(detail) if inner)
            if not isinstance(detail, exceptions.ErrorDetail):
                place += f"[{index}]"
    return place[:LONGEST_PLACE].encode(errors="replace").decode() or None, detail


def in_use(error: ProtectedError) -> str:
    names = sorted({str(getattr(row, "agent", row)) for row in error.protected_objects})
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Agents use it: {', '.join(names[:3])}{more}. Give them another model first."
