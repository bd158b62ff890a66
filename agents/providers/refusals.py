"""What an HTTP error of a provider means for a run."""

import re
from typing import Any

import msgspec

from agents.errors import (
    AgentError,
    ContextLengthExceeded,
    InvalidRequest,
    ProviderRateLimited,
    ProviderRefused,
    ProviderTimeout,
    ProviderUnavailable,
)
from agents.types import ModelSpec

TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|maximum context|prompt is too long|too many (input )?tokens|input is too long",
    re.I,
)
NUMBER = re.compile(r"\d{3,}")


def refusal(model: ModelSpec, status: int, body: bytes, retry_after: str | None) -> AgentError:
    """Return the error that stands for a provider's HTTP error; its message is fit for the caller's eyes."""
    provider = model.provider
    said, code, limit = _read(body)
    if provider.api_key:
        said = said.replace(provider.api_key, "***")
    where = provider.label
    match status:
        case 400 | 422 if TOO_LONG.search(said) or TOO_LONG.search(code):
            return ContextLengthExceeded(_too_long(model, said, limit))
        case 413:
            return InvalidRequest(f"{where} refused the request as too large.", code="request_too_large")
        case 400 | 422:
            return InvalidRequest(
                f"{where} refused the request: {said or 'it gave no reason'}", code="provider_refused"
            )
        case 401 | 403:
            hint = f" Check {provider.api_key_env}." if provider.api_key_env else ""
            return ProviderRefused(f"{where} refused this server's API key (HTTP {status}).{hint}")
        case 404:
            return ProviderRefused(f"{where} has no model {model.name!r} at {provider.base_url} (HTTP 404).")
        case 402:
            return ProviderRefused(f"{where} wants this server's account to be paid (HTTP 402).")
        case 429 if "insufficient_quota" in code:
            return ProviderRefused(f"{where} says that this server's quota is spent (HTTP 429).")
        case 429:
            return ProviderRateLimited(
                f"{where} is limiting this server's requests.", retry_after=_seconds(retry_after)
            )
        case 408 | 504:
            return ProviderTimeout(f"{where} did not answer in time (HTTP {status}).")
        case _ if status >= 500:
            return ProviderUnavailable(f"{where} failed (HTTP {status}){': ' + said if said else '.'}")
    return ProviderRefused(f"{where} refused the request (HTTP {status}){': ' + said if said else '.'}")


def _read(body: bytes) -> tuple[str, str, int | None]:
    """Return the message, the code and the context limit that an error body names; a web page names nothing."""
    try:
        data: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", "", None
    if isinstance(data, list) and data:
        data = data[0]
    error = data.get("error", data) if isinstance(data, dict) else data
    if isinstance(error, str):
        return error[:500], "", None
    if not isinstance(error, dict):
        return "", "", None
    message = error.get("message") or error.get("detail") or ""
    code = f"{error.get('code') or ''} {error.get('type') or ''}"
    limit = error.get("n_ctx")
    return str(message)[:500], code, limit if isinstance(limit, int) else None


def _too_long(model: ModelSpec, said: str, limit: int | None) -> str:
    """Say it in the words that clients look for before they compact their history."""
    limit = limit or model.context_window
    if limit is None and (numbers := NUMBER.findall(said)):
        limit = min(map(int, numbers))
    length = f"This model's maximum context length is {limit} tokens." if limit else "The conversation is too long."
    return f"{length} {said}".strip()


def _seconds(retry_after: str | None) -> float | None:
    try:
        return max(0.0, float(retry_after)) if retry_after else None
    except ValueError:
        return None
