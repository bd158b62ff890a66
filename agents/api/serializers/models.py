from copy import copy
from datetime import datetime
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from agents.api.serializers.base import NamedField, RowSerializer, written
from agents.models import LanguageModel, ModelPrice, Provider
from agents.models.api_key import validate_to_come


class Price(serializers.DecimalField):
    """US dollars per million tokens as a string, so that it is exact; null is unknown, 0 is free."""

    def __init__(self, **options: Any) -> None:
        options = {"max_digits": 12, "decimal_places": 6, "min_value": Decimal(0), **options}
        super().__init__(allow_null=True, required=False, **options)

    def to_representation(self, value: Decimal) -> str:
        return written(value)


class LanguageModelSerializer(RowSerializer):
    """A model of a provider, with what is known of it: null is unknown."""

    fixed = ("provider",)

    provider = NamedField(Provider.objects.all(), "provider")
    prompt_price = Price(help_text="US dollars per million prompt tokens.")
    cached_price = Price(help_text="US dollars per million prompt tokens read from its cache.")
    completion_price = Price(help_text="US dollars per million completion tokens.")
    prices_hold_from = serializers.DateTimeField(
        write_only=True,
        required=False,
        validators=[validate_to_come],
        help_text="A moment to come, until when the prices so far hold. Without it: from now on.",
    )

    class Meta:
        model = LanguageModel
        fields = [
            "id",
            "provider",
            "name",
            "context_window",
            "max_output_tokens",
            "prompt_price",
            "cached_price",
            "completion_price",
            "prices_hold_from",
            "tools",
            "vision",
            "reasoning",
            "from_catalog",
        ]
        read_only_fields = ["id", "from_catalog"]
        validators: list[Any] = []  # the model's own constraints are checked, and by their own fields

    def create(self, attrs: dict[str, Any]) -> LanguageModel:
        attrs.pop("prices_hold_from", None)
        return LanguageModel.objects.create(**attrs)

    def update(self, model: LanguageModel, attrs: dict[str, Any]) -> LanguageModel:
        holds_from: datetime | None = attrs.pop("prices_hold_from", None)
        edited = copy(model)
        for name, value in attrs.items():
            setattr(edited, name, value)
        edited.from_catalog = False
        ModelPrice.objects.save_model(edited, holds_from)
        return LanguageModel.objects.select_related("provider").get(pk=model.pk)


class ModelQuery(serializers.Serializer[Any]):
    provider = serializers.CharField(required=False, max_length=64)
    search = serializers.CharField(required=False, max_length=200, help_text="In the name.")
