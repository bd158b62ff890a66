"""What of the admin follows for those who may not give agents programs of the server's machine."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest

from agents import programs
from agents.models import Agent
from agents.programs import PROGRAMS, runs_programs


def may_run_programs(request: HttpRequest) -> bool:
    return programs.may_run_programs(request.user)


class WithoutPrograms:
    """For the form of an agent: offers no tool that is a program, and takes none from a profile."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["tools"]  # type: ignore[attr-defined]
        groups = [(name, [tool for tool in tools if tool[0] not in PROGRAMS]) for name, tools in field.choices]
        field.choices = [(name, tools) for name, tools in groups if tools]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean()  # type: ignore[misc]
        cleaned["tools"] = [tool for tool in cleaned.get("tools", []) if tool not in PROGRAMS]
        return cleaned


class GuardsPrograms:
    """For the admin of agents."""

    def has_change_permission(self, request: HttpRequest, obj: Agent | None = None) -> bool:
        if not super().has_change_permission(request, obj):  # type: ignore[misc]
            return False
        return obj is None or may_run_programs(request) or not runs_programs(obj)

    def has_copy_permission(self, request: HttpRequest, object_id: UUID | None = None) -> bool:
        if not self.has_add_permission(request):  # type: ignore[attr-defined]
            return False
        agent = self.get_object(request, object_id) if object_id else None  # type: ignore[attr-defined]
        return agent is None or may_run_programs(request) or not runs_programs(agent)

    def get_form(self, request: HttpRequest, *args: Any, **options: Any) -> type[forms.ModelForm]:
        form: type[forms.ModelForm] = super().get_form(request, *args, **options)  # type: ignore[misc]
        editable = "tools" in form.base_fields and not may_run_programs(request)
        return type(form.__name__, (WithoutPrograms, form), {}) if editable else form
