from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet, Value
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from agents.admin.formats import minute
from agents.admin.model_picker import PicksModel, default_model_name
from agents.models import Agent, AgentFallback
from agents.tools import BUILT_IN


def tool_choices() -> list[tuple[str, str]]:
    """Return the built-in tools, each with the first line of what it does."""
    return [(name, f"{name}: {tool.spec.function.description.splitlines()[0]}") for name, tool in BUILT_IN.items()]


class AgentForm(forms.ModelForm):
    tools = forms.MultipleChoiceField(
        choices=tool_choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="It may use what is ticked, and nothing else.",
    )

    class Meta:
        model = Agent
        exclude: list[str] = []
        help_texts = {"name": "Clients ask for this agent as the model openfang:NAME."}
        error_messages = {
            "name": {
                "unique": "There is an agent of this name already: clients choose agents by name.",
                "required": "An agent needs a name: clients ask for it as the model openfang:NAME.",
            }
        }

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        model, max_tokens = cleaned.get("model"), cleaned.get("max_tokens")
        if model and max_tokens and model.max_output_tokens and max_tokens > model.max_output_tokens:
            self.add_error("max_tokens", f"{model.name} writes at most {model.max_output_tokens:,} tokens in one call.")
        return cleaned


class FallbackFormSet(forms.BaseInlineFormSet):
    def clean(self) -> None:
        """Refuse a model that is in the chain already: asking it again would fail again."""
        seen = {self.instance.model_id: "It is the agent's model already: choose another one to take over from it."}
        for form in self.forms:
            model = form.cleaned_data.get("model") if hasattr(form, "cleaned_data") else None
            if model is None or form.cleaned_data.get("DELETE"):
                continue
            if model.pk in seen:
                form.add_error("model", seen[model.pk])
            seen[model.pk] = "This model is in the list twice."

    def validate_unique(self) -> None:
        """Leave it to `clean`, which says where."""


class FallbackInline(PicksModel, TabularInline):
    model = AgentFallback
    formset = FallbackFormSet
    fields = ["model", "position"]
    ordering_field = "position"
    hide_ordering_field = True
    hide_title = True
    extra = 0
    verbose_name = "fallback model"
    verbose_name_plural = "Fallback models, in this order"


@admin.register(Agent)
class AgentAdmin(PicksModel, ModelAdmin):
    """Where agents are made: what one is called, what it is told, which model it asks and how far it may go."""

    form = AgentForm
    inlines = [FallbackInline]
    list_display = ["name_and_description", "model_used", "enabled", "created"]
    list_filter = ["enabled", "model__provider"]
    list_filter_submit = True
    list_select_related = ["model__provider"]
    list_per_page = 50
    search_fields = ["name", "description"]
    search_help_text = "Name or description"
    ordering = ["name"]
    actions = ["enable", "disable"]
    warn_unsaved_form = True
    fieldsets = [
        ("Who it is", {"fields": ["name", "description", "enabled"]}),
        ("Prompt", {"fields": ["system_prompt"]}),
        ("Model", {"fields": ["model"]}),
        ("Tools", {"fields": ["tools", "tool_activity"]}),
        ("Limits", {"fields": ["max_llm_calls", "max_tool_calls", "run_timeout", "max_tokens"]}),
        ("Advanced", {"fields": ["temperature", "top_p", "honour_client_parameters"], "classes": ["collapse"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(default_model=Value(default_model_name()))

    def label_of_nothing(self) -> str:
        return f"The server's default ({default_model_name()})"

    @display(description="Agent", ordering="name", header=True)
    def name_and_description(self, agent: Agent) -> list[str]:
        return [agent.name, agent.description]

    @display(description="Model", ordering="model__name")
    def model_used(self, agent: Any) -> str:
        return str(agent.model or f"default ({agent.default_model})")

    @display(description="Created", ordering="created_at")
    def created(self, agent: Agent) -> str:
        return minute(agent.created_at)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        self._switch(request, agents, enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        self._switch(request, agents, enabled=False)

    def _switch(self, request: HttpRequest, agents: QuerySet[Agent], *, enabled: bool) -> None:
        changed = agents.exclude(enabled=enabled).update(enabled=enabled)
        word = "enabled" if enabled else "disabled"
        messages.success(request, f"{changed} agent{'' if changed == 1 else 's'} {word}.")
