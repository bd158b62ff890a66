from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.html import format_html_join
from django.utils.safestring import mark_safe
from unfold.admin import ModelAdmin
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextareaWidget

from agents.admin.formats import minute
from agents.admin.history import KeepsHistory
from agents.admin.roles import may_run_programs
from agents.errors import ToolFailed
from agents.models import McpServer, McpTransport
from agents.tools.mcp import LeftOut, refresh

STATES = {"withheld": "danger", "read": "success", "changed since": "warning", "not read": "info", "disabled": "danger"}
ONLY_ADMINISTRATORS = "Only an administrator may set up programs: they run on the server's machine."


class McpServerForm(forms.ModelForm):
    class Meta:
        model = McpServer
        fields = ["name", "transport", "url", "headers", "command", "args", "environment", "timeout", "enabled"]
        error_messages = {
            "name": {"unique": "There is an MCP server of this name already."},
            "headers": {"invalid": 'Not JSON. Write {"Name": "value"}.'},
            "args": {"invalid": 'Not JSON. Write ["one", "two"].'},
            "environment": {"invalid": 'Not JSON. Write ["NAME"].'},
        }
        widgets = {
            name: UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false", "class": "font-mono"})
            for name in ("headers", "args", "environment")
        }


class LocalForm(McpServerForm):
    """The form for those who may not start programs on the server's machine."""

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("transport") == McpTransport.STDIO:
            raise forms.ValidationError(ONLY_ADMINISTRATORS)
        return cleaned


@admin.register(McpServer)
class McpServerAdmin(KeepsHistory, ModelAdmin):
    """Servers whose tools agents may be given."""

    form = McpServerForm
    list_display = ["name_and_place", "transport", "state", "tool_count", "read_at", "used_by"]
    list_filter = ["transport", "enabled"]
    list_filter_submit = True
    list_per_page = 50
    search_fields = ["name", "url", "command"]
    search_help_text = "Name, URL or program"
    actions_detail = ["read_tools"]
    readonly_fields = ["state", "read_at", "tools_listed", "left_out", "withheld"]
    fieldsets = [
        (None, {"fields": ["name", "transport", "enabled", "timeout"]}),
        ("Streamable HTTP", {"fields": ["url", "headers"]}),
        ("Program on this machine", {"fields": ["command", "args", "environment"]}),
        ("Tools", {"fields": [("state", "read_at"), "tools_listed"]}),
    ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(agent_count=Count("agent_tools__agent", distinct=True))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **options: Any) -> Any:
        form = McpServerForm if may_run_programs(request) else LocalForm
        return super().get_form(request, obj, change, form=form, **options)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        if obj is None:
            return self.fieldsets[:-1]
        fieldsets = list(self.fieldsets)
        if obj.tools_left_out:
            fieldsets[-1] = ("Tools", {"fields": [("state", "read_at"), "tools_listed", "left_out"]})
        return [("Not usable", {"fields": ["withheld"]}), *fieldsets] if obj.why_withheld else fieldsets

    def has_change_permission(self, request: HttpRequest, obj: McpServer | None = None) -> bool:
        return _may_touch(request, obj) and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: McpServer | None = None) -> bool:
        return _may_touch(request, obj) and super().has_delete_permission(request, obj)

    def has_read_tools_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        server = McpServer.objects.filter(pk=object_id).first() if object_id else None
        return self.has_change_permission(request, server)

    @display(description="Server", ordering="name", header=True)
    def name_and_place(self, server: McpServer) -> list[str]:
        return [server.name, server.url if server.transport == McpTransport.HTTP else server.command]

    @display(description="State", label=STATES)
    def state(self, server: McpServer) -> str:
        if not server.enabled:
            return "disabled"
        if server.why_withheld:
            return "withheld"
        if server.tools_read_at is None:
            return "not read"
        return "changed since" if server.tools_stale else "read"

    @display(description="Reason")
    def withheld(self, server: McpServer) -> str:
        return server.why_withheld

    @display(description="Tools")
    def tool_count(self, server: McpServer) -> int:
        return len(server.tools)

    @display(description="Tools read", ordering="tools_read_at")
    def read_at(self, server: McpServer) -> str:
        return minute(server.tools_read_at, empty="never")

    @display(description="Agents", ordering="agent_count")
    def used_by(self, server: Any) -> int:
        return int(server.agent_count)

    @display(description="Its tools")
    def tools_listed(self, server: McpServer) -> str:
        return ", ".join(server.tool_names()) or "none"

    @display(description="Left out")
    def left_out(self, server: McpServer) -> str:
        lines = [(str(LeftOut(**member)),) for member in server.tools_left_out]
        return format_html_join(mark_safe("<br>"), "{}", lines)

    def save_model(self, request: HttpRequest, obj: McpServer, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        if not change:
            self._read_tools(request, obj)

    def _read_tools(self, request: HttpRequest, server: McpServer) -> None:
        try:
            count = refresh(server)
        except ToolFailed as error:
            messages.error(request, f"The tools could not be read: {error}")
        else:
            messages.success(request, f"{server.name} has {count} tool{'' if count == 1 else 's'}.")
            if left_out := len(server.tools_left_out):
                entries = "1 entry of its list was" if left_out == 1 else f"{left_out} entries of its list were"
                messages.warning(request, f"{entries} left out; the reasons are below, under Tools.")

    @action(
        description="Read tools",
        icon="sync",
        url_path="read-tools",
        permissions=["read_tools"],
        dialog=ActionDialog(
            title="Read the tools of this server?",
            description="It is asked for its list of tools, which agents then have. A program is started for that.",
            form_class=None,
            form_submit_text="Read tools",
        ),
    )
    def read_tools(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        server = get_object_or_404(McpServer, pk=object_id)
        self._read_tools(request, server)
        return HttpResponse(headers={"HX-Redirect": reverse("admin:agents_mcpserver_change", args=[server.pk])})


def _may_touch(request: HttpRequest, server: McpServer | None) -> bool:
    return server is None or server.transport != McpTransport.STDIO or may_run_programs(request)
