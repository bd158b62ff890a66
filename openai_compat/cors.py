"""What lets web pages of other origins call /v1, where the settings name them. Never with cookies: /v1 has none."""

import re
from collections.abc import Mapping
from typing import Any

from django.conf import settings

Headers = list[tuple[bytes, bytes]]

EXPOSED = ", ".join(
    [
        "openai-processing-ms",
        "retry-after",
        "x-openfang-ignored",
        "x-openfang-replayed",
        "x-request-id",
        "x-should-retry",
        *(f"x-ratelimit-{what}-{of}" for of in ("requests", "tokens") for what in ("limit", "remaining", "reset")),
    ]
).encode()
# The names that the page wants to send; OpenAI's own client has a dozen, and new ones with every version.
HEADER_NAMES = re.compile(rb"[A-Za-z0-9_, -]{1,1000}")
TWO_HOURS = b"7200"  # the longest that browsers take


def cors_headers(scope: Mapping[str, Any]) -> Headers:
    """Return what lets the page that sent a request read the answer; nothing unless the settings name its origin."""
    origins: frozenset[str] = settings.OPENFANG_CORS_ORIGINS
    if not origins:
        return []
    origin = _header(scope, b"origin")
    allowed = b"*" if "*" in origins else origin if origin and origin.decode("latin-1").lower() in origins else None
    vary = [] if allowed == b"*" else [(b"vary", b"origin")]
    if origin is None or allowed is None:
        return vary
    return [(b"access-control-allow-origin", allowed), (b"access-control-expose-headers", EXPOSED), *vary]


def preflight_headers(scope: Mapping[str, Any]) -> Headers | None:
    """Return the answer to a browser that asks whether a page may send a request; None if it is not such a question.

    Browsers ask without the key, so nothing else is said here.
    """
    if scope["method"] != "OPTIONS" or _header(scope, b"access-control-request-method") is None:
        return None
    headers = cors_headers(scope)
    if not any(name == b"access-control-allow-origin" for name, _ in headers):
        return None
    wanted = _header(scope, b"access-control-request-headers") or b""
    return [
        *headers,
        (b"access-control-allow-methods", b"GET, POST"),
        (b"access-control-allow-headers", wanted if HEADER_NAMES.fullmatch(wanted) else b"authorization, content-type"),
        (b"access-control-max-age", TWO_HOURS),
    ]


def _header(scope: Mapping[str, Any], name: bytes) -> bytes | None:
    return next((value for key, value in scope["headers"] if key == name), None)
