"""Why a call failed, for its step: a sentence of ours, and apart from it the words that may quote the prompt.

Providers and tools repeat in their errors what they were sent. Their words are content: they are stored where prompts
are, or nowhere. The sentence names what a provider calls the error, its type and the parameter it refuses.
"""

from typing import NamedTuple

from agents.redaction import redact
from agents.types import LLMCallEnded, ToolCallEnded

LONGEST = 500
REPORTED = {
    "bad_model_answer": "The provider's answer could not be used",
    "context_length_exceeded": "The conversation is longer than the model can read",
    "provider_rate_limited": "The provider is limiting this server's requests",
    "provider_refused": "The provider refused the request",
    "provider_timeout": "The provider did not answer in time",
    "provider_unavailable": "The provider failed",
    "request_too_large": "The provider refused the request as too large",
}
CUT_OFF = {
    "cancelled": "The client left before the answer was complete.",
    "client_disconnected": "The client left before the answer was complete.",
    "run_timeout": "The run reached its agent's time limit.",
    "server_stopped": "The server stopped before the answer was complete.",
}
TOOL_ERROR = "The tool reported an error."


class Failure(NamedTuple):
    """`sentence` is ours and has no quotation; `words` are the provider's or the tool's, empty if they add nothing."""

    sentence: str = ""
    words: str = ""
    http_status: int | None = None


def failure_of(ended: LLMCallEnded) -> Failure:
    """Return why an LLM call failed; a call that was cut off has a code only."""
    error = ended.error
    if error is None:
        return Failure(CUT_OFF.get(ended.error_code, ""))
    if error.reported is None:  # the message is ours
        return Failure(fit(str(error)))
    reported = error.reported
    status = f"HTTP {reported.status}" if reported.status else ""
    facts = ", ".join(filter(None, [status, *reported.names]))
    sentence = REPORTED.get(error.code, "The call failed")
    return Failure(f"{sentence}: {facts}." if facts else f"{sentence}.", fit(str(error)), reported.status)


def failure_of_tool(ended: ToolCallEnded) -> Failure:
    if not ended.is_error:
        return Failure()
    return Failure(ended.reason or TOOL_ERROR, "" if ended.reason else fit(ended.result.removeprefix("Error: ")))


def fit(text: str) -> str:
    """Return a text as a column takes it: without secrets, without what a database refuses, and not too long."""
    text = redact(text.encode("utf-8", "replace").decode().replace("\x00", ""))
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
