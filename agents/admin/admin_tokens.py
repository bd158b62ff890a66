from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from agents.admin.formats import minute
from agents.admin.history import KeepsHistory
from agents.models import AdminToken, Scope
from agents.models.api_key import validate_to_come

STATES = {"active": "success", "expired": "warning", "revoked": "danger"}


class AdminTokenForm(forms.ModelForm):
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

    def clean_expires_at(self) -> Any:
        moment = self.cleaned_data["expires_at"]
        if moment and self.instance._state.adding:
            validate_to_come(moment)
        return moment


@admin.register(AdminToken)
class AdminTokenAdmin(KeepsHistory, ModelAdmin):
    """Where somebody lets a program manage this server in their name. A token itself is shown once."""

    form = AdminTokenForm
    list_display = ["name", "owner", "characters", "may", "state", "expires", "used"]
    list_select_related = ["owner"]
    list_per_page = 50
    search_fields = ["name", "owner__username", "prefix"]
    search_help_text = "Name, owner, or how the token begins"
    actions_detail = ["revoke"]
    add_fieldsets = [(None, {"fields": ["name", "scopes", "expires_at", "requests_per_minute"]})]
    fieldsets = [*add_fieldsets, ("Token", {"fields": [("characters", "owner", "state"), ("created", "used")]})]
    readonly_fields = ["characters", "owner", "state", "used", "created"]

    def get_fieldsets(self, request: HttpRequest, obj: AdminToken | None = None) -> Any:
        return self.fieldsets if obj else self.add_fieldsets

    def has_delete_permission(self, request: HttpRequest, obj: AdminToken | None = None) -> bool:
        """Tokens are revoked, not deleted, so that their names go on saying who did what."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: AdminToken | None = None) -> bool:
        """A token acts in the name of its owner, so nobody else says what it may do."""
        return super().has_change_permission(request, obj) and (obj is None or obj.owner_id == request.user.pk)

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        revocable = object_id is None or AdminToken.objects.filter(pk=object_id, revoked_at=None).exists()
        return revocable and super().has_change_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).defer("digest")

    @display(description="Token")
    def characters(self, token: AdminToken) -> str:
        return f"{token.prefix}…"

    @display(description="May")
    def may(self, token: AdminToken) -> str:
        return ", ".join(token.scopes)

    @display(description="State", label=STATES)
    def state(self, token: AdminToken) -> str:
        return token.state

    @display(description="Expires", ordering="expires_at")
    def expires(self, token: AdminToken) -> str:
        return minute(token.expires_at, empty="never")

    @display(description="Last used", ordering="last_used_at")
    def used(self, token: AdminToken) -> str:
        return minute(token.last_used_at, empty="never")

    @display(description="Created", ordering="created_at")
    def created(self, token: AdminToken) -> str:
        return minute(token.created_at)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        context |= {"show_save_and_continue": not options.get("add"), "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **options)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if change:
            return super().save_form(request, form, change)
        owner: Any = request.user
        form.instance, raw = AdminToken.objects.issue(owner=owner, **form.cleaned_data)
        form.save_m2m = form._save_m2m
        request.issued_token = raw  # type: ignore[attr-defined]  # held nowhere but in this request
        return form.instance

    def save_model(self, request: HttpRequest, obj: AdminToken, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: AdminToken, post_url_continue: str | None = None) -> HttpResponse:
        """Show the token in the answer itself: a redirect would have to keep it somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"The token “{obj.name}”",
            "key": request.issued_token,  # type: ignore[attr-defined]
            "example_url": request.build_absolute_uri("/api/health"),
            "done_url": reverse("admin:agents_admintoken_changelist"),
        }
        return TemplateResponse(request, "admin/agents/apikey/issued.html", context)

    @action(
        description="Revoke",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog=ActionDialog(
            title="Revoke this token?",
            description="Whatever uses it is refused from the next request on. It cannot be brought back.",
            form_class=None,
            form_submit_text="Revoke",
        ),
    )
    def revoke(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        token = get_object_or_404(AdminToken, pk=object_id)
        token.revoke()
        self.log_change(request, token, "Revoked.")
        messages.success(request, f"The token {token.name} is revoked.")
        # The dialog posts by htmx, which follows this header with the whole page.
        return HttpResponse(headers={"HX-Redirect": reverse("admin:agents_admintoken_change", args=[token.pk])})
