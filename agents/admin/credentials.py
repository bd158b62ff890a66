from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.admin import ModelAdmin
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from agents.admin.formats import minute
from agents.admin.history import KeepsHistory
from agents.admin.public_urls import public_url
from agents.models.api_key import validate_to_come
from agents.models.credential import Credential

STATES = {"active": "success", "expired": "warning", "revoked": "danger"}


class CredentialForm(forms.ModelForm):
    def clean_expires_at(self) -> Any:
        moment = self.cleaned_data["expires_at"]
        if moment and self.instance._state.adding:
            validate_to_come(moment)
        return moment


class CredentialAdmin(KeepsHistory, ModelAdmin):
    """What API keys and admin tokens have in common: they are issued, shown once, and revoked, but never deleted."""

    example_path: str  # what the page of a new one shows how to ask for
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """They are revoked instead: their names say who did what, and a server without a key is open."""
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        revocable = object_id is None or self.model.objects.filter(pk=object_id, revoked_at=None).exists()
        return revocable and self.has_change_permission(request)

    @display(description="State", label=STATES)
    def state(self, credential: Credential) -> str:
        return credential.state

    @display(description="Expires", ordering="expires_at")
    def expires(self, credential: Credential) -> str:
        return minute(credential.expires_at, empty="never")

    @display(description="Last used", ordering="last_used_at")
    def used(self, credential: Any) -> str:
        return minute(credential.last_used_at, empty="never")

    @display(description="Created", ordering="created_at")
    def created(self, credential: Any) -> str:
        return minute(credential.created_at)

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        context |= {"show_save_and_continue": not options.get("add"), "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **options)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if change:
            return super().save_form(request, form, change)
        form.instance, raw = self.model.objects.issue(**self.fields_at_issue(request, form))
        form.save_m2m = form._save_m2m
        request.issued = raw  # type: ignore[attr-defined]  # held nowhere but in this request
        return form.instance

    def fields_at_issue(self, request: HttpRequest, form: Any) -> dict[str, Any]:
        """Return what the form holds but for what refers to the row, which Django saves when there is one."""
        later = {field.name for field in self.opts.many_to_many}
        return {name: value for name, value in form.cleaned_data.items() if name not in later}

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        return self.shown_once(request, obj, request.issued)  # type: ignore[attr-defined]

    def shown_once(self, request: HttpRequest, credential: Any, raw: str) -> HttpResponse:
        """Show the characters in the answer itself: a redirect would have to keep them somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"The {self.opts.verbose_name} “{credential.name}”",
            "key": raw,
            "example_url": public_url(request, self.example_path),
            "done_url": reverse(f"admin:agents_{self.opts.model_name}_changelist"),
        }
        return TemplateResponse(request, "admin/agents/apikey/issued.html", context)

    @action(
        description="Revoke",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog=ActionDialog(
            title="Revoke it?",
            description="Whatever uses it is refused from the next request on. It cannot be brought back.",
            form_class=None,
            form_submit_text="Revoke",
        ),
    )
    def revoke(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        credential = get_object_or_404(self.model, pk=object_id)
        credential.revoke()
        self.log_change(request, credential, "Revoked.")
        messages.success(request, f"The {self.opts.verbose_name} {credential.name} is revoked.")
        # The dialog posts by htmx, which follows this header with the whole page.
        changed = reverse(f"admin:agents_{self.opts.model_name}_change", args=[credential.pk])
        return HttpResponse(headers={"HX-Redirect": changed})
