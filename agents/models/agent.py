import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from agents.models.provider import LanguageModel, validate_slug_name
from agents.models.served import Served, ServedQuerySet


def validate_agent_name(name: str) -> None:
    """Refuse names that clients could not address: clients send them as the model, where a UUID means an id."""
    validate_slug_name(name)
    try:
        uuid.UUID(name)
    except ValueError:
        return
    raise ValidationError("A name must not be a UUID: clients use UUIDs to address agents by id.")


class ToolActivity(models.TextChoices):
    AUTOMATIC = "automatic", "Automatic: tool calls, or reasoning for clients with tools of their own"
    TOOL_CALLS = "tool_calls", "Tool calls"
    REASONING = "reasoning", "Reasoning"
    HIDDEN = "hidden", "Hidden"


class AgentQuerySet(ServedQuerySet["Agent"]):
    pass


class Agent(Served):
    """A name, a prompt, a model and limits: what clients see as a model called `openfang:<name>`."""

    id = models.UUIDField("ID", primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(
        max_length=64,
        unique=True,
        validators=[validate_agent_name],
        help_text="Clients address the agent as openfang:<name>.",
    )
    description = models.CharField(
        max_length=300, blank=True, help_text="One sentence; clients show it in their model lists."
    )
    system_prompt = models.TextField(blank=True, help_text="Goes before every conversation.")
    model = models.ForeignKey(
        LanguageModel,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="agents",
        help_text="Empty: the server's default model.",
    )
    fallback_models = models.ManyToManyField(LanguageModel, through="AgentFallback", related_name="+", blank=True)
    temperature = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(2)],
        help_text="0 to 2. Empty: the model's default.",
    )
    top_p = models.FloatField(
        null=True,
        blank=True,
        validators=[MinValueValidator(0), MaxValueValidator(1)],
        help_text="0 to 1. Empty: the model's default.",
    )
    max_tokens = models.PositiveIntegerField(
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text="Tokens the model may write in one call. Empty: no limit of ours.",
    )
    max_llm_calls = models.PositiveIntegerField(
        "LLM calls",
        default=10,
        validators=[MinValueValidator(1)],
        help_text="Calls of the model that one request may make.",
    )
    max_tool_calls = models.PositiveIntegerField(
        "tool calls", default=50, help_text="Calls of the agent's tools that one request may make."
    )
    run_timeout = models.PositiveIntegerField(
        default=600, validators=[MinValueValidator(1)], help_text="Seconds that one request may take."
    )
    honour_client_parameters = models.BooleanField(
        default=False, help_text="Let clients set temperature, top_p and max_tokens. Otherwise theirs are ignored."
    )
    tools = models.JSONField(default=list, blank=True, help_text="The built-in tools that the agent may use.")
    workspace_per_key = models.BooleanField(
        "one workspace per key",
        default=False,
        db_default=False,  # for servers of an older version that make agents in the same database
        help_text="Give each API key a separate workspace. Otherwise all keys of the agent share one: "
        "files that one caller's requests write can be read and changed by every other caller's.",
    )
    tool_activity = models.CharField(
        max_length=16,
        choices=ToolActivity.choices,
        default=ToolActivity.AUTOMATIC,
        help_text="How clients see the tools that the agent runs.",
    )
    enabled = models.BooleanField(default=True, help_text="A disabled agent does not exist for clients.")
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    objects = AgentQuerySet.as_manager()

    class Meta:
        ordering = ["created_at", "id"]
        permissions = [("run_programs", "Can give agents programs of the server's machine: the shell, MCP over stdio")]

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: Any = None) -> None:
        self.name = self.name.strip().lower()
        super().clean_fields(exclude=exclude)


def beyond_model(model: LanguageModel | None, *, max_tokens: int | None, tools: Sequence[str]) -> dict[str, str]:
    """Return what an agent is set to that its model cannot do, by the name of the field."""
    beyond = {}
    if model and max_tokens and model.max_output_tokens and max_tokens > model.max_output_tokens:
        beyond["max_tokens"] = f"{model.name} writes at most {model.max_output_tokens:,} tokens in one call."
    if model and model.tools is False and tools:
        beyond["tools"] = f"{model.name} cannot call tools: choose another model, or give it no tools."
    return beyond


def repeated_models(first: int | None, fallbacks: Iterable[int]) -> Iterator[tuple[int, str]]:
    """Yield the place of each fallback model that is in the chain already: asking it again would fail again."""
    seen = {first: "It is the agent's model already: choose another one to take over from it."}
    for place, pk in enumerate(fallbacks):
        if pk in seen:
            yield place, seen[pk]
        seen[pk] = "This model is in the list twice."


class AgentFallbackQuerySet(ServedQuerySet["AgentFallback"]):
    pass


class AgentFallback(Served):
    """A model that takes over, in the order of positions, when the ones before it fail."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="fallbacks")
    model = models.ForeignKey(LanguageModel, on_delete=models.PROTECT, related_name="+")
    position = models.PositiveSmallIntegerField(default=0)

    objects = AgentFallbackQuerySet.as_manager()

    class Meta:
        ordering = ["position", "id"]
        constraints = [models.UniqueConstraint(fields=["agent", "model"], name="a_fallback_model_once_per_agent")]

    def __str__(self) -> str:
        return f"{self.agent} → {self.model}"
