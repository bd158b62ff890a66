"""How answers end: the reasons that providers give, and the events that say that something went wrong."""

import re
from typing import Any

from agents.types import FinishReason

_REASONS = {
    FinishReason.STOP: (
        "stop stop_sequence stop_token stopped eos eos_token eos_token_id end end_of_text end_turn complete completed "
        "done finish finished success"
    ),
    FinishReason.LENGTH: (
        "length max_length length_limit max_tokens max_output_tokens max_completion_tokens max_new_tokens token_limit "
        "model_length context_length context_length_exceeded context_window_exceeded model_context_window_exceeded "
        "incomplete"
    ),
    FinishReason.TOOL_CALLS: "tool_calls tool_call tool_use function_call function_calls",
    FinishReason.CONTENT_FILTER: (
        "content_filter content_filtered content_policy content_policy_violation sensitive safety recitation blocklist "
        "prohibited_content spii image_safety image_prohibited_content language refusal guardrail guardrail_intervened "
        "moderation moderated blocked error_toxic"
    ),
}
FINISH_REASONS = {name: reason for reason, names in _REASONS.items() for name in names.split()}

HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Reasons that a later `stop` does not take back; others, such as in_progress, only describe the answer so far.
FAILED = re.compile(r"error|abort|cancel|fail|timeout|insufficient", re.I)

# Fields in which servers put an error in their words.
WORDS = (
    "message",
    "detail",
    "details",
    "error_message",
    "errorMessage",
    "error_msg",
    "errors",
    "error_description",
    "msg",
    "err",
    "fault",
    "exception",
    "reason",
    "title",
)
# Fields of chunks that say nothing about how the answer went.
ABOUT = {
    "comment",
    "created",
    "id",
    "info",
    "model",
    "notice",
    "object",
    "provider",
    "service_tier",
    "system_fingerprint",
    "type",
    "warning",
}


def finish_reason(said: str) -> FinishReason | None:
    """Return what a provider's finish reason means, None if it is unknown: then the answer did not end well."""
    name = HUMP.sub("_", said.strip().rpartition(".")[2]).lower().replace("-", "_").replace(" ", "_")
    return FINISH_REASONS.get(name.removeprefix("finish_reason_").removeprefix("stop_reason_"))


def failure_in(data: Any, event: str = "") -> Any:
    """Return what says that something went wrong, if an event or a body without a choice does; else None."""
    if isinstance(data, list):
        return next((item for item in data if not isinstance(item, list) and failure_in(item, event) is not None), None)
    if not isinstance(data, dict):
        return data if data and (event == "error" or isinstance(data, str)) else None
    return data if event == "error" or data.get("error") or _says_error(data) or _has_only_words(data) else None


def _says_error(data: dict[str, Any]) -> bool:
    verdict = data.get("base_resp")  # MiniMax
    refused = isinstance(verdict, dict) and verdict.get("status_code") not in (None, 0, "0")
    kinds = (data.get("object"), data.get("type"), data.get("status"))
    return refused or data.get("success") is False or any(kind in ("error", "failed") for kind in kinds)


def _has_only_words(data: dict[str, Any]) -> bool:
    if data.get("choices") or data.get("usage"):
        return False
    if any(isinstance(data.get(name), str | list | dict) and data[name] for name in WORDS):
        return True
    return "choices" not in data and any(_is_sentence(value) for name, value in data.items() if name not in ABOUT)


def says_something(data: dict[str, Any]) -> bool:
    """Return whether a chunk that is no piece of an answer has a field that may matter."""
    return any(value not in (None, "", []) for name, value in data.items() if name not in ABOUT)


def _is_sentence(value: Any) -> bool:
    return isinstance(value, str) and " " in value.strip()
