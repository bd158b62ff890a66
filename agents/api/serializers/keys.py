from datetime import datetime
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from agents.api.serializers.base import NamedField, RowSerializer, Strict
from agents.models import Agent, ApiKey
from agents.models.api_key import validate_to_come
from agents.networks import read_networks, written

LONGEST_OVERLAP = 24 * 365


class AgentsOfKey(serializers.ListField):
    """The agents that a key opens; null for all, also those that will be made."""

    child = NamedField(Agent.objects.all(), "agent")

    def __init__(self, **options: Any) -> None:
        # Without the key's own field: no agents left is not the same as all of them.
        super().__init__(allow_null=True, required=False, allow_empty=False, **options)

    def get_attribute(self, instance: ApiKey) -> Any:
        return sorted(instance.agents.all(), key=lambda agent: agent.name) if instance.limited else None


class KeySerializer(RowSerializer):
    """An API key, without what proves it."""

    agents = AgentsOfKey(help_text="The names of the agents that it opens. null: all of them, also later ones.")
    state = serializers.ChoiceField(["active", "expired", "revoked"], read_only=True)

    class Meta:
        model = ApiKey
        fields = [
            "id",
            "name",
            "owner",
            "prefix",
            "agents",
            "state",
            "created_at",
            "expires_at",
            "revoked_at",
            "last_used_at",
            "previous_until",
            "requests_per_minute",
            "tokens_per_minute",
            "max_parallel_requests",
            "networks",
        ]
        read_only_fields = ["id", "prefix", "created_at", "revoked_at", "last_used_at", "previous_until"]
        extra_kwargs = {"previous_until": {"help_text": "Until when the characters before the rotation are good."}}

    def validate_expires_at(self, moment: datetime | None) -> datetime | None:
        if moment is not None and (self.instance is None or moment != self.instance.expires_at):
            validate_to_come(moment)
        return moment

    def validate_networks(self, text: str) -> str:
        return written(read_networks(text))

    def check(self, row: ApiKey, attrs: dict[str, Any]) -> None:
        if row.revoked_at is not None:
            raise ValidationError([ErrorDetail("The key was revoked; make another one.", code="revoked")])

    def create(self, attrs: dict[str, Any]) -> ApiKey:
        agents = attrs.pop("agents", None)
        key, raw = ApiKey.objects.issue(**attrs)
        if agents is not None:
            key.agents.set(agents)
        return issued(key, raw)

    def update(self, key: ApiKey, attrs: dict[str, Any]) -> ApiKey:
        if "agents" in attrs:
            agents = attrs.pop("agents")
            key.agents.set(agents or [])
            key.limited = agents is not None
        for name, value in attrs.items():
            setattr(key, name, value)
        key.save()
        return key


def issued(key: ApiKey, raw: str) -> ApiKey:
    """Return a key as it is in the database, with its characters for the one answer that shows them."""
    key.refresh_from_db()
    key.key = raw  # type: ignore[attr-defined]
    return key


class IssuedKeySerializer(KeySerializer):
    """An API key with its characters, which are shown this once."""

    key = serializers.CharField(read_only=True)

    class Meta(KeySerializer.Meta):
        fields = [*KeySerializer.Meta.fields, "key"]


class RotationSerializer(Strict):
    overlap_hours = serializers.IntegerField(
        default=24, min_value=0, max_value=LONGEST_OVERLAP, help_text="How long the old characters stay good."
    )


class KeyQuery(serializers.Serializer[Any]):
    search = serializers.CharField(required=False, max_length=200, help_text="In the name, the owner and the prefix.")
