from decimal import Decimal
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet, Value
from django.forms import Script
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from unfold.admin import ModelAdmin
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display

from agents.admin import connect, history, playground, transfer
from agents.admin.agents_copy import CopyForm
from agents.admin.agents_figures import with_figures
from agents.admin.agents_form import AgentForm, profiles, remarks
from agents.admin.agents_inlines import FallbackInline, McpToolInline
from agents.admin.formats import NOTHING, count, minute, usd
from agents.admin.history import KeepsHistory
from agents.admin.model_picker import PicksModel, default_model_name
from agents.admin.roles import GuardsPrograms
from agents.models import Agent
from agents.setup import copy_of

NAMED_TOOLS = 3


@admin.register(Agent)
class AgentAdmin(GuardsPrograms, KeepsHistory, PicksModel, ModelAdmin):
    """Where agents are made: what one is called, what it is told, which model it asks and how far it may go."""

    form = AgentForm
    inlines = [FallbackInline, McpToolInline]
    list_display = ["name_and_description", "model_used", "tools_ticked", "requests", "cost", "last_used", "state"]
    list_filter = ["enabled", "model__provider"]
    list_filter_submit = True
    list_select_related = ["model__provider"]
    list_per_page = 50
    search_fields = ["name", "description"]
    search_help_text = "Name or description"
    ordering = ["name"]
    actions = ["enable", "disable", "export"]
    actions_list = ["import_agents"]
    actions_detail = ["copy", "export_one"]
    warn_unsaved_form = True
    fieldsets = [
        ("Who it is", {"fields": ["name", "description", "enabled"]}),
        ("Prompt", {"fields": ["system_prompt"]}),
        ("Model", {"fields": ["model"]}),
        ("Tools", {"fields": ["tools", "workspace_per_key"]}),
        ("Limits", {"fields": [("max_llm_calls", "max_tool_calls"), ("run_timeout", "max_tokens")]}),
        (
            "Advanced",
            {
                "fields": [("temperature", "top_p"), "honour_client_parameters", "tool_activity"],
                "classes": ["collapse"],
            },
        ),
    ]

    class Media:
        css = {"all": ["openfang/agents.css"]}
        js = [Script("openfang/agent_form.js", type="module")]

    def get_urls(self) -> list[URLPattern]:
        pages: dict[str, tuple[str, Any]] = {
            "import": ("import/", transfer.import_page),
            "playground": ("<uuid:agent_id>/playground/", playground.page),
            "playground_token": ("<uuid:agent_id>/playground/token/", playground.token),
            "playground_figures": ("<uuid:agent_id>/playground/requests/<uuid:record_id>/", playground.figures),
            "connect": ("<uuid:agent_id>/connect/", connect.page),
            "restore": ("<uuid:agent_id>/history/<int:version>/restore/", history.restore),
        }
        return [
            *(
                path(route, self.admin_site.admin_view(view), {"model_admin": self}, name=f"agents_agent_{name}")
                for name, (route, view) in pages.items()
            ),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        agents = super().get_queryset(request).annotate(default_model=Value(default_model_name()))
        listed = request.resolver_match and request.resolver_match.url_name == "agents_agent_changelist"
        return with_figures(agents) if listed else agents

    def label_of_nothing(self) -> str:
        return f"The server's default ({default_model_name()})"

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> Any:
        context: dict[str, Any] = {"tab": "settings", "show_history": False, **(extra_context or {})}
        if object_id is None:
            chosen = request.POST.get("profile", "")
            context |= {"title": "New agent", "profiles": profiles(), "chosen_profile": chosen}
        return super().changeform_view(request, object_id, form_url, context)

    @display(description="Agent", ordering="name", header=True)
    def name_and_description(self, agent: Agent) -> list[str]:
        return [agent.name, agent.description]

    @display(description="Model", ordering="model__name")
    def model_used(self, agent: Any) -> str:
        return str(agent.model or f"default ({agent.default_model})")

    @display(description="Tools")
    def tools_ticked(self, agent: Agent) -> str:
        more = len(agent.tools) - NAMED_TOOLS
        return ", ".join(agent.tools[:NAMED_TOOLS]) + (f" and {more} more" if more > 0 else "") or NOTHING

    @display(description="Requests today")
    def requests(self, agent: Any) -> str:
        return count(agent.requests_today or 0)

    @display(description="Cost today")
    def cost(self, agent: Any) -> str:
        if agent.unpriced_today and not agent.cost_today:
            return usd(None)
        return usd(agent.cost_today or Decimal(0)) + (" or more" if agent.unpriced_today else "")

    @display(description="Last used")
    def last_used(self, agent: Any) -> str:
        return minute(agent.last_used_at, empty="never")

    @display(description="State", ordering="enabled", label={"enabled": "success", "disabled": "warning"})
    def state(self, agent: Agent) -> str:
        return "enabled" if agent.enabled else "disabled"

    def save_model(self, request: HttpRequest, obj: Agent, form: Any, change: bool) -> None:
        """Save what has changed: the history has no versions that differ in nothing."""
        if not change or form.has_changed():
            super().save_model(request, obj, form, change)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        fallbacks = [row.model for row in form.instance.fallbacks.select_related("model")]
        for remark in remarks(form.instance, fallbacks):
            messages.warning(request, remark)

    def response_add(self, request: HttpRequest, obj: Agent, post_url_continue: str | None = None) -> HttpResponse:
        """Go on to the playground: whoever has made an agent wants to hear it."""
        if "_addanother" in request.POST or "_continue" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        messages.success(request, f"{obj.name} is made. Clients reach it as openfang:{obj.name}. Try it here.")
        playground_url = reverse("admin:agents_agent_playground", args=[obj.pk])
        return HttpResponseRedirect(playground_url)

    @admin.action(description="Enable", permissions=["change"])
    def enable(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        self._switch(request, agents, enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable(self, request: HttpRequest, agents: QuerySet[Agent]) -> None:
        self._switch(request, agents, enabled=False)

    def _switch(self, request: HttpRequest, agents: QuerySet[Agent], *, enabled: bool) -> None:
        changed = list(Agent.objects.filter(pk__in=agents.values("pk")).exclude(enabled=enabled))
        for agent in changed:  # one by one, so that the history has each
            agent.enabled = enabled
            agent.save(update_fields=["enabled", "updated_at"])
        word = "enabled" if enabled else "disabled"
        messages.success(request, f"{len(changed)} agent{'' if len(changed) == 1 else 's'} {word}.")

    @admin.action(description="Export as JSON", permissions=["view"])
    def export(self, request: HttpRequest, agents: QuerySet[Agent]) -> HttpResponse:
        return transfer.download(_with_parts(agents))

    @action(description="Export", icon="download", permissions=["view"], url_path="export")
    def export_one(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        return transfer.download(_with_parts(Agent.objects.filter(pk=object_id)))

    @action(description="Import", icon="upload", permissions=["add"])
    def import_agents(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:agents_agent_import"))

    @action(
        description="Clone",
        icon="content_copy",
        url_path="clone",
        permissions=["copy"],
        dialog=ActionDialog(
            title="Clone this agent",
            description="The copy has its prompt, model, tools and limits. Keys and memories are not copied.",
            form_class=CopyForm,
            form_submit_text="Clone",
        ),
    )
    def copy(self, request: HttpRequest, form: CopyForm, object_id: UUID) -> HttpResponse:
        copied = copy_of(get_object_or_404(Agent, pk=object_id), form.cleaned_data["name"])
        self.log_addition(request, copied, "Cloned.")
        messages.success(request, f"{copied.name} is made.")
        return HttpResponse(headers={"HX-Redirect": reverse("admin:agents_agent_change", args=[copied.pk])})


def _with_parts(agents: QuerySet[Agent]) -> list[Agent]:
    parts = ["fallbacks__model__provider", "mcp_tools__server"]
    return list(
        Agent.objects.filter(pk__in=agents.values("pk")).select_related("model__provider").prefetch_related(*parts)
    )
