"""Taking agents to another server: exporting them as a file, and importing one after a look at what it would make."""

from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminTextareaWidget

from agents import transfer
from agents.admin.roles import may_run_programs
from agents.models import Agent
from agents.programs import are_programs

MOST_BYTES = 5_000_000


class ImportForm(forms.Form):
    file = forms.FileField(required=False, label="File", widget=UnfoldAdminFileFieldWidget)
    text = forms.CharField(
        required=False, label="Or its text", widget=UnfoldAdminTextareaWidget(attrs={"rows": 8, "spellcheck": "false"})
    )
    plans: list[transfer.Planned]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        file = cleaned.get("file")
        if file is not None and file.size > MOST_BYTES:
            raise forms.ValidationError(f"The file is larger than {MOST_BYTES // 1_000_000} MB.")
        try:
            text = file.read().decode() if file is not None else cleaned.get("text", "")
            if not text.strip():
                raise forms.ValidationError("Choose a file, or paste its text.")
            self.plans = transfer.read(text)
        except UnicodeDecodeError:
            raise forms.ValidationError("The file is not text in UTF-8.") from None
        except transfer.NotReadable as error:
            raise forms.ValidationError(error.problems) from None
        cleaned["text"] = text
        return cleaned


def import_page(request: HttpRequest, model_admin: Any) -> HttpResponse:
    """Read a file, show what it would make, and make it when that is confirmed."""
    if not model_admin.has_add_permission(request):
        raise PermissionDenied
    form = ImportForm(request.POST or None, request.FILES or None)
    plans = form.plans if form.is_bound and form.is_valid() else None
    if plans is not None and not may_run_programs(request) and (named := _with_programs(plans)):
        form.add_error(None, f"Only an administrator may import agents that run programs: {named}.")
        plans = None
    if plans is not None and "confirmed" in request.POST:
        agents = transfer.make(plans)
        for agent in agents:
            model_admin.log_addition(request, agent, "Imported.")
        messages.success(request, f"{len(agents)} agent{'' if len(agents) == 1 else 's'} imported.")
        return redirect("admin:agents_agent_changelist")
    context = {
        **model_admin.admin_site.each_context(request),
        "title": "Import agents",
        "opts": model_admin.opts,
        "form": form,
        "plans": plans,
        "text": form.cleaned_data["text"] if plans is not None else "",
    }
    return TemplateResponse(request, "admin/agents/agent/import.html", context)


def _with_programs(plans: list[transfer.Planned]) -> str:
    """Name the agents that would run programs of the server's machine."""
    return ", ".join(
        plan.agent.name for plan in plans if are_programs(plan.agent.tools, [server for server, _ in plan.mcp_tools])
    )


def download(agents: list[Agent]) -> HttpResponse:
    """Answer with a file of agents."""
    name = agents[0].name if len(agents) == 1 else "agents"
    answer = HttpResponse(transfer.exported(agents), content_type="application/json")
    answer["Content-Disposition"] = f'attachment; filename="openfang-{name}.json"'
    return answer
