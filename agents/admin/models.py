from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import RelatedDropdownFilter
from unfold.decorators import display

from agents.admin.formats import size
from agents.admin.history import KeepsHistory
from agents.admin.model_picker import prices
from agents.admin.prices import HoldsFrom, PriceInline
from agents.models import LanguageModel, ModelPrice
from agents.models.price import PRICES


class LanguageModelForm(forms.ModelForm):
    class Meta:
        model = LanguageModel
        exclude: list[str] = []
        error_messages = {
            "__all__": {"unique_together": "This provider has a model of this name already."},
            **{price: {"invalid": "A price is a number of dollars, such as 0.25."} for price in PRICES},
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for price in PRICES:
            if (amount := self.initial.get(price)) is not None:
                self.initial[price] = Decimal(f"{amount.normalize():f}")


class PricedModelForm(HoldsFrom, LanguageModelForm):
    """The form of a model on its own page."""


@admin.register(LanguageModel)
class LanguageModelAdmin(KeepsHistory, ModelAdmin):
    """What is known of each model: its limits, its prices and what it can do."""

    form = PricedModelForm
    inlines = [PriceInline]
    list_display = ["name_and_provider", "context", "output", "price", "abilities", "followed"]
    list_filter = [("provider", RelatedDropdownFilter), "tools", "vision", "reasoning"]
    list_filter_submit = True
    list_select_related = ["provider"]
    list_per_page = 100
    search_fields = ["name", "provider__name"]
    search_help_text = "Model or provider"
    fieldsets = [
        (None, {"fields": [("provider", "name")]}),
        ("Limits", {"fields": [("context_window", "max_output_tokens")], "description": "Empty: unknown."}),
        (
            "Prices",
            {
                "fields": [*PRICES, "prices_hold_from"],
                "description": "Empty: unknown, and so is what requests cost. 0: free.",
            },
        ),
        ("Abilities", {"fields": ["tools", "vision", "reasoning"]}),
    ]

    @display(description="Model", ordering="name", header=True)
    def name_and_provider(self, model: LanguageModel) -> list[str]:
        return [model.name, str(model.provider)]

    @display(description="Context", ordering="context_window")
    def context(self, model: LanguageModel) -> str:
        return size(model.context_window)

    @display(description="Output", ordering="max_output_tokens")
    def output(self, model: LanguageModel) -> str:
        return size(model.max_output_tokens)

    @display(description="Per million tokens", ordering="prompt_price")
    def price(self, model: LanguageModel) -> str:
        return prices(model)

    @display(description="Can", label=True)
    def abilities(self, model: LanguageModel) -> list[str]:
        return [ability for ability in ("tools", "vision", "reasoning") if getattr(model, ability)]

    @display(description="Follows the catalog", boolean=True, ordering="from_catalog")
    def followed(self, model: LanguageModel) -> bool:
        return model.from_catalog

    def save_model(self, request: HttpRequest, obj: LanguageModel, form: Any, change: bool) -> None:
        if form.changed_data:
            obj.from_catalog = False
        ModelPrice.objects.save_model(obj, form.cleaned_data.get("prices_hold_from"))
