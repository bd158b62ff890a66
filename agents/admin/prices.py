"""Prices with the date from which they hold: entered on a model's page, and what they were before."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django import forms
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import TabularInline
from unfold.decorators import display
from unfold.forms import PaginationInlineFormSet
from unfold.widgets import UnfoldAdminSplitDateTimeWidget

from agents.admin.formats import NOTHING, minute
from agents.admin.model_picker import price
from agents.models import ModelPrice


class HoldsFrom(forms.ModelForm):
    """For the form of a model: a moment to come, for prices that do not hold yet."""

    prices_hold_from = forms.SplitDateTimeField(
        required=False,
        widget=UnfoldAdminSplitDateTimeWidget,
        help_text="In UTC. Empty: from now on. What is charged already stays as it was charged.",
    )

    def clean_prices_hold_from(self) -> datetime | None:
        when: datetime | None = self.cleaned_data["prices_hold_from"]
        if when and when <= timezone.now():
            raise forms.ValidationError("This moment has passed. Leave it empty for prices that hold from now on.")
        return when


class PricesToCome(PaginationInlineFormSet):
    """Prices that hold already stay in the list; those to come can be taken back."""

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        if form.instance.applied and "DELETE" in form.fields:
            form.fields["DELETE"].disabled = True
            form.fields["DELETE"].widget = forms.HiddenInput()


def _shown(amount: Decimal | None) -> str:
    return NOTHING if amount is None else price(amount)


class PriceInline(TabularInline):
    model = ModelPrice
    formset = PricesToCome
    fields = readonly_fields = ["since", "prompt", "cached", "completion"]
    extra = max_num = 0
    per_page = 20
    hide_title = True
    verbose_name_plural = "Prices so far and to come, per million tokens"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        in_force = ModelPrice.objects.filter(model=OuterRef("model"), applied=True).values("pk")[:1]
        return super().get_queryset(request).annotate(in_force=Subquery(in_force))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="From")
    def since(self, entered: Any) -> str:
        since = minute(entered.holds_from, empty="the first")
        state = "now" if entered.pk == entered.in_force else "" if entered.applied else "to come"
        return f"{since} ({state})" if state else since

    @display(description="Prompt")
    def prompt(self, entered: ModelPrice) -> str:
        return _shown(entered.prompt_price)

    @display(description="Cached")
    def cached(self, entered: ModelPrice) -> str:
        return _shown(entered.cached_price)

    @display(description="Completion")
    def completion(self, entered: ModelPrice) -> str:
        return _shown(entered.completion_price)
