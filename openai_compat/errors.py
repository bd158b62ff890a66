"""What an error looks like on the wire: the one table from errors to HTTP, and OpenAI's error body."""

import logging
import math
from http import HTTPStatus
from typing import Any

import msgspec
from django.core.exceptions import RequestDataTooBig
from django.http import Http404
from rest_framework import exceptions
from rest_framework.response import Response

from agents import errors

logger = logging.getLogger(__name__)

INVALID, API, RATE = "invalid_request_error", "api_error", "rate_limit_error"
LONGEST_RETRY_AFTER = 120
# Asking again is no use after these: an administrator has to act.
FINAL = (errors.ProviderRefused, errors.BudgetExceeded)

# The first class that fits, from the top.
TABLE: list[tuple[type[Exception], int, str]] = [
    (errors.PassEnded, 401, INVALID),
    (errors.AgentNotFound, 404, INVALID),
    (errors.RequestConflict, 409, INVALID),
    (errors.InvalidRequest, 400, INVALID),
    (errors.RateLimitExceeded, 429, RATE),
    (errors.BudgetExceeded, 429, "insufficient_quota"),
    (errors.LimitsUnavailable, 503, API),
    (errors.RunTimeout, 504, API),
    (errors.AskLimitReached, 502, API),
    (errors.ToolLoop, 502, API),
    (errors.RunAbandoned, 499, API),
    (errors.ServerStopped, 503, API),
    (errors.UsageNotRecorded, 503, API),
    (errors.RunFailed, 500, API),
    (errors.ProviderRateLimited, 429, RATE),
    (errors.ProviderTimeout, 504, API),
    (errors.ProviderError, 502, API),
    (exceptions.NotAuthenticated, 401, INVALID),
    (exceptions.AuthenticationFailed, 401, INVALID),
    (exceptions.UnsupportedMediaType, 415, INVALID),
    (exceptions.MethodNotAllowed, 405, INVALID),
    (exceptions.NotFound, 404, INVALID),
    (Http404, 404, INVALID),
    (RequestDataTooBig, 413, INVALID),
]


def http_status(error: BaseException) -> int:
    return next((status for kind, status, _ in TABLE if isinstance(error, kind)), 500)


def error_body(error: BaseException) -> dict[str, Any]:
    """Return OpenAI's error body, with all its four keys. What is not in the table is our fault and tells nothing."""
    kind = next((kind for known, _, kind in TABLE if isinstance(error, known)), None)
    if kind is None:
        return envelope("The server failed to answer this request.", kind=API, code="internal_error")
    message = str(getattr(error, "detail", error))
    code = getattr(error, "code", None) or getattr(error, "default_code", None)
    return envelope(message, kind=kind, code=code, param=getattr(error, "param", None))


def envelope(message: str, *, kind: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_frame(error: BaseException) -> bytes:
    """Return the error as an event of a stream that has already begun."""
    return b"data: " + msgspec.json.encode(error_body(error)) + b"\n\n"


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer an exception of a view."""
    status = http_status(error)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("A request failed in an unforeseen way.", exc_info=error)
    response = Response(error_body(error), status=status)
    if isinstance(error, exceptions.AuthenticationFailed | exceptions.NotAuthenticated):
        response["WWW-Authenticate"] = "Bearer"
    if isinstance(error, exceptions.MethodNotAllowed):
        response["Allow"] = ", ".join(context["view"].allowed_methods)
    if isinstance(error, errors.RateLimitExceeded):
        response["Retry-After"] = str(min(max(1, error.retry_after), LONGEST_RETRY_AFTER))
    if isinstance(error, errors.ProviderRateLimited):
        response["Retry-After"] = str(max(1, math.ceil(error.retry_after or 1)))
    if isinstance(error, FINAL) or getattr(error, "code", None) == "idempotency_key_reused":
        response["x-should-retry"] = "false"
    return response
