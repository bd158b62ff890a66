"""/metrics: figures for a Prometheus of one's own, and for nobody else."""

import asyncio
import secrets
from io import BytesIO
from typing import Any

from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from rest_framework.request import Request

from agents.networks import lies_in
from openai_compat.authentication import forwarding_header, why_not_local
from openfang_site.observability.workers import desk

PATH = "/metrics"
CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


async def metrics(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Answer who may read the figures; to anybody else there is no such page."""
    if may_read(scope):
        status, body = 200, (await asyncio.to_thread(desk.text)).encode()
    else:
        status, body = 404, b"Not Found\n"
    headers = [
        (b"content-type", CONTENT_TYPE),
        (b"content-length", b"%d" % len(body)),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def may_read(scope: dict[str, Any]) -> bool:
    """Say whether a request has the token, or comes from this machine or a network of the settings and by no proxy."""
    request = Request(ASGIRequest(scope, BytesIO()))
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if settings.OPENFANG_METRICS_TOKEN and scheme.lower() == "bearer":
        return secrets.compare_digest(token.strip().encode(), settings.OPENFANG_METRICS_TOKEN.encode())
    if forwarding_header(scope):
        return False
    address = (scope.get("client") or ("",))[0]
    return lies_in(address, settings.OPENFANG_METRICS_NETWORKS) or why_not_local(request) is None
