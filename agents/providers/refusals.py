"""What an error of a provider means for a run, wherever it stands: in an HTTP error, a body, or an event."""

import re
from collections.abc import Mapping
from typing import Any

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
from agents.providers.endings import WORDS
from agents.providers.lenient import loosely_decoded, whole_text
from agents.redaction import redact
from agents.types import ModelSpec

TOO_LONG = re.compile(
    r"context[ _-]?(length|size|window)|maximum context|prompt is too long|too many (input )?tokens|input is too long",
    re.I,
)
CLEAR = re.compile(r"maximum context length is \d+ tokens", re.I)
NUMBER = re.compile(r"\d{3,}")
LONGEST_WORDS = 500
# Both take linear time: a provider may send a megabyte of "<script".
TAG = re.compile(r"<(?:script|style)\b(?:[^<]|<(?!/(?:script|style)))*|<[a-z/!?][^<>]*>?", re.I)
TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.I)
CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
DEEPEST_WORDS, MOST_SENTENCES = 20, 20
STATUS_OF_NAME = {
    "invalid_request_error": 400,
    "invalid_argument": 400,
    "context_length_exceeded": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "unauthenticated": 401,
    "permission_error": 403,
    "permission_denied": 403,
    "model_not_found": 404,
    "not_found_error": 404,
    "insufficient_quota": 429,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "too_many_requests": 429,
    "resource_exhausted": 429,
    "overloaded_error": 503,
    "service_unavailable": 503,
    "unavailable": 503,
    "timeout": 504,
    "deadline_exceeded": 504,
}


class Said(Struct):
    """What an error says; `limit` is the context window, if it names one, and `params` the parameters it refuses."""

    message: str = ""
    code: str = ""
    params: tuple[str, ...] = ()
    limit: int | None = None
    status: int | None = None


def refusal(model: ModelSpec, status: int, body: bytes, headers: Mapping[str, str]) -> AgentError:
    """Return the error that stands for a provider's HTTP error; its message is fit for the caller's eyes."""
    said = read(body, model.provider.api_key)
    return reported(_error(model, status, said, headers), status, said)


def failed_answer(model: ModelSpec, failure: Any, headers: Mapping[str, str]) -> AgentError:
    """Return the error that stands for one that came with a status of 200, in the body or in mid-stream."""
    said = _said(failure, model.provider.api_key)
    if said.status is not None:
        error = _error(model, said.status, said, headers)
    elif TOO_LONG.search(said.message):
        error = ContextLengthExceeded(_too_long(model, said))
    else:
        words = said.message or said.code.strip() or "it gave no reason."
        error = ProviderUnavailable(f"The provider broke off: {words}")
    return reported(error, None, said)


def reported(error: AgentError, status: int | None, said: Said) -> AgentError:
    """Mark an error as one that has a provider's words in it."""
    error.reported = Reported.of(status, said.code, said.params)
    return error


def page_words(page: bytes, secret: str | None = None) -> str:
    """Return what a web page, or a text, says: its title and the beginning of its words."""
    text = page[:100_000].decode("utf-8", "replace")
    title = TITLE.search(text)
    return clean(title[1] if title and title[1].strip() else TAG.sub(" ", text), secret)


def clean(words: str, secret: str | None = None) -> str:
    """Return a provider's words, bounded, in one line, without keys and control characters."""
    words = whole_text(words[: 4 * LONGEST_WORDS])
    if secret:
        words = words.replace(secret, "***")
    return " ".join(CONTROLS.sub(" ", redact(words)).split())[:LONGEST_WORDS]


def words_beside_choices(chunk: bytes, secret: str | None = None) -> str:
    """Return the message that a chunk has beside its choices, if any."""
    data = loosely_decoded(chunk)
    return clean(_text({name: data.get(name) for name in WORDS}), secret)


def read(body: bytes, secret: str | None = None) -> Said:
    """Read an error body in any of the shapes that servers use; a web page says nothing."""
    try:
        return _said(loosely_decoded(body), secret)
    except ValueError:
        return Said() if body.lstrip().startswith((b"<", b"\xef\xbb\xbf<")) else Said(page_words(body, secret))


def _error(model: ModelSpec, status: int, said: Said, headers: Mapping[str, str]) -> AgentError:
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


def _refused_request(model: ModelSpec, said: Said) -> InvalidRequest:
    if TOO_LONG.search(said.message) or TOO_LONG.search(said.code):
        return ContextLengthExceeded(_too_long(model, said))
    reason = said.message or "it gave no reason."
    return InvalidRequest(f"{model.provider.label} refused the request: {reason}", code="provider_refused")


def _why_refused(model: ModelSpec, status: int, said: Said) -> str:
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


def _said(data: Any, secret: str | None) -> Said:
    if isinstance(data, list):
        data = next((item for item in data if isinstance(item, dict)), data[0] if data else None)
    error = data.get("error") or data.get("base_resp") or data if isinstance(data, dict) else data
    for _ in range(DEEPEST_WORDS):  # proxies wrap the errors of others
        if isinstance(error, dict) and not error.get("message") and isinstance(inner := error.get("error"), dict):
            error = inner
    if not isinstance(error, dict):
        outer = data if isinstance(data, dict) else {}
        words = error if isinstance(error, str) else next((outer[name] for name in WORDS if outer.get(name)), error)
        return Said(clean(_text(words), secret), clean(_names(outer), secret), status=_status(outer))
    message = next((error[name] for name in (*WORDS, "status_msg") if error.get(name)), "")
    limit = error.get("n_ctx")
    return Said(
        message=clean(_text(message) or _sentences(error), secret),
        code=clean(" ".join(filter(None, map(_names, [error, *_items(message)]))), secret),
        params=tuple(clean(path, secret) for path in _params(error, message)),
        limit=limit if isinstance(limit, int) else None,
        status=_status(error) or (_status(data) if isinstance(data, dict) else None),
    )


def _text(message: Any, levels: int = DEEPEST_WORDS) -> str:
    """Return a message as text: FastAPI sends a list of invalid fields, others an object that holds a message."""
    if levels == 0:
        return ""
    if isinstance(message, dict):
        words = next((message[name] for name in ("msg", *WORDS) if message.get(name)), None)
        message = [*message.values()] if words is None else [words]
    if isinstance(message, list):
        return "; ".join(filter(None, (_text(item, levels - 1) for item in message[:MOST_SENTENCES])))
    return "" if message is None or isinstance(message, bool) else str(message)


def _sentences(error: dict[str, Any]) -> str:
    return "; ".join(value for value in error.values() if isinstance(value, str) and " " in value.strip())


def _names(error: dict[str, Any]) -> str:
    names = [error.get(name) for name in ("code", "type", "status", "error_code")]
    return " ".join(str(name) for name in names if name and isinstance(name, str | int))


def _status(error: dict[str, Any]) -> int | None:
    """Return the HTTP status that an error names, by number or by name."""
    for field in ("code", "status", "status_code", "error_code", "type"):
        value = error.get(field)
        if isinstance(value, str):
            value = int(value) if re.fullmatch(r"[45]\d\d", value) else STATUS_OF_NAME.get(value.lower())
        if isinstance(value, int | float) and 400 <= value < 600:
            return int(value)
    return None


def _params(error: dict[str, Any], message: Any) -> tuple[str, ...]:
    """Return the places in the request that an error points to, as in `messages[0].role`."""
    paths = (".".join(map(str, place)) if isinstance(place, list) else str(place) for place in _places(error, message))
    return tuple(path.removeprefix("body.") for path in paths)


def _places(error: dict[str, Any], message: Any) -> list[Any]:
    places = [error.get("param"), error.get("field")]
    for item in _items(message):
        detail = item.get("detail")
        places += [item.get(name) for name in ("loc", "param", "field", "path")]
        places += [inner.get("loc") for inner in _items(detail)]
    return [place for place in places if place and isinstance(place, str | list)]


def _items(message: Any) -> list[dict[str, Any]]:
    """Return the errors that a message is made of, if it is no text."""
    items = message[:MOST_SENTENCES] if isinstance(message, list) else [message]
    return [item for item in items if isinstance(item, dict)]


def _too_long(model: ModelSpec, said: Said) -> str:
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
