from datetime import datetime
from decimal import Decimal

from django.db import models, transaction
from django.utils import timezone

from agents.models.provider import LanguageModel

PRICES = ("prompt_price", "cached_price", "completion_price")


def price_field(what: str) -> "models.DecimalField[Decimal | None, Decimal | None]":
    return models.DecimalField(what, max_digits=12, decimal_places=6, null=True, blank=True)


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    @transaction.atomic
    def enter(self, model: LanguageModel, new: dict[str, Decimal | None], holds_from: datetime) -> "ModelPrice":
        """Note prices and from when they hold; what is charged already stays as it was charged."""
        if not self.filter(model=model).exists():
            before = {name: getattr(model, name) for name in PRICES}
            self.create(model=model, holds_from=None, applied=True, **before)
        price = self.create(model=model, holds_from=holds_from, **new)
        self.apply_due()
        return price

    @transaction.atomic
    def apply_due(self) -> None:
        """Give models the prices whose time has come."""
        for price in self.filter(applied=False, holds_from__lte=timezone.now()).order_by("holds_from", "id"):
            LanguageModel.objects.filter(pk=price.model_id).update(**{name: getattr(price, name) for name in PRICES})
            self.filter(pk=price.pk).update(applied=True)


class ModelPrice(models.Model):
    """What a model costs from a moment on, in US dollars per million tokens. No moment: what it cost at first."""

    model = models.ForeignKey(LanguageModel, on_delete=models.CASCADE, related_name="prices")
    holds_from = models.DateTimeField(null=True, blank=True)
    prompt_price = price_field("prompt")
    cached_price = price_field("cached")
    completion_price = price_field("completion")
    applied = models.BooleanField(default=False)

    objects = ModelPriceQuerySet.as_manager()

    class Meta:
        ordering = [models.F("holds_from").desc(nulls_last=True), "-id"]
        indexes = [models.Index(fields=["holds_from"], name="prices_to_come", condition=models.Q(applied=False))]

    def __str__(self) -> str:
        return f"{self.model} from {self.holds_from}"
