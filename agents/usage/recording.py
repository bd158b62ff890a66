"""What one run uses, gathered from its events."""

import hashlib
import time
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from agents.models import Status, StepKind, UsageRecord, UsageStep
from agents.runner import NOT_EXECUTED
from agents.sql.rows import new_row
from agents.types import (
    Delta,
    Event,
    Finished,
    FinishReason,
    LLMCallEnded,
    LLMCallStarted,
    Message,
    ModelSpec,
    ToolCallEnded,
    Usage,
    UsageSource,
)
from agents.usage import estimates
from agents.usage.caps import capped
from agents.usage.content import Conversation
from agents.usage.reasons import Failure, failure_of, failure_of_tool

# Steps of calls beyond the agent's limit; one answer of a model may have thousands.
MOST_REFUSED = 100


class Recording:
    """Follows a run from its opening row to its closing one. Times are measured here, in milliseconds."""

    def __init__(self, row: UsageRecord) -> None:
        self.row = row
        self.steps: list[UsageStep] = []
        self.usage = Usage()
        self.tool_calls = 0
        self._refused = 0
        self._started = time.monotonic()
        self._first_token_ms: int | None = None
        self.finish_reason = FinishReason.STOP
        self._cost: Decimal | None = Decimal(0)
        self._sources: set[UsageSource] = set()
        self.counted: list[tuple[LLMCallStarted, int]] = []  # calls and their prompts' tokens, as the provider says
        self._call: LLMCallStarted | None = None
        self._last_model: ModelSpec | None = None
        self._call_began = 0.0
        self._call_first_token_ms: int | None = None
        self._call_bytes = 0
        self._asked: list[Message] | None = None
        self._heard: list[Delta] = []
        self._words: dict[int, str] = {}

    @property
    def conversation(self) -> Conversation | None:
        """What was said, if that is stored."""
        if self._asked is None:
            return None
        answer = "".join(delta.text for delta in self._heard)
        reasoning = "".join(delta.reasoning for delta in self._heard)
        return Conversation(self._asked, answer, reasoning, self._words)

    def observe(self, event: Event) -> None:
        if type(event) is Delta:
            self._hear(event)
        elif isinstance(event, LLMCallStarted):
            self._call, self._call_began = event, time.monotonic()
            self._call_first_token_ms, self._call_bytes = None, 0
            if settings.OPENFANG_STORE_CONTENT_DAYS:
                self._asked, self._heard = event.request.messages, []
        elif isinstance(event, LLMCallEnded):
            self._end_call(event)
        elif isinstance(event, ToolCallEnded):
            if event.result == NOT_EXECUTED:
                self._refused += 1
            if event.result != NOT_EXECUTED or self._refused <= MOST_REFUSED:
                self._add_tool_step(event)
        elif isinstance(event, Finished):
            self.finish_reason = event.finish_reason

    def _hear(self, delta: Delta) -> None:
        if self._call_first_token_ms is None:
            self._call_first_token_ms = _since(self._call_began)
            if self._first_token_ms is None:
                self._first_token_ms = _since(self._started)
        self._call_bytes += len(delta.text.encode()) + len(delta.reasoning.encode())
        for piece in delta.tool_calls:
            self._call_bytes += len(piece.arguments.encode())
        if self._asked is not None:
            self._heard.append(delta)

    def _end_call(self, ended: LLMCallEnded) -> None:
        """Add the step of the LLM call under way."""
        call, self._call = self._call, None
        assert call is not None
        usage, source = self._usage_of(call, ended)
        cost = Decimal(0) if source is UsageSource.NONE else call.model.prices.cost(usage)
        failure = failure_of(ended)
        self.steps.append(
            new_row(
                UsageStep,
                record_id=self.row.id,
                position=len(self.steps) + 1,
                kind=StepKind.LLM,
                name=call.model.name,
                provider=call.model.provider.name,
                error_code=ended.error_code,
                error_text=failure.sentence,
                http_status=failure.http_status if ended.error_code else 200,
                attempt=call.attempt,
                backoff_ms=None if ended.backoff is None else round(ended.backoff * 1000),
                token_source=source,
                started_ms=round((self._call_began - self._started) * 1000),
                first_token_ms=self._call_first_token_ms,
                duration_ms=_since(self._call_began),
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                cached_tokens=usage.cached_tokens,
                reasoning_tokens=usage.reasoning_tokens,
                cost=cost,
            )
        )
        self.steps[-1].span, self.steps[-1].response_model = call.request.span, ended.model
        self._keep_words(failure)
        self.usage += usage
        self._sources.add(source)
        self._cost = None if cost is None or self._cost is None else self._cost + cost
        self._last_model = call.model

    def _usage_of(self, call: LLMCallStarted, ended: LLMCallEnded) -> tuple[Usage, UsageSource]:
        """Return what a call used: as its provider counts, as far as that is possible, else as we estimate.

        Nothing was used only if the request did not reach the provider, or was refused by it.
        """
        counted, billable = ended.usage, call.request.delivery.billable
        if counted is None and not billable and self._call_first_token_ms is None and ended.error_code:
            return Usage(), UsageSource.NONE
        prompt = estimates.prompt_tokens(call.estimate, call.model)
        estimated = Usage(prompt, estimates.text_tokens(self._call_bytes))
        if counted is None:
            return estimated, UsageSource.ESTIMATED
        reported = counted.filled(estimated)
        usage = capped(reported, call.model)
        if usage is not reported:
            return usage, UsageSource.CAPPED
        if counted.prompt_tokens is not None:
            self.counted.append((call, counted.prompt_tokens))
        return usage, UsageSource.PROVIDER if counted.is_complete else UsageSource.ESTIMATED

    def _add_tool_step(self, event: ToolCallEnded) -> None:
        arguments = event.call.function.arguments
        failure = failure_of_tool(event)
        self.tool_calls += 1
        self.steps.append(
            new_row(
                UsageStep,
                record_id=self.row.id,
                position=len(self.steps) + 1,
                kind=StepKind.TOOL,
                name=event.call.function.name[:200],
                error_code="tool_failed" if event.is_error else "",
                error_text=failure.sentence,
                started_ms=max(0, _since(self._started) - event.duration_ms),
                duration_ms=event.duration_ms,
                arguments_digest=hashlib.sha256(arguments.encode()).hexdigest(),
                arguments=arguments.replace("\x00", "") if settings.OPENFANG_KEEP_TOOL_ARGUMENTS else "",
                result_bytes=len(event.result.encode()),
                cost=Decimal(0),
            )
        )

        self._keep_words(failure)

    def _keep_words(self, failure: Failure) -> None:
        """Keep what a provider or a tool said of the step that was just added, where prompts are stored."""
        if failure.words and self._asked is not None:
            self._words[self.steps[-1].position] = failure.words

    def close(self, status: Status, *, http_status: int, error_code: str = "") -> None:
        """Write into the row how the run ended and what it used."""
        if self._call is not None:
            self._end_call(LLMCallEnded(error_code=error_code or status.value))
        row = self.row
        row.status, row.http_status, row.error_code = status, http_status, error_code
        if error_code and self.steps:
            row.error_text = self.steps[-1].error_text
        row.ended_at = timezone.now()
        row.duration_ms, row.first_token_ms = _since(self._started), self._first_token_ms
        row.finish_reason = self.finish_reason if status == Status.OK else ""
        if self._last_model is not None:
            row.provider, row.model = self._last_model.provider.name, self._last_model.name
        else:
            row.provider = row.model = ""
        row.prompt_tokens, row.completion_tokens = self.usage.prompt_tokens, self.usage.completion_tokens
        row.cached_tokens, row.reasoning_tokens = self.usage.cached_tokens, self.usage.reasoning_tokens
        row.cost = self._cost
        row.tool_calls = self.tool_calls
        row.llm_calls = len(self.steps) - self.tool_calls
        row.token_source = self._source()

    def _source(self) -> UsageSource:
        """Return the least exact source among the calls'."""
        worst_first = (UsageSource.CAPPED, UsageSource.ESTIMATED, UsageSource.PROVIDER)
        return next((source for source in worst_first if source in self._sources), UsageSource.NONE)


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)
