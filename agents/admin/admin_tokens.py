from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from agents.admin.credentials import CredentialAdmin, CredentialForm
from agents.models import AdminToken, Scope


class AdminTokenForm(CredentialForm):
    scopes = forms.MultipleChoiceField(
        choices=[(scope.value, f"{scope.value}: {scope.label}") for scope in Scope],
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="It may do what is ticked, as far as you may. To write includes to read.",
    )

    class Meta:
        model = AdminToken
        fields = ["name", "scopes", "expires_at", "requests_per_minute"]
        help_texts = {"expires_at": "In UTC. Empty: it never expires."}
        error_messages = {"name": {"unique": "There is, or was, a token of this name. Names are not used again."}}


@admin.register(AdminToken)
class AdminTokenAdmin(CredentialAdmin):
    """Where somebody lets a program manage this server in their name. A token itself is shown once."""

    form = AdminTokenForm
    example_path = "/api/health"
    list_display = ["name", "owner", "characters", "may", "state", "expires", "used"]
    list_select_related = ["owner"]
    search_fields = ["name", "owner__username", "prefix"]
    search_help_text = "Name, owner, or how the token begins"
    actions_detail = ["revoke"]
    add_fieldsets = [(None, {"fields": ["name", "scopes", "expires_at", "requests_per_minute"]})]
    fieldsets = [*add_fieldsets, ("Token", {"fields": [("characters", "owner", "state"), ("created", "used")]})]
    readonly_fields = ["characters", "owner", "state", "used", "created"]

    def get_fieldsets(self, request: HttpRequest, obj: AdminToken | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def has_change_permission(self, request: HttpRequest, obj: AdminToken | None = None) -> bool:
        """A token acts in the name of its owner, so nobody else says what it may do."""
        return super().has_change_permission(request, obj) and (obj is None or obj.owner_id == request.user.pk)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("digest")

    @display(description="Token")
    def characters(self, token: AdminToken) -> str:
        return f"{token.prefix}…"

    @display(description="May")
    def may(self, token: AdminToken) -> str:
        return ", ".join(token.scopes)

    def fields_at_issue(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        return {**super().fields_at_issue(request, form), "owner": request.user}
