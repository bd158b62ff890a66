from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from agents.admin.dashboard_shown import percent
from agents.admin.formats import count, minute, usd
from agents.admin.history import KeepsHistory
from agents.models import Budget, BudgetPeriod, Period, Unit


class BudgetForm(forms.ModelForm):
    amount = forms.DecimalField(
        min_value=Decimal(0), widget=UnfoldAdminDecimalFieldWidget, help_text="US dollars or tokens, as chosen."
    )

    class Meta:
        model = Budget
        fields = ["api_key", "agent", "period", "unit", "warn_percent"]
        help_texts = {
            "api_key": "Empty, and no agent either: the budget of the whole server.",
            "period": "A period begins at midnight UTC.",
        }

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if self.instance.pk:
            self.initial["amount"] = Unit(self.instance.unit).shown(self.instance.limit).normalize()

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        unit = Unit(cleaned.get("unit") or self.instance.unit)
        amount = cleaned.get("amount")
        if amount is not None:
            try:
                self.instance.limit = unit.checked(amount)
            except ValidationError as error:
                self.add_error("amount", error)
        return cleaned


class PeriodInline(TabularInline):
    model = BudgetPeriod
    verbose_name_plural = "Periods"
    fields = readonly_fields = ["began", "used", "held", "assumed_usd", "warned"]
    extra = max_num = 0
    can_delete = False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="From")
    def began(self, row: BudgetPeriod) -> str:
        return minute(row.start)

    @display(description="Spent")
    def used(self, row: BudgetPeriod) -> str:
        return written(row.budget, row.spent)

    @display(description="Held by runs under way")
    def held(self, row: BudgetPeriod) -> str:
        return written(row.budget, row.reserved)

    @display(description="Of it at an assumed price")
    def assumed_usd(self, row: BudgetPeriod) -> str:
        return written(row.budget, row.assumed)

    @display(description="Warned")
    def warned(self, row: BudgetPeriod) -> str:
        return minute(row.warned_at, empty="no")


@admin.register(Budget)
class BudgetAdmin(KeepsHistory, ModelAdmin):
    """What keys, agents and the server may use up, and how far they are."""

    form = BudgetForm
    autocomplete_fields = ["api_key", "agent"]
    list_display = ["of", "every", "limit_written", "bar", "resets"]
    list_filter = ["period", "unit"]
    list_per_page = 50
    search_fields = ["api_key__name", "agent__name"]
    fieldsets = [(None, {"fields": [("api_key", "agent"), ("amount", "unit"), ("period", "warn_percent")]})]
    inlines = [PeriodInline]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("api_key", "agent").with_current_period()

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> list[str]:
        """What is spent is counted in the unit and by the period, so these stay; another budget can be made."""
        return ["api_key", "agent", "unit", "period"] if obj else []

    def get_inlines(self, request: HttpRequest, obj: Budget | None) -> list[Any]:
        return [PeriodInline] if obj else []

    @display(description="Of")
    def of(self, budget: Budget) -> str:
        return budget.whose[0].upper() + budget.whose[1:]

    @display(description="Every", ordering="period")
    def every(self, budget: Budget) -> str:
        return budget.get_period_display()

    @display(description="Limit")
    def limit_written(self, budget: Budget) -> str:
        return written(budget, budget.limit)

    @display(description="Spent")
    def bar(self, budget: Budget) -> str:
        row = budget.now
        share = row.spent / budget.limit if budget.limit else 1.0
        assumed = f", {written(budget, row.assumed)} of it at an assumed price" if row.assumed else ""
        much = share * 100 >= budget.warn_percent
        return format_html(
            '<progress class="of-spent{}" max="100" value="{}" aria-label="{}"></progress><br>{} ({}{}){}',
            " of-much" if much else "",
            min(round(share * 100), 100),
            percent(share),
            written(budget, row.spent),
            percent(share),
            assumed,
            " ⚠" if much else "",
        )

    @display(description="Resets")
    def resets(self, budget: Budget) -> str:
        period = Period(budget.period)
        return minute(period.end(period.start(timezone.now())))


def written(budget: Budget, stored: int) -> str:
    return usd(Unit.USD.shown(stored)) if budget.unit == Unit.USD else f"{count(stored)} tokens"
