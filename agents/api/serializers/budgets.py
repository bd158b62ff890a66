from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError as ModelInvalid
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from agents.api.serializers.base import NamedField, RowSerializer, written
from agents.models import Agent, ApiKey, Budget, Period, Unit


class Amount(serializers.DecimalField):
    """US dollars or tokens, as the budget's unit says; exact, so a string. `of` names what of the current period."""

    def __init__(self, of: str = "", **options: Any) -> None:
        self.of = of
        super().__init__(max_digits=31, decimal_places=12, min_value=Decimal(0), **options)

    def get_attribute(self, instance: Budget) -> Decimal:
        stored = getattr(instance.now, self.of) if self.of else instance.limit
        return Unit(instance.unit).shown(stored)

    def to_representation(self, value: Decimal) -> str:
        return written(value)


class BudgetSerializer(RowSerializer):
    """What a key, an agent or the whole server may use up in a day or a month, and how far it is."""

    fixed = ("api_key", "agent", "period", "unit")

    api_key = NamedField(ApiKey.objects.all(), "API key", allow_null=True, required=False)
    agent = NamedField(Agent.objects.all(), "agent", allow_null=True, required=False)
    limit = Amount(help_text="US dollars or tokens, as a string.")
    spent = Amount("spent", read_only=True)
    reserved = Amount("reserved", read_only=True, help_text="Held by requests that are under way.")
    assumed = Amount("assumed", read_only=True, help_text="Of what is spent, what another price stood in for.")
    period_start = serializers.DateTimeField(source="now.start", read_only=True)
    resets_at = serializers.SerializerMethodField()

    class Meta:
        model = Budget
        fields = [
            "id",
            "api_key",
            "agent",
            "period",
            "unit",
            "limit",
            "warn_percent",
            "spent",
            "reserved",
            "assumed",
            "period_start",
            "resets_at",
        ]
        read_only_fields = ["id"]

    def get_resets_at(self, budget: Budget) -> str:
        end: str = serializers.DateTimeField().to_representation(Period(budget.period).end(budget.now.start))
        return end

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "limit" in attrs:
            unit = attrs.get("unit") or (self.instance.unit if self.instance else Unit.USD)
            try:
                attrs["limit"] = Unit(unit).checked(attrs["limit"])
            except ModelInvalid as error:
                raise ValidationError({"limit": [ErrorDetail(error.messages[0], code="invalid")]}) from None
        return super().validate(attrs)
