"""The figures of this server, counted from the usage rows as they are closed.

Labels are names of rows, of this program's tools and of its own words: what a client or a model may make up is none.
"""

import platform
from collections.abc import Iterable, Sequence

from agents import __version__
from agents.errors import ProviderError
from agents.models import StepKind, UsageRecord, UsageStep
from agents.models.rollup import HISTOGRAM_BOUNDS
from agents.runs import engine
from agents.tools import BUILT_IN
from agents.usage.entries import Entry
from agents.usage.failures import failures
from openfang_site.observability.figures import Counter, Figure, Histogram, Reading
from openfang_site.observability.process import PROCESS

PROVIDER_ERRORS = {ProviderError.code} | {kind.code for kind in ProviderError.__subclasses__()}
KINDS = ("prompt", "completion", "cached", "reasoning")
FAILURE_KINDS = ("entry", "work", "lease", "round")

requests = Counter("openfang_requests_total", "Requests to agents that have ended.", "agent", "status", "streamed")
durations = Histogram(
    "openfang_request_duration_seconds",
    "From a request's start to its end.",
    "agent",
    "streamed",
    bounds=HISTOGRAM_BOUNDS,
)
first_tokens = Histogram(
    "openfang_first_token_seconds", "From a request's start to its first token.", "agent", bounds=HISTOGRAM_BOUNDS
)
tokens = Counter(
    "openfang_tokens_total",
    "Tokens of calls of models; cached are among the prompt's, reasoning among the completion's.",
    "agent",
    "provider",
    "model",
    "kind",
)
cost = Counter("openfang_cost_dollars_total", "What calls of models cost.", "agent", "provider", "model")
unpriced = Counter("openfang_unpriced_calls_total", "Calls of models whose price is unknown.", "provider", "model")
calls = Histogram(
    "openfang_upstream_duration_seconds", "Calls of models.", "provider", "model", bounds=HISTOGRAM_BOUNDS
)
errors = Counter("openfang_upstream_errors_total", "Calls of models that failed.", "provider", "error")
retries = Counter("openfang_upstream_retries_total", "Calls of a model after one that failed.", "provider")
fallbacks = Counter(
    "openfang_upstream_fallbacks_total", "Calls of another model after one of this provider failed.", "provider"
)
tools = Counter("openfang_tool_calls_total", "Calls of tools that the server runs.", "tool", "outcome")
responses = Counter(
    "openfang_http_responses_total",
    "Answers to requests to /v1, and to what cannot be read; 499: the client left, 408: it took too long.",
    "status",
)


class Presence:
    """Who is being answered at this moment."""

    in_flight = 0


presence = Presence()

# In the order in which they are read: when nobody is being answered, what is read after it has all answers.
FIGURES: Sequence[Figure] = (
    Reading("openfang_requests_in_flight", "Requests to /v1 under way.", read=lambda: {(): presence.in_flight}),
    requests,
    durations,
    first_tokens,
    tokens,
    cost,
    unpriced,
    calls,
    errors,
    retries,
    fallbacks,
    tools,
    responses,
    Reading(
        "openfang_usage_writer_queue_length",
        "Usage rows that wait to be written.",
        read=lambda: {(): engine.ledger.backlog},
    ),
    Reading(
        "openfang_usage_writer_up", "0: the writer has stopped.", read=lambda: {(): int(not engine.ledger.has_stopped)}
    ),
    Reading(
        "openfang_usage_writer_failures_total",
        "What the usage writer could not do, by kind; each cost only itself.",
        "kind",
        read=lambda: {(kind,): failures[kind] for kind in FAILURE_KINDS},
        kind="counter",
    ),
    Reading(
        "openfang_quarantined_entries",
        "Requests whose texts the database refused.",
        read=lambda: {(): engine.ledger.quarantined},
    ),
    Reading(
        "openfang_mcp_breaker_open",
        "Whether calls are kept away from an MCP server that fails.",
        "server",
        read=lambda: {(name,): int(is_open) for name, is_open in engine.mcp_breakers.items()},
    ),
    *PROCESS,
    Reading(
        "openfang_build_info",
        "What is running.",
        "version",
        "python",
        read=lambda: {(__version__, platform.python_version()): 1},
    ),
)


def count(closed: Iterable[Entry], **_: object) -> None:
    """Count requests whose rows are closed; called in the ledger's thread, for which it must be quick."""
    for entry in closed:
        row = entry.row
        streamed = "true" if row.streamed else "false"
        durations.observe(row.agent_name, streamed, milliseconds=row.duration_ms or 0)
        if row.first_token_ms is not None:
            first_tokens.observe(row.agent_name, milliseconds=row.first_token_ms)
        _count_steps(row, entry.steps or [])
        # Last: whoever reads of a request reads what it has taken, too.
        requests.add(row.agent_name, str(row.status), streamed)


def _count_steps(row: UsageRecord, steps: list[UsageStep]) -> None:
    failed: UsageStep | None = None
    for step in steps:
        if step.kind == StepKind.TOOL:
            tools.add(_tool(step.name, row.agent_name), "error" if step.error_code else "ok")
            continue
        _count_call(row, step)
        if failed is not None:
            again = (step.provider, step.name) == (failed.provider, failed.name)
            (retries if again else fallbacks).add(failed.provider)
        failed = step if step.error_code else None


def _count_call(row: UsageRecord, step: UsageStep) -> None:
    provider, model = step.provider, step.name
    calls.observe(provider, model, milliseconds=step.duration_ms)
    counts = (step.prompt_tokens, step.completion_tokens, step.cached_tokens, step.reasoning_tokens)
    for kind, number in zip(KINDS, counts, strict=True):
        if number:
            tokens.add(row.agent_name, provider, model, kind, amount=number)
    if step.cost is None:
        unpriced.add(provider, model)
    elif step.cost:
        cost.add(row.agent_name, provider, model, amount=float(step.cost))
    if step.error_code in PROVIDER_ERRORS:
        errors.add(provider, step.error_code)


def _tool(name: str, agent_name: str) -> str:
    """Return a tool's name, without what tells it from a client's in one run; one that a model made up is unknown."""
    known = name.removeprefix("openfang_")
    if known in BUILT_IN:
        return known
    agent = engine.snapshot.find(agent_name, None)
    told = {spec.told.function.name for spec in engine.snapshot.mcp_tools(agent)} if agent else set()
    return next((each for each in (name, known) if each in told), "unknown")
