from copy import copy
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from agents.api.serializers.base import RowSerializer
from agents.models import Provider
from agents.models.provider import KeySource, beyond_address, validate_key
from agents.urls import without_endpoint


class ProviderSerializer(RowSerializer):
    """An LLM API that agents may ask. Its key is taken and never shown."""

    fixed = ("name",)

    api_key = serializers.CharField(
        write_only=True,
        required=False,
        allow_null=True,
        allow_blank=True,
        max_length=1000,
        validators=[validate_key],
        help_text="Kept encrypted. null: the kept one is forgotten. A key in the environment goes before it.",
    )
    key_source = serializers.ChoiceField(KeySource.choices, read_only=True)
    why_withheld = serializers.CharField(
        read_only=True, help_text="Why the key's variable is not sent to this provider; empty if it may be."
    )
    models = serializers.IntegerField(source="model_count", read_only=True)

    class Meta:
        model = Provider
        fields = [
            "name",
            "label",
            "kind",
            "base_url",
            "api_key_env",
            "api_key",
            "key_source",
            "why_withheld",
            "models",
            "from_catalog",
        ]
        read_only_fields = ["from_catalog"]

    def validate_base_url(self, url: str) -> str:
        return without_endpoint(url)

    def check(self, row: Provider, attrs: dict[str, Any]) -> None:
        found = beyond_address(self.instance, kind=row.kind, base_url=row.base_url, key_decided="api_key" in attrs)
        for name, problem in found:
            place = "api_key" if name == "key" else name
            raise ValidationError({place: [ErrorDetail(problem, code="required")]})

    def create(self, attrs: dict[str, Any]) -> Provider:
        return self._saved(Provider(), attrs)

    def update(self, provider: Provider, attrs: dict[str, Any]) -> Provider:
        return self._saved(copy(provider), attrs)

    def _saved(self, provider: Provider, attrs: dict[str, Any]) -> Provider:
        if "api_key" in attrs:
            provider.keep_key((attrs.pop("api_key") or "").strip())
        for name, value in attrs.items():
            setattr(provider, name, value)
        provider.from_catalog = False
        provider.save()
        return provider
