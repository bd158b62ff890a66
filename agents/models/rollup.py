import uuid

from django.db import models

from agents.models.money import UsdField

# Upper bounds in milliseconds, each about 1.6 times the one before: percentiles are right to within a quarter.
HISTOGRAM_BOUNDS = (
    50,
    100,
    200,
    350,
    600,
    1_000,
    1_600,
    2_500,
    4_000,
    6_500,
    10_000,
    16_000,
    25_000,
    40_000,
    65_000,
    120_000,
    300_000,
)
HISTOGRAM_BUCKETS = (*(f"le_{bound}" for bound in HISTOGRAM_BOUNDS), "over")
QUARTER_HOUR = 900
ROLLUP_NAMESPACE = uuid.UUID("7d1f3c0e-6d0c-5f4f-9c39-0d6f1f9f1c11")


class Rollup(models.Model):
    """What was used in one span of time, by agent, key and model; added to as each request is closed.

    `id` is made of the other dimensions, so that one statement adds to the row or creates it. Beside the fields here
    there is a count per histogram bucket, `duration_<bucket>` and `first_token_<bucket>`.
    """

    id = models.UUIDField("ID", primary_key=True, editable=False)
    start = models.DateTimeField(db_index=True)
    agent_id = models.UUIDField("agent ID")
    agent_name = models.CharField(max_length=64)
    api_key_id = models.UUIDField("API key ID", null=True)
    api_key_name = models.CharField("API key name", max_length=100, blank=True)
    provider = models.CharField(max_length=64, blank=True)
    model = models.CharField(max_length=200, blank=True)
    requests = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    cancelled = models.PositiveBigIntegerField(default=0)
    lost = models.PositiveBigIntegerField(default=0)
    streamed = models.PositiveBigIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cached_tokens = models.PositiveBigIntegerField(default=0)
    reasoning_tokens = models.PositiveBigIntegerField(default=0)
    cost = UsdField(default=0)
    unpriced = models.PositiveBigIntegerField(default=0, help_text="Requests whose cost is unknown.")
    llm_calls = models.PositiveBigIntegerField("LLM calls", default=0)
    tool_calls = models.PositiveBigIntegerField(default=0)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} {self.agent_name}"


for _bucket in HISTOGRAM_BUCKETS:
    for _metric in ("duration", "first_token"):
        Rollup.add_to_class(f"{_metric}_{_bucket}", models.PositiveBigIntegerField(default=0))


class UsageRollup(Rollup):
    """Sums of UTC quarters of an hour."""

    class Meta:
        indexes = [models.Index(fields=["agent_id", "start"], name="rollup_by_agent")]


class DailyRollup(Rollup):
    """Sums of UTC days: with many agents, keys and models a quarter of an hour is hardly less than its requests."""


class EndUserDay(models.Model):
    """What one end user, as clients name them, used in a UTC day."""

    id = models.UUIDField("ID", primary_key=True, editable=False)
    start = models.DateTimeField()
    end_user = models.CharField(max_length=200)
    requests = models.PositiveBigIntegerField(default=0)
    failed = models.PositiveBigIntegerField(default=0)
    lost = models.PositiveBigIntegerField(default=0)
    prompt_tokens = models.PositiveBigIntegerField(default=0)
    completion_tokens = models.PositiveBigIntegerField(default=0)
    cost = UsdField(default=0)
    unpriced = models.PositiveBigIntegerField(default=0)

    class Meta:
        # Ranks the end users of a period without reading their rows.
        indexes = [models.Index(fields=["start", "end_user", "requests"], name="end_users_by_day")]

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d} {self.end_user}"
