"""What an HTTP error of a provider means for a run."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from agents.errors import (
    AgentError,
    ContextLengthExceeded,
    InvalidRequest,
    ProviderError,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
    Reported,
)
from agents.types import ModelSpec

TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|maximum context|prompt is too long|too many (input )?tokens|input is too long",
    re.I,
)
CLEAR = re.compile(r"maximum context length is \d+ tokens", re.I)
DISPENSABLE = {"temperature", "top_p", "stream_options", "parallel_tool_calls", "reasoning_effort"}
NUMBER = re.compile(r"\d{3,}")


def refusal(model: ModelSpec, status: int, body: bytes, headers: Mapping[str, str]) -> AgentError:
    """Return the error that stands for a provider's HTTP error; its message is fit for the caller's eyes."""
    said = _read(body.replace(model.provider.api_key.encode(), b"***") if model.provider.api_key else body)
    error = _error(model, status, said, headers)
    error.reported = Reported.of(status, said.code, [said.param])
    return error


def _error(model: ModelSpec, status: int, said: "_Said", headers: Mapping[str, str]) -> AgentError:
    where = model.provider.label
    error: ProviderError
    if status in (400, 422):
        return _refused_request(model, said)
    if status == 413:
        return InvalidRequest(f"{where} refused the request as too large.", code="request_too_large")
    if status == 429 and "insufficient_quota" not in said.code:
        error = ProviderRateLimited(f"{where} is limiting this server's requests.")
    elif status in (408, 504):
        error = ProviderTimeout(f"{where} did not answer in time (HTTP {status}).")
    elif status >= 500:
        error = ProviderUnavailable(f"{where} failed (HTTP {status}){': ' + said.message if said.message else '.'}")
    else:
        return ProviderRefused(f"{where} {_why_refused(model, status, said)}")
    error.retryable = headers.get("x-should-retry") != "false"
    error.retry_after = _seconds(headers)
    return error


def refused_parameter(status: int, body: bytes) -> str:
    """Return the parameter that the model does not take and can do without, or nothing if that is not the reason."""
    if status not in (400, 422):
        return ""
    said = _read(body)
    if said.param in DISPENSABLE:
        return said.param if "unsupported" in said.code or "not support" in said.message.lower() else ""
    return "stream_options" if "stream_options" in said.message else ""


class _Said(Struct):
    """What an error body says; `limit` is the context window, if it names one."""

    message: str = ""
    code: str = ""
    param: str = ""
    limit: int | None = None


def _refused_request(model: ModelSpec, said: _Said) -> InvalidRequest:
    if TOO_LONG.search(said.message) or TOO_LONG.search(said.code):
        return ContextLengthExceeded(_too_long(model, said))
    reason = said.message or "it gave no reason."
    return InvalidRequest(f"{model.provider.label} refused the request: {reason}", code="provider_refused")


def _why_refused(model: ModelSpec, status: int, said: _Said) -> str:
    """Return what an administrator has to know; the provider's own words about keys could quote them."""
    variable = model.provider.api_key_env
    reasons = {
        401: f"refused this server's API key (HTTP 401).{f' Check {variable}.' if variable else ''}",
        402: "wants this server's account to be paid (HTTP 402).",
        403: f"does not let this server's API key use {model.name!r} (HTTP 403).",
        404: f"has no model {model.name!r} at {model.provider.base_url} (HTTP 404).",
        429: "says that this server's quota is spent (HTTP 429).",
    }
    return reasons.get(status) or f"refused the request (HTTP {status}){': ' + said.message if said.message else '.'}"


def _read(body: bytes) -> _Said:
    """Read an error body in any of the shapes that servers use; a web page says nothing."""
    try:
        data: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Said()
    if isinstance(data, list) and data:
        data = data[0]
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, str):
        return _Said(error[:500])
    if not isinstance(error, dict):
        return _Said()
    message = error.get("message") or error.get("detail") or ""
    if isinstance(message, list):  # as FastAPI lists what is invalid
        message = "; ".join(str(item.get("msg")) for item in message if isinstance(item, dict))
    limit = error.get("n_ctx")
    return _Said(
        message=str(message)[:500],
        code=f"{error.get('code') or ''} {error.get('type') or ''}",
        param=str(error.get("param") or ""),
        limit=limit if isinstance(limit, int) else None,
    )


def _too_long(model: ModelSpec, said: _Said) -> str:
    """Say it in the words that clients look for before they compact their history."""
    if CLEAR.search(said.message):
        return said.message
    limit = said.limit or model.context_window
    if limit is None and (numbers := NUMBER.findall(said.message)):
        limit = min(map(int, numbers))
    length = f"This model's maximum context length is {limit} tokens." if limit else "The conversation is too long."
    return f"{length} {said.message}".strip()


def _seconds(headers: Mapping[str, str]) -> float | None:
    retry_after = headers.get("retry-after")
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
