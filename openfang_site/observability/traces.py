"""OpenTelemetry traces by the conventions for generative AI: an agent's run, its calls of models, its calls of tools.

The spans are made of the usage row and its steps when a run is over, so that a run itself has no work with them, and
have no word of what was said. https://github.com/open-telemetry/semantic-conventions-genai
"""

import atexit
import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from msgspec import Struct
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from agents import __version__
from agents.models import StepKind, UsageRecord, UsageStep
from agents.tracing import Span, span_of_run
from agents.usage.entries import Entry

Attributes = dict[str, Any]
FLUSH_SECONDS = 5.0  # a collector that is down must not hold up a stop
# Where OpenTelemetry's name of a provider is not that of our catalog.
PROVIDERS = {"gemini": "gcp.gemini", "mistral": "mistral_ai", "moonshot": "moonshot_ai", "xai": "x_ai"}


class Operation(Struct):
    """What a span tells, whenever it was."""

    name: str
    kind: SpanKind
    attributes: Attributes
    error: str


class SettledIds(RandomIdGenerator):
    """Gives a span the ids that were settled when its run began, and told to providers; random ones to the others."""

    span: Span | None = None

    def generate_trace_id(self) -> int:
        return self.span.trace_id if self.span else super().generate_trace_id()

    def generate_span_id(self) -> int:
        return self.span.span_id if self.span else super().generate_span_id()


class Traces:
    """Makes spans of closed runs. Called in the ledger's thread; sent by a thread of OpenTelemetry's."""

    def __init__(self, provider: TracerProvider, ids: SettledIds) -> None:
        self._tracer = provider.get_tracer("openfang", __version__)
        self._ids = ids

    def write(self, closed: Iterable[Entry], **_: object) -> None:
        for entry in closed:
            self._write_run(entry.row, entry.steps or [])

    def _write_run(self, row: UsageRecord, steps: list[UsageStep]) -> None:
        began = _nanoseconds(row.started_at)
        own = span_of_run(row.id, row.caller_span)
        self._write_span(_of_run(row), own, row.caller_span, began=began, duration_ms=row.duration_ms or 0)
        finish_reasons = _finish_reasons(row, steps)
        for step in steps:
            operation = _of_tool(step) if step.kind == StepKind.TOOL else _of_call(step)
            if reason := finish_reasons.get(step.position):
                operation.attributes["gen_ai.response.finish_reasons"] = [reason]
            at = began + step.started_ms * 1_000_000
            self._write_span(operation, step.span, own, began=at, duration_ms=step.duration_ms)

    def _write_span(
        self, operation: Operation, own: Span | None, parent: Span | None, *, began: int, duration_ms: int
    ) -> None:
        self._ids.span = own
        if operation.error:
            operation.attributes["error.type"] = operation.error
        span = self._tracer.start_span(
            operation.name, _context(parent), operation.kind, operation.attributes, start_time=began
        )
        if operation.error:
            span.set_status(Status(StatusCode.ERROR, operation.error))
        span.end(began + duration_ms * 1_000_000)


def start() -> Callable[..., None]:
    """Begin to send traces to where OpenTelemetry's variables say; returns what is to be told of closed runs."""
    ids = SettledIds()
    resource = Resource({"service.name": "openfang", "service.version": __version__})
    provider = TracerProvider(
        resource=resource.merge(OTELResourceDetector().detect()), id_generator=ids, shutdown_on_exit=False
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    atexit.register(_flush, provider)
    return Traces(provider, ids).write


def _flush(provider: TracerProvider) -> None:
    """Send what is left, if that can be done soon."""
    flushing = threading.Thread(target=provider.shutdown, daemon=True)
    flushing.start()
    flushing.join(FLUSH_SECONDS)


def _context(parent: Span | None) -> Context:
    """Return the context of a span's parent; an empty one makes the first span of a trace."""
    context = Context()
    if parent is None:
        return context
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    state = TraceState.from_header([parent.state])
    remote = SpanContext(parent.trace_id, parent.span_id, is_remote=True, trace_flags=flags, trace_state=state)
    return trace.set_span_in_context(trace.NonRecordingSpan(remote), context)


def _of_run(row: UsageRecord) -> Operation:
    attributes: Attributes = {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": PROVIDERS.get(row.provider, row.provider) or "openfang",
        "gen_ai.agent.name": row.agent_name,
        "gen_ai.agent.id": str(row.agent_id),
        "openfang.request.id": str(row),
        **_tokens(row),
    }
    if row.model:
        attributes["gen_ai.request.model"] = row.model
    if row.finish_reason:
        attributes["gen_ai.response.finish_reasons"] = [row.finish_reason]
    if row.api_key_name:
        attributes["openfang.key.name"] = row.api_key_name
    if row.cost is not None:
        attributes["openfang.cost_usd"] = float(row.cost)
    return Operation(f"invoke_agent {row.agent_name}", SpanKind.INTERNAL, attributes, row.error_code)


def _of_call(step: UsageStep) -> Operation:
    attributes: Attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDERS.get(step.provider, step.provider),
        "gen_ai.request.model": step.name,
        "gen_ai.request.stream": True,
        **_tokens(step),
    }
    if step.response_model:
        attributes["gen_ai.response.model"] = step.response_model
    if step.first_token_ms is not None:
        attributes["gen_ai.response.time_to_first_chunk"] = step.first_token_ms / 1000
    return Operation(f"chat {step.name}", SpanKind.CLIENT, attributes, step.error_code)


def _of_tool(step: UsageStep) -> Operation:
    attributes: Attributes = {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": step.name,
        "gen_ai.tool.type": "function",
    }
    return Operation(f"execute_tool {step.name}", SpanKind.INTERNAL, attributes, step.error_code)


def _tokens(counts: UsageRecord | UsageStep) -> Attributes:
    return {
        "gen_ai.usage.input_tokens": counts.prompt_tokens,
        "gen_ai.usage.output_tokens": counts.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": counts.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": counts.reasoning_tokens,
    }


def _finish_reasons(row: UsageRecord, steps: list[UsageStep]) -> dict[int, str]:
    """Return by position why each call that was answered ended: all but the last went on to tools of the server."""
    answered = [step.position for step in steps if step.kind == StepKind.LLM and not step.error_code]
    reasons = dict.fromkeys(answered, "tool_calls")
    if answered:
        reasons[answered[-1]] = row.finish_reason
    return reasons


def _nanoseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000) * 1_000_000
