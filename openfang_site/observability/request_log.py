"""A line for every request: who asked what of whom, how it ended, how long it took; never what was said.

It counts the answers on /v1, too, whether or not they came to a run.
"""

import logging
import time
from typing import TYPE_CHECKING, Any

from agents.runs import Run
from openfang_site.observability.metrics import presence, responses

if TYPE_CHECKING:  # the server chooses the reactor of the process that imports it
    from openfang_site.server import Refusal

logger = logging.getLogger("openfang_site.requests")

CLIENT_LEFT = 499  # as nginx has it, and the usage rows
LONGEST_PATH = 200
UNREAD = "-"
HEAD = "%(method)s %(path)s %(status)d %(duration_ms)d ms"
HEAD_FACTS = ("method", "path", "status", "duration_ms")


async def logged(app: Any, scope: dict[str, Any], receive: Any, send: Any, *, is_api: bool = False) -> None:
    """Have an application answer a request, and write its line; one to the API is counted, too."""
    began, status, request_id = time.perf_counter(), CLIENT_LEFT, b""

    def noting(message: dict[str, Any]) -> Any:
        nonlocal status, request_id
        if message["type"] == "http.response.start":
            status = message["status"]
            request_id = next((value for name, value in message["headers"] if name == b"x-request-id"), request_id)
        return send(message)

    presence.in_flight += is_api
    try:
        await app(scope, receive, noting)
    except Exception:
        status = 500
        raise
    finally:
        if is_api:
            responses.add(str(status))
        presence.in_flight -= is_api
        if logger.isEnabledFor(logging.INFO):
            _write(_of_answer(scope, status, request_id, time.perf_counter() - began))


def note_refusal(refusal: "Refusal", *, is_api: bool) -> None:
    """Write the line of a request that no application has seen; one that may have been to the API is counted, too."""
    if is_api:
        responses.add(str(refusal.status))
    if logger.isEnabledFor(logging.INFO):
        facts = _head(refusal.method or UNREAD, refusal.path or UNREAD, refusal.status, refusal.seconds)
        if refusal.request_id:
            facts["request_id"] = refusal.request_id
        _write(facts | {"error": refusal.code})


def _of_answer(scope: dict[str, Any], status: int, request_id: bytes, seconds: float) -> dict[str, Any]:
    facts = _head(scope["method"], scope["path"], status, seconds)
    if request_id:
        facts["request_id"] = request_id.decode()
    if (key := scope.get("openfang.key")) is not None:
        facts["key"] = _one_line(key.name)
    run: Run | None = scope.get("openfang.run")
    if run and (row := run.record):
        facts |= {
            "agent": row.agent_name,
            "streamed": row.streamed,
            "prompt_tokens": row.prompt_tokens,
            "completion_tokens": row.completion_tokens,
        }
        if row.error_code:
            facts["error"] = row.error_code
        if row.error_text:
            facts["reason"] = _one_line(row.error_text)
    return facts


def _head(method: str, path: str, status: int, seconds: float) -> dict[str, Any]:
    return {
        "method": method,
        "path": _one_line(path[:LONGEST_PATH]),
        "status": status,
        "duration_ms": round(seconds * 1000),
    }


def _write(facts: dict[str, Any]) -> None:
    others = [f" {name}=%({name})s" for name in facts if name not in HEAD_FACTS]
    logger.info(HEAD + "".join(others), facts)


def _one_line(text: str) -> str:
    """Return a text of somebody else's so that it can't pass for a line of the log."""
    return text if text.isprintable() else ascii(text)
