"""One request as a timeline: its calls of models and tools, and the requests that other agents answered for it."""

from collections.abc import Iterator, Mapping
from typing import Any

from django.urls import reverse
from django.utils import timezone

from agents.admin.formats import NBSP, NOTHING, count, duration, size, usd
from agents.models import Status, StepKind, UsageRecord, UsageStep

KINDS = {StepKind.LLM: "LLM call", StepKind.TOOL: "tool call"}


def timeline(record: UsageRecord, words: Mapping[int, str]) -> dict[str, Any]:
    """Return what the page shows; `words` are what providers and tools said of failed steps, by their positions."""
    steps = list(record.steps.all())
    asked = list(UsageRecord.objects.filter(parent_id=record.pk).order_by("started_at"))
    rows = [_step(step, words.get(step.position, "")) for step in steps] + [
        _sub_request(record, child) for child in asked
    ]
    rows.sort(key=lambda row: row["began"])
    whole = max([record.duration_ms or 0, 1, *(row["began"] + row["took"] for row in rows)])
    for row in rows:
        row["left"] = f"{100 * row['began'] / whole:.2f}"
        row["width"] = f"{max(0.4, 100 * row['took'] / whole):.2f}"
        row["waited"] = f"{100 * row['first_token'] / row['took']:.2f}" if row["first_token"] and row["took"] else ""
    return {"rows": rows, "marks": [duration(whole * part // 4) for part in range(5)], "parent": _parent(record)}


def _step(step: UsageStep, words: str) -> dict[str, Any]:
    is_llm = step.kind == StepKind.LLM
    return {
        "kind": step.kind,
        "label": KINDS[StepKind(step.kind)],
        "name": "/".join(filter(None, [step.provider, step.name])),
        "began": step.started_ms,
        "took": step.duration_ms,
        "duration": duration(step.duration_ms),
        "first_token": step.first_token_ms,
        "details": _llm_details(step) if is_llm else _tool_details(step),
        "arguments": step.arguments,
        "error": step.error_code,
        "reason": step.error_text,
        "words": words,
    }


def _llm_details(step: UsageStep) -> list[str]:
    details = [*_attempt(step), _tokens(step)]
    if step.cached_tokens:
        details.append(f"{count(step.cached_tokens)} from its cache")
    if step.reasoning_tokens:
        details.append(f"{count(step.reasoning_tokens)} on reasoning")
    if step.first_token_ms is not None:
        details.append(f"first token after {duration(step.first_token_ms)}")
    return [*details, usd(step.cost)]


def _attempt(step: UsageStep) -> Iterator[str]:
    """Say which attempt a call was where there were several, and what came of one that failed."""
    if step.attempt and (step.attempt > 1 or step.error_code):
        yield f"attempt {step.attempt}"
    if step.error_code and step.http_status:
        yield f"HTTP {step.http_status}"
    if step.backoff_ms is not None:
        yield f"asked again after {duration(step.backoff_ms)}"


def _tool_details(step: UsageStep) -> list[str]:
    return [] if step.result_bytes is None else [f"{size(step.result_bytes)}{NBSP}bytes returned"]


def _sub_request(record: UsageRecord, child: UsageRecord) -> dict[str, Any]:
    took = child.duration_ms
    if took is None:
        took = round(((child.ended_at or timezone.now()) - child.started_at).total_seconds() * 1000)
    return {
        "kind": "request",
        "label": "asked agent",
        "name": child.agent_name,
        "url": reverse("admin:agents_usagerecord_change", args=[child.pk]),
        "began": max(0, round((child.started_at - record.started_at).total_seconds() * 1000)),
        "took": took,
        "duration": NOTHING if child.status == Status.RUNNING else duration(took),
        "first_token": child.first_token_ms,
        "details": [_tokens(child), usd(child.cost) if child.status != Status.RUNNING else "running"],
        "error": child.error_code,
    }


def _tokens(used: UsageStep | UsageRecord) -> str:
    return f"{count(used.prompt_tokens)} in, {count(used.completion_tokens)} out"


def _parent(record: UsageRecord) -> dict[str, str] | None:
    parent = UsageRecord.objects.filter(pk=record.parent_id).first() if record.parent_id else None
    if parent is None:
        return None
    return {"name": parent.agent_name, "url": reverse("admin:agents_usagerecord_change", args=[parent.pk])}
