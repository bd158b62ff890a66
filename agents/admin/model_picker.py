"""Choosing a language model: grouped by provider, with what decides the choice beside each name."""

from collections.abc import Iterator
from decimal import Decimal
from itertools import groupby
from operator import attrgetter
from typing import Any

from django import forms
from django.db.models import ForeignKey
from django.forms.models import ModelChoiceIterator
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminSelectWidget

from agents.admin.formats import size
from agents.models import LanguageModel, Provider
from agents.models.provider import KeySource
from agents.snapshot import default_model, read_models

KEY_STATES = {
    KeySource.ENVIRONMENT: "set",
    KeySource.KEPT: "set",
    KeySource.UNREADABLE: "missing",
    KeySource.WITHHELD: "withheld",
    KeySource.MISSING: "missing",
    KeySource.NOT_NEEDED: "needs none",
}


def default_model_name() -> str:
    """Return the model of agents that name none, as people write it."""
    model = default_model(list(read_models().values()))
    return f"{model.provider.name}/{model.name}" if model else "none"


def key_state(provider: Provider) -> str:
    """Say whether the key is in the environment of this process or kept in the row, never what it is."""
    return KEY_STATES[provider.key_source]


def price(amount: Decimal | None) -> str:
    """Return a price per million tokens as it is written on price lists."""
    if amount is None:
        return "?"
    text = f"{amount.normalize():f}"
    whole, _, fraction = text.partition(".")
    return f"${whole}.{fraction.ljust(2, '0')}" if fraction else f"${whole}"


def prices(model: LanguageModel) -> str:
    """Return what a million tokens cost, prompt and completion."""
    if model.prompt_price is None and model.completion_price is None:
        return "price unknown"
    if not model.prompt_price and not model.completion_price:
        return "free"
    return f"{price(model.prompt_price)} in, {price(model.completion_price)} out"


def heading(provider: Provider) -> str:
    """Return a provider's name, with what keeps its models from answering."""
    problems = {"missing": "is not set", "withheld": "may not be sent to it"}
    problem = problems.get(key_state(provider))
    return f"{provider} — {provider.api_key_env} {problem}" if problem else str(provider)


class GroupedModels(ModelChoiceIterator):
    """The choices, under a heading per provider; read once for all the copies of a field."""

    def __iter__(self) -> Iterator[Any]:
        field: Any = self.field
        if not field.groups:
            field.groups.extend(self.read())
        if field.empty_label is not None:
            yield ("", field.empty_label)
        yield from field.groups

    def read(self) -> Iterator[tuple[str, list[Any]]]:
        for provider, models in groupby(self.queryset, key=attrgetter("provider")):
            yield heading(provider), [self.choice(model) for model in models]


class ModelPicker(forms.ModelChoiceField):
    """A select of language models; made anew for each request, because it remembers what it has read."""

    iterator = GroupedModels
    widget = UnfoldAdminSelectWidget

    def __init__(self, **options: Any) -> None:
        self.groups: list[tuple[str, list[Any]]] = []
        models = LanguageModel.objects.select_related("provider").order_by("provider__name", "name")
        super().__init__(models, **options)

    def label_from_instance(self, obj: Any) -> str:
        facts = [f"{size(obj.context_window)} context"] if obj.context_window else []
        return " · ".join([str(obj), *facts, prices(obj)])


class PicksModel:
    """For admin classes whose table has a language model in the column `model`."""

    def formfield_for_foreignkey(self, db_field: "ForeignKey[Any, Any]", request: HttpRequest, **options: Any) -> Any:
        if db_field.name != "model":
            return super().formfield_for_foreignkey(db_field, request, **options)  # type: ignore[misc]
        blank, help_text = db_field.blank, db_field.help_text
        return ModelPicker(required=not blank, label="Model", help_text=help_text, empty_label=self.label_of_nothing())

    def label_of_nothing(self) -> str:
        return "Choose a model"
