import random
import time
import uuid

from django.db import models

from agents.models.agent import Agent
from agents.models.api_key import ApiKey
from agents.models.money import UsdField
from agents.tracing import Span

ID_PREFIXES = ("req_", "chatcmpl-")


def time_ordered_uuid() -> uuid.UUID:
    """Return a version 7 UUID (RFC 9562): rows of one time lie together in the index, which keeps inserts cheap."""
    milliseconds = time.time_ns() // 1_000_000
    value = milliseconds << 80 | random.getrandbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return uuid.UUID(int=value)


def request_id(text: str) -> uuid.UUID | None:
    """Return the id in `req_<hex>`, `chatcmpl-<uuid>` or a bare UUID, as clients and logs show it."""
    for prefix in ID_PREFIXES:
        text = text.removeprefix(prefix)
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


class Status(models.TextChoices):
    """How a request stands or ended."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled", "Cancelled by the client"
    LOST = "lost", "Lost with its server process"


class TokenSource(models.TextChoices):
    PROVIDER = "provider", "the provider"
    ESTIMATED = "estimated", "our estimate"
    CAPPED = "capped", "the provider, capped at what one call can be"
    NONE = "none", "nothing was used"


class TokenCounts(models.Model):
    """Tokens and what they cost. A cost of null is unknown, not free."""

    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    cost = UsdField(null=True, blank=True, help_text="US dollars. Empty: a price was unknown.")

    class Meta:
        abstract = True

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class UsageRecord(TokenCounts):
    """One request to an agent: who asked, what was used, how it ended. Names are kept when agent and key are gone."""

    id = models.UUIDField("ID", primary_key=True, default=time_ordered_uuid, editable=False)
    started_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    worker_id = models.UUIDField("worker ID")
    # Without an index of its own: one of those below begins with it.
    agent = models.ForeignKey(
        Agent, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="usage"
    )
    agent_name = models.CharField(max_length=64)
    api_key = models.ForeignKey(
        ApiKey,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        blank=True,
        related_name="usage",
        verbose_name="API key",
    )
    api_key_name = models.CharField("API key name", max_length=100, blank=True)
    parent_id = models.UUIDField(
        "parent ID", null=True, blank=True, help_text="The request whose agent asked this one."
    )
    endpoint = models.CharField(max_length=64)
    streamed = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.RUNNING)
    http_status = models.PositiveSmallIntegerField("HTTP status", null=True, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    finish_reason = models.CharField(max_length=16, blank=True)
    requested_model = models.CharField(max_length=200)
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=200, blank=True)
    token_source = models.CharField(max_length=16, choices=TokenSource.choices, default=TokenSource.NONE)
    llm_calls = models.PositiveIntegerField("LLM calls", default=0)
    tool_calls = models.PositiveIntegerField(default=0)
    first_token_ms = models.PositiveIntegerField("first token (ms)", null=True, blank=True)
    duration_ms = models.PositiveIntegerField("duration (ms)", null=True, blank=True)
    client_address = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=200, blank=True)
    end_user = models.CharField(max_length=200, blank=True, help_text="Whom the client named in user.")
    # For the trace and the line of the log that are made when the row is closed, not kept.
    caller_span: Span | None = None
    error_text = ""

    class Meta:
        verbose_name = "request"
        ordering = ["-started_at"]
        indexes = [
            models.Index(fields=["agent", "-started_at"], name="usage_by_agent"),
            models.Index(fields=["api_key", "-started_at"], name="usage_by_key"),
            models.Index(fields=["status", "-started_at"], name="usage_by_status"),
            # With the time in it the slowest of a period are found without reading the rows of others.
            models.Index(fields=["-duration_ms", "started_at"], name="usage_by_duration"),
            models.Index(fields=["parent_id"], name="usage_by_parent", condition=models.Q(parent_id__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"req_{self.id.hex}"


class StepKind(models.TextChoices):
    LLM = "llm", "LLM call"
    TOOL = "tool", "tool call"


class UsageStep(TokenCounts):
    """One call of a model or of a tool within a request."""

    record = models.ForeignKey(UsageRecord, on_delete=models.CASCADE, db_index=False, related_name="steps")
    position = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=StepKind.choices)
    name = models.CharField(max_length=200, help_text="The model or the tool.")
    provider = models.CharField(max_length=64, blank=True)
    error_code = models.CharField(max_length=64, blank=True)
    error_text = models.CharField(
        "error", max_length=500, blank=True, default="", db_default="", help_text="Why the call failed."
    )
    http_status = models.PositiveSmallIntegerField(
        "HTTP status", null=True, blank=True, help_text="The provider's. Empty: it sent none."
    )
    attempt = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Which call for one answer this is, over retries and fallback models."
    )
    backoff_ms = models.PositiveIntegerField(
        "back-off (ms)", null=True, blank=True, help_text="The pause before the same model was asked again."
    )
    token_source = models.CharField(max_length=16, choices=TokenSource.choices, default=TokenSource.NONE)
    started_ms = models.PositiveIntegerField("started (ms)", default=0, help_text="After the request's start.")
    first_token_ms = models.PositiveIntegerField("first token (ms)", null=True, blank=True)
    duration_ms = models.PositiveIntegerField("duration (ms)")
    arguments_digest = models.CharField(max_length=64, blank=True, help_text="SHA-256 of a tool call's arguments.")
    arguments = models.TextField(blank=True, help_text="A tool call's arguments, if the server is set to keep them.")
    result_bytes = models.PositiveIntegerField(null=True, blank=True, help_text="Length of a tool's result.")
    # For the trace, not kept: its span, as the provider was told, and which model the provider says has answered.
    span: Span | None = None
    response_model = ""

    class Meta:
        ordering = ["position"]
        constraints = [models.UniqueConstraint(fields=["record", "position"], name="one_step_per_position")]

    def __str__(self) -> str:
        return f"{self.position}. {self.name}"
