from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminSelectWidget

from agents.admin.model_picker import PicksModel
from agents.admin.roles import may_run_programs
from agents.models import AgentFallback, AgentMcpTool, McpServer, McpTransport
from agents.models.agent import repeated_models
from agents.models.mcp import repeated_tools

ALL_TOOLS = "All its tools"


def chosen_in(formset: Any, field: str) -> list[Any]:
    """Return the forms in which something is chosen, and which are not to be deleted."""
    filled_in = [form for form in formset.forms if getattr(form, "cleaned_data", {}).get(field)]
    return [form for form in filled_in if not form.cleaned_data.get("DELETE")]


class FallbackFormSet(forms.BaseInlineFormSet):
    def clean(self) -> None:
        """Refuse a model that is in the chain already: asking it again would fail again."""
        forms = chosen_in(self, "model")
        pks = [form.cleaned_data["model"].pk for form in forms]
        for place, problem in repeated_models(self.instance.model_id, pks):
            forms[place].add_error("model", problem)

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


def mcp_choices(*, programs: bool) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return what may be chosen of each MCP server, those that are programs too if wished: all its tools, or one."""
    servers = McpServer.objects.all() if programs else McpServer.objects.exclude(transport=McpTransport.STDIO)
    return [
        (
            server.name if server.enabled else f"{server.name} (disabled)",
            [(f"{server.pk}:", f"{server.name}: all its tools")]
            + [(f"{server.pk}:{tool}", f"{server.name}: {tool}") for tool in server.tool_names()],
        )
        for server in servers
    ]


class McpToolForm(forms.ModelForm):
    """One choice stands for the server and the tool: a select that depends on another one needs a script."""

    choice = forms.ChoiceField(label="Tool", widget=UnfoldAdminSelectWidget(attrs={"aria-label": "Tool"}))

    class Meta:
        model = AgentMcpTool
        fields: list[str] = []

    def __init__(self, *args: Any, choices: list[Any], **options: Any) -> None:
        super().__init__(*args, **options)
        offered = [("", "Choose"), *choices]
        if self.instance.pk:
            chosen = f"{self.instance.server_id}:{self.instance.tool}"
            self.initial["choice"] = chosen
            if not any(value == chosen for _, tools in choices for value, _ in tools):
                offered.append(("Gone", [(chosen, f"{self.instance} — gone: the server no longer lists it")]))
        self.fields["choice"].choices = offered  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if choice := cleaned.get("choice"):
            server, _, self.instance.tool = choice.partition(":")
            self.instance.server_id = int(server)
        return cleaned


class McpToolFormSet(forms.BaseInlineFormSet):
    programs = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._choices = mcp_choices(programs=self.programs)

    def get_form_kwargs(self, index: int | None) -> dict[str, Any]:
        return {**super().get_form_kwargs(index), "choices": self._choices}

    def clean(self) -> None:
        """Refuse what is chosen already, by itself or with all the tools of its server."""
        forms = chosen_in(self, "choice")
        tools = [(form.instance.server_id, form.instance.tool) for form in forms]
        for place, problem in repeated_tools(tools):
            forms[place].add_error("choice", problem)

    def validate_unique(self) -> None:
        """Leave it to `clean`, which says where."""


class McpToolInline(TabularInline):
    model = AgentMcpTool
    form = McpToolForm
    formset = McpToolFormSet
    fields = ["choice"]
    hide_title = True
    extra = 0
    verbose_name = "MCP tool"
    verbose_name_plural = "Tools of MCP servers"

    def get_formset(self, request: HttpRequest, obj: Any = None, **options: Any) -> Any:
        formset = super().get_formset(request, obj, **options)
        formset.programs = may_run_programs(request)
        return formset

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("server")
