from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import DropdownFilter
from unfold.dataclasses import ActionDialog
from unfold.decorators import action, display
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from agents.admin.formats import minute
from agents.models import ApiKey

STATES = {"active": "success", "expired": "warning", "revoked": "danger"}


def state(key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= timezone.now() else "active"


class StateFilter(DropdownFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, name) for name in STATES]

    def queryset(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> QuerySet[ApiKey]:
        unrevoked, expired = Q(revoked_at=None), Q(expires_at__lte=timezone.now())
        match self.value():
            case "active":
                return queryset.filter(unrevoked).exclude(expired)
            case "expired":
                return queryset.filter(unrevoked & expired)
            case "revoked":
                return queryset.exclude(unrevoked)
        return queryset


class ApiKeyForm(forms.ModelForm):
    class Meta:
        model = ApiKey
        fields = ["name", "agents", "expires_at"]
        help_texts = {
            "agents": "The agents that the key opens. None chosen: all, also those made later.",
            "expires_at": "In UTC. Empty: it never expires.",
        }
        error_messages = {"name": {"unique": "There is, or was, a key of this name. Names are not used again."}}

    def clean_expires_at(self) -> Any:
        moment = self.cleaned_data["expires_at"]
        if moment and self.instance._state.adding and moment <= timezone.now():
            raise forms.ValidationError("This moment has passed already (it is read as UTC).")
        return moment


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):
    """Where keys are issued and revoked. A key itself is on one page, once: the answer to the form that made it."""

    form = ApiKeyForm
    autocomplete_fields = ["agents"]
    list_display = ["name", "characters", "opens", "state", "expires", "created"]
    list_filter = [StateFilter]
    list_filter_submit = True
    list_per_page = 50
    search_fields = ["name", "prefix"]
    search_help_text = "Name, or how the key begins"
    actions = ["revoke_selected"]
    actions_detail = ["revoke"]
    fieldsets = [
        (None, {"fields": ["name", "agents", "expires_at"]}),
        ("Key", {"fields": [("characters", "state"), ("created", "revoked")]}),
    ]
    add_fieldsets = [(None, {"fields": ["name", "agents", "expires_at"]})]
    readonly_fields = ["characters", "state", "created", "revoked"]

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        """Keys are revoked, not deleted: without any key left the server would be open on its own machine again."""
        return False

    def has_revoke_permission(self, request: HttpRequest, object_id: str | None = None) -> bool:
        revocable = object_id is None or ApiKey.objects.filter(pk=object_id, revoked_at=None).exists()
        return revocable and self.has_change_permission(request)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("agents").defer("digest")

    @display(description="Key")
    def characters(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @display(description="Opens")
    def opens(self, key: ApiKey) -> str:
        names = sorted(agent.name for agent in key.agents.all())
        if not names:
            return "nothing: its agents are gone" if key.limited else "all agents"
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @display(description="State", label=STATES)
    def state(self, key: ApiKey) -> str:
        return state(key)

    @display(description="Expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> str:
        return minute(key.expires_at, empty="never")

    @display(description="Created", ordering="created_at")
    def created(self, key: ApiKey) -> str:
        return minute(key.created_at)

    @display(description="Revoked")
    def revoked(self, key: ApiKey) -> str:
        return minute(key.revoked_at, empty="no")

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], *args: Any, **options: Any) -> Any:
        context |= {"show_save_and_continue": not options.get("add"), "show_save_and_add_another": False}
        return super().render_change_form(request, context, *args, **options)

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        if change:
            return super().save_form(request, form, change)
        issued = form.cleaned_data
        form.instance, raw = ApiKey.objects.issue(issued["name"], expires_at=issued["expires_at"])
        form.save_m2m = form._save_m2m
        request.issued_key = raw  # type: ignore[attr-defined]  # held nowhere but in this request
        return form.instance

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        if change:
            super().save_model(request, obj, form, change)

    def response_add(self, request: HttpRequest, obj: ApiKey, post_url_continue: str | None = None) -> HttpResponse:
        """Show the key in the answer itself: a redirect would have to keep it somewhere."""
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"The key “{obj.name}”",
            "key": request.issued_key,  # type: ignore[attr-defined]
            "base_url": request.build_absolute_uri("/v1"),
            "done_url": reverse("admin:agents_apikey_changelist"),
        }
        return TemplateResponse(request, "admin/agents/apikey/issued.html", context)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        revoked = keys.filter(revoked_at=None).update(revoked_at=timezone.now())
        messages.success(request, f"{revoked} key{'' if revoked == 1 else 's'} revoked.")

    @action(
        description="Revoke",
        icon="block",
        variant=ActionVariant.DANGER,
        permissions=["revoke"],
        dialog=ActionDialog(
            title="Revoke this key?",
            description="Whoever uses it is refused from the next request on. It cannot be brought back.",
            form_class=None,
            form_submit_text="Revoke",
        ),
    )
    def revoke(self, request: HttpRequest, form: BaseDialogForm, object_id: str) -> HttpResponse:
        key = get_object_or_404(ApiKey, pk=object_id)
        key.revoke()
        self.log_change(request, key, "Revoked.")
        messages.success(request, f"The key {key.name} is revoked.")
        # The dialog posts by htmx, which follows this header with the whole page.
        return HttpResponse(headers={"HX-Redirect": reverse("admin:agents_apikey_change", args=[key.pk])})
