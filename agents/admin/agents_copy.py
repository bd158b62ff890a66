"""Making an agent from another one."""

from typing import Any

from django import forms
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminTextInputWidget

from agents.models import Agent
from agents.models.agent import validate_agent_name
from agents.setup import free_name


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
