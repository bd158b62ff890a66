from typing import Any

from rest_framework import serializers

from agents.api.serializers.base import DecimalText
from agents.models import Status, UsageRecord, UsageStep
from agents.usage.periods import Lately
from agents.usage.reports import Figures

NO_KEY = "none"


class RequestId(serializers.CharField):
    def to_representation(self, value: Any) -> str:
        return f"req_{value.hex}"


class UsageRowSerializer(serializers.ModelSerializer[UsageRecord]):
    """One request to an agent, in the columns of the web admin's exports."""

    request_id = RequestId(source="id", read_only=True)
    agent = serializers.CharField(source="agent_name", read_only=True)
    agent_id = serializers.UUIDField(read_only=True)
    api_key = serializers.CharField(source="api_key_name", read_only=True)
    api_key_id = serializers.UUIDField(read_only=True, allow_null=True)
    cost_usd = DecimalText(source="cost", help_text="null: a price was unknown.")
    parent_request_id = RequestId(source="parent_id", read_only=True, allow_null=True)

    class Meta:
        model = UsageRecord
        fields = [
            "request_id",
            "started_at",
            "ended_at",
            "agent",
            "agent_id",
            "api_key",
            "api_key_id",
            "end_user",
            "status",
            "http_status",
            "error_code",
            "finish_reason",
            "requested_model",
            "provider",
            "model",
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "token_source",
            "cost_usd",
            "llm_calls",
            "tool_calls",
            "first_token_ms",
            "duration_ms",
            "streamed",
            "endpoint",
            "client_address",
            "user_agent",
            "parent_request_id",
        ]
        read_only_fields = fields


class StepSerializer(serializers.ModelSerializer[UsageStep]):
    """One call of a model or of a tool within a request."""

    cost_usd = DecimalText(source="cost", help_text="null: a price was unknown.")

    class Meta:
        model = UsageStep
        fields = [
            "position",
            "kind",
            "provider",
            "name",
            "error_code",
            "error_text",
            "http_status",
            "attempt",
            "backoff_ms",
            "started_ms",
            "first_token_ms",
            "duration_ms",
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "token_source",
            "cost_usd",
            "result_bytes",
        ]
        read_only_fields = fields


class RequestSerializer(UsageRowSerializer):
    """One request to an agent, with its steps; not what was said in it, whatever the server keeps of that."""

    steps = StepSerializer(many=True, read_only=True)

    class Meta(UsageRowSerializer.Meta):
        fields = [*UsageRowSerializer.Meta.fields, "steps"]
        read_only_fields = fields


class PercentilesSerializer(serializers.Serializer[Any]):
    p50 = serializers.IntegerField(allow_null=True)
    p95 = serializers.IntegerField(allow_null=True)


class SumsSerializer(serializers.Serializer[Any]):
    """What some requests used."""

    requests = serializers.IntegerField()
    failed = serializers.IntegerField()
    cancelled = serializers.IntegerField()
    lost = serializers.IntegerField()
    streamed = serializers.IntegerField()
    prompt_tokens = serializers.IntegerField()
    completion_tokens = serializers.IntegerField()
    cached_tokens = serializers.IntegerField()
    reasoning_tokens = serializers.IntegerField()
    cost_usd = DecimalText(source="known_cost", help_text="null: all of it is unknown.")
    unpriced = serializers.IntegerField(help_text="Requests whose cost is unknown, and comes on top.")
    llm_calls = serializers.IntegerField()
    tool_calls = serializers.IntegerField()


class FiguresSerializer(SumsSerializer):
    """What some requests used, and how long they took: about, within a quarter."""

    duration_ms = serializers.SerializerMethodField()
    first_token_ms = serializers.SerializerMethodField()

    def get_duration_ms(self, figures: Figures) -> dict[str, int | None]:
        return {"p50": figures.duration(0.5), "p95": figures.duration(0.95)}

    def get_first_token_ms(self, figures: Figures) -> dict[str, int | None]:
        return {"p50": figures.first_token(0.5), "p95": figures.first_token(0.95)}


class StretchSerializer(serializers.Serializer[Any]):
    start = serializers.DateTimeField()
    end = serializers.DateTimeField(help_text="Not included.")


class SummarySerializer(serializers.Serializer[Any]):
    """The sums of a period, and those of as much time before it."""

    period = StretchSerializer()
    total = FiguresSerializer()
    before = FiguresSerializer()


class AgentShare(SumsSerializer):
    agent_id = serializers.UUIDField()
    agent = serializers.CharField()


class KeyShare(SumsSerializer):
    api_key_id = serializers.UUIDField(allow_null=True)
    api_key = serializers.CharField(allow_blank=True, help_text="Empty: without a key.")


class ModelShare(SumsSerializer):
    provider = serializers.CharField(allow_blank=True)
    model = serializers.CharField(allow_blank=True, help_text="Empty: no model was asked.")


class DaySerializer(FiguresSerializer):
    date = serializers.DateField()


class Named:
    """Figures with the names of what they are of."""

    def __init__(self, figures: Figures, **names: Any) -> None:
        self._figures = figures
        self.__dict__ |= names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._figures, name)


class Narrowing(serializers.Serializer[Any]):
    """A period, and one agent, key or model in it."""

    agent = serializers.CharField(required=False, max_length=64, help_text="Name or id.")
    key = serializers.CharField(required=False, max_length=100, help_text=f"Name or id; {NO_KEY}: without a key.")
    model = serializers.CharField(required=False, max_length=200, help_text="As its provider calls it.")
    period = serializers.ChoiceField([lately.code for lately in Lately], required=False)

    def get_fields(self) -> dict[str, Any]:
        days = {
            "from": serializers.DateField(required=False, help_text="The first day, in UTC; goes before `period`."),
            "to": serializers.DateField(required=False, help_text="The last day, included. Without it: today."),
        }
        return super().get_fields() | days


class DailyQuery(Narrowing):
    period = serializers.ChoiceField(
        [lately.code for lately in (Lately.DAYS_7, Lately.DAYS_30, Lately.DAYS_90)], required=False
    )


class RowsQuery(Narrowing):
    status = serializers.ChoiceField(Status.choices, required=False)
    end_user = serializers.CharField(required=False, max_length=200)
