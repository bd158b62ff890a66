from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from agents.models.provider import LanguageModel

PRICES = ("prompt_price", "cached_price", "completion_price")
PriceList = Mapping[str, Decimal | None]


def price_field(what: str) -> "models.DecimalField[Decimal | None, Decimal | None]":
    return models.DecimalField(what, max_digits=12, decimal_places=6, null=True, blank=True)


class ModelPriceQuerySet(models.QuerySet["ModelPrice"]):
    @transaction.atomic
    def save_model(self, model: LanguageModel, holds_from: datetime | None = None) -> None:
        """Save a model, new or edited. Its prices are noted; those that do not hold yet are left for their time."""
        entered = {name: getattr(model, name) for name in PRICES}
        stored = LanguageModel.objects.filter(pk=model.pk).first()
        before = {name: getattr(stored, name, None) for name in PRICES}
        if holds_from is None and (stored is None or entered == before):
            model.save()
            return
        for name in PRICES:
            setattr(model, name, before[name])
        model.save()
        self.enter(model, before, entered, holds_from or timezone.now())

    @transaction.atomic
    def enter(self, model: LanguageModel, before: PriceList, after: PriceList, holds_from: datetime) -> None:
        """Note prices and from when they hold; what is charged already stays as it was charged."""
        if not self.filter(model=model).exists():
            self.create(model=model, applied=True, **before)
        entered = self.create(model=model, holds_from=holds_from, **after)
        if holds_from <= timezone.now():
            self.filter(pk=entered.pk)._apply()

    def apply_due(self) -> None:
        """Give models the prices whose time has come."""
        due = self.filter(applied=False, holds_from__lte=timezone.now())
        if due.exists():
            due.order_by("holds_from", "id")._apply(by="openfang start")

    @transaction.atomic
    def _apply(self, by: str = "") -> None:
        # One process at a time gives a model its price, so that its history says so once.
        for price in self.select_for_update(of=("self",), skip_locked=True).select_related("model"):
            model: Any = price.model
            for name in PRICES:
                setattr(model, name, getattr(price, name))
            if by:
                model._change_reason = f"{by}, with prices that hold from {price.holds_from:%Y-%m-%d %H:%M} UTC"
            model.save(update_fields=PRICES)
            ModelPrice.objects.filter(pk=price.pk).update(applied=True)


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
