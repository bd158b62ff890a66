"""Making an agent from another one."""

from typing import Any

from django import forms
from django.db import transaction
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from agents.models import Agent, AgentFallback, AgentMcpTool
from agents.models.agent import validate_agent_name


def free_name(name: str) -> str:
    """Return the first of NAME-copy, NAME-copy-2, ... that no agent has."""
    base = f"{name[:55]}-copy"
    taken = set(Agent.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next(free for n in range(1, len(taken) + 2) if (free := base if n == 1 else f"{base}-{n}") not in taken)


@transaction.atomic
def copy_of(agent: Agent, name: str) -> Agent:
    """Make an agent that differs from another one in its name only, its tools and fallback models included."""
    fields = {f.name: getattr(agent, f.name) for f in Agent._meta.concrete_fields if not f.primary_key and f.editable}
    fields.pop("updated_at", None)
    copied = Agent(**{**fields, "name": name})
    copied.full_clean()
    copied.save()
    for fallback in agent.fallbacks.all():
        AgentFallback.objects.create(agent=copied, model_id=fallback.model_id, position=fallback.position)
    for chosen in agent.mcp_tools.all():
        AgentMcpTool.objects.create(agent=copied, server_id=chosen.server_id, tool=chosen.tool)
    return copied


class CopyForm(BaseDialogForm):
    name = forms.CharField(max_length=64, widget=UnfoldAdminTextInputWidget, help_text="The name of the copy.")

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        if agent := Agent.objects.filter(pk=self.object_id).first():
            self.fields["name"].initial = free_name(agent.name)

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"].strip().lower()
        validate_agent_name(name)
        if Agent.objects.filter(name=name).exists():
            raise forms.ValidationError("There is an agent of this name already: clients choose agents by name.")
        return name
