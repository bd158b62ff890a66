from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from agents.admin.credentials import STATES, CredentialAdmin, CredentialForm
from agents.admin.formats import minute
from agents.models import ApiKey
from agents.models.api_key import validate_networks
from agents.networks import read_networks, written

LIMITS = ["requests_per_minute", "tokens_per_minute", "max_parallel_requests", "networks"]
ISSUED = ["name", "owner", "agents", "expires_at", *LIMITS]


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


class ApiKeyForm(CredentialForm):
    class Meta:
        model = ApiKey
        fields = ISSUED
        help_texts = {
            "agents": "The agents that the key opens. None chosen: all, also those made later.",
            "expires_at": "In UTC. Empty: it never expires.",
        }
        widgets = {"networks": UnfoldAdminTextareaWidget(attrs={"rows": 2, "spellcheck": "false"})}
        error_messages = {"name": {"unique": "There is, or was, a key of this name. Names are not used again."}}

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in LIMITS[:3]:
            self.fields[name].required = False

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        return cleaned | {name: cleaned.get(name) or 0 for name in LIMITS[:3]}

    def clean_networks(self) -> str:
        validate_networks(self.cleaned_data["networks"])
        return written(read_networks(self.cleaned_data["networks"]))


class RotationForm(forms.Form):
    hours = forms.TypedChoiceField(
        label="The old key stays good for",
        choices=[(0, "no longer"), (1, "1 hour"), (24, "24 hours"), (24 * 7, "7 days")],
        initial=24,
        coerce=int,
        widget=UnfoldAdminSelectWidget,
    )


@admin.register(ApiKey)
class ApiKeyAdmin(CredentialAdmin):
    """Where keys are issued and revoked. A key itself is on one page, once: the answer to the form that made it."""

    form = ApiKeyForm
    example_path = "/v1/models"
    autocomplete_fields = ["agents"]
    list_display = ["name", "owner", "characters", "opens", "state", "expires", "used"]
    list_filter = [StateFilter]
    list_filter_submit = True
    search_fields = ["name", "owner", "prefix"]
    search_help_text = "Name, owner, or how the key begins"
    actions = ["revoke_selected"]
    actions_detail = ["rotate", "revoke"]
    add_fieldsets = [
        (None, {"fields": ["name", "owner", "agents", "expires_at"]}),
        ("Limits", {"fields": [tuple(LIMITS[:2]), *LIMITS[2:]]}),
    ]
    fieldsets = [
        *add_fieldsets,
        ("Key", {"fields": [("characters", "state"), ("created", "used"), ("revoked", "old")]}),
    ]
    readonly_fields = ["characters", "state", "used", "created", "revoked", "old"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("agents").defer("digest", "previous_digest")

    @display(description="Key")
    def characters(self, key: ApiKey) -> str:
        return f"{key.prefix}…"

    @display(description="Opens")
    def opens(self, key: ApiKey) -> str:
        names = sorted(agent.name for agent in key.agents.all())
        if not names:
            return "nothing: its agents are gone" if key.limited else "all agents"
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    @display(description="Before its rotation good until")
    def old(self, key: ApiKey) -> str:
        return minute(key.previous_until, empty="not rotated")

    @display(description="Revoked")
    def revoked(self, key: ApiKey) -> str:
        return minute(key.revoked_at, empty="no")

    @action(description="Rotate", icon="autorenew", permissions=["revoke"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask how long the old characters stay good, then show the new ones, once."""
        key = get_object_or_404(ApiKey, pk=object_id)
        form = RotationForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            raw = key.rotate(timedelta(hours=form.cleaned_data["hours"]))
            self.log_change(request, key, "Rotated.")
            return self.shown_once(request, key, raw)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Rotate the key “{key.name}”",
            "form": form,
            "back_url": reverse("admin:agents_apikey_change", args=[key.pk]),
        }
        return TemplateResponse(request, "admin/agents/apikey/rotate.html", context)

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, keys: QuerySet[ApiKey]) -> None:
        revoked = list(ApiKey.objects.filter(pk__in=keys.values("pk"), revoked_at=None))
        for key in revoked:  # one by one, so that the history has each
            key.revoke()
        messages.success(request, f"{len(revoked)} key{'' if len(revoked) == 1 else 's'} revoked.")
