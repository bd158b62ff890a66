from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import URLPattern, path
from unfold.admin import ModelAdmin, TabularInline
from unfold.decorators import display
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldBooleanSwitchWidget

from agents.admin.formats import NOTHING
from agents.admin.history import KeepsHistory
from agents.admin.model_picker import key_state
from agents.admin.models import LanguageModelForm
from agents.admin.provider_views import models_view, test_view
from agents.models import LanguageModel, ModelPrice, Provider
from agents.models.provider import KeySource, beyond_address, endpoint_cut, validate_key
from agents.urls import without_endpoint

KEY_COLOURS = {"set": "success", "withheld": "danger", "missing": "warning", "needs none": "info"}


class ProviderForm(forms.ModelForm):
    new_key = forms.CharField(
        label="Keep a key here",
        required=False,
        max_length=1000,
        validators=[validate_key],
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Stored encrypted, and never shown. A key in the environment goes before it. Empty: nothing changes.",
    )
    forget_key = forms.BooleanField(label="Forget the kept key", required=False, widget=UnfoldBooleanSwitchWidget())

    class Meta:
        model = Provider
        exclude: list[str] = []
        help_texts = {
            "api_key_env": "The environment variable that holds the key: the catalog's own, at the catalog's address, "
            "or one that OPENFANG_EXPOSED_VARIABLES lists. Leave empty for none."
        }
        error_messages = {"name": {"unique": "There is a provider of this name already."}}

    def clean_base_url(self) -> str:
        return without_endpoint(self.cleaned_data["base_url"])

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        stored = self.instance if self.instance.pk else None
        kind, base_url = cleaned.get("kind", ""), cleaned.get("base_url")
        decided = self._decided_on_key()
        for name, problem in beyond_address(stored, kind=kind, base_url=base_url, key_decided=decided):
            self.add_error("new_key" if name == "key" else name, problem)
        return cleaned

    def _decided_on_key(self) -> bool:
        return bool(self.cleaned_data.get("new_key") or self.cleaned_data.get("forget_key"))

    def save(self, commit: bool = True) -> Any:
        if self._decided_on_key():
            self.instance.keep_key(self.cleaned_data["new_key"].strip())
        return super().save(commit)


class ModelRowForm(LanguageModelForm):
    """A model in a table, whose headings are no labels for screen readers."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for field in self.fields.values():
            field.widget.attrs["aria-label"] = f"{field.label} of {self.instance.name or 'a new model'}"


class ModelInline(TabularInline):
    model = LanguageModel
    form = ModelRowForm
    fields = ["name", "context_window", "prompt_price", "completion_price"]
    extra = 0
    per_page = 20  # a form of hundreds of models has more fields than Django accepts
    show_change_link = True
    verbose_name_plural = "Models: prices in US dollars per million tokens"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("provider")


@admin.register(Provider)
class ProviderAdmin(KeepsHistory, ModelAdmin):
    """The LLM APIs that agents may ask, and whether this server has a key for each."""

    form = ProviderForm
    inlines = [ModelInline]
    list_display = ["label_and_address", "key", "key_source", "models"]
    list_filter = ["kind", "from_catalog"]
    list_filter_submit = True
    list_per_page = 50
    search_fields = ["name", "label", "base_url"]
    search_help_text = "Name or address"
    readonly_fields = ["key_source"]
    change_form_outer_before_template = "admin/agents/provider/calls.html"

    def get_urls(self) -> list[URLPattern]:
        options = {"model_admin": self}
        view = self.admin_site.admin_view
        return [
            path("<int:object_id>/test/", view(test_view), options, name="agents_provider_test"),
            path("<int:object_id>/models/", view(models_view), options, name="agents_provider_models"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).annotate(model_count=Count("language_models"))

    def get_list_display(self, request: HttpRequest) -> list[str]:
        return [*self.list_display, "test"] if self.has_change_permission(request) else self.list_display

    def get_readonly_fields(self, request: HttpRequest, obj: Provider | None = None) -> list[str]:
        """Settings and the catalog refer to a provider by its name, so it stays."""
        return ["name", *self.readonly_fields] if obj else self.readonly_fields

    def get_fieldsets(self, request: HttpRequest, obj: Provider | None = None) -> Any:
        key = ["api_key_env", "new_key"]
        if obj:
            key = ["key_source", *key, *(["forget_key"] if obj.encrypted_api_key else [])]
        description = "A key in the environment of the server is in no backup of its database."
        return [
            (None, {"fields": [("name", "label"), "kind", "base_url"]}),
            ("Key", {"fields": key, "description": description}),
        ]

    @display(description="Provider", ordering="label", header=True)
    def label_and_address(self, provider: Provider) -> list[str]:
        return [str(provider), provider.base_url or "in this server"]

    @display(description="Key", label=KEY_COLOURS)
    def key(self, provider: Provider) -> str:
        return key_state(provider)

    @display(description="Key comes from", ordering="api_key_env")
    def key_source(self, provider: Provider) -> str:
        match provider.key_source:
            case KeySource.ENVIRONMENT:
                return f"{provider.api_key_env}, in the environment"
            case KeySource.KEPT:
                return "kept here, encrypted"
            case KeySource.UNREADABLE:
                return "kept here, but it can no longer be decrypted"
            case KeySource.WITHHELD:
                return provider.why_withheld
            case KeySource.MISSING:
                return f"{provider.api_key_env} is not set"
        return NOTHING

    @display(description="Models", ordering="model_count")
    def models(self, provider: Any) -> int:
        return int(provider.model_count)

    @display(description="Test")
    def test(self, provider: Provider) -> str:
        return render_to_string("admin/agents/provider/test_button.html", {"provider": provider, "back": "list"})

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        if form.changed_data:
            obj.from_catalog = False
        super().save_model(request, obj, form, change)
        if form.data.get("base_url", "").strip() != obj.base_url:
            messages.info(request, endpoint_cut(obj))

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        for gone in formset.deleted_objects:
            gone.delete()
        for edited in formset.forms:
            if edited.has_changed() and edited.instance not in formset.deleted_objects:
                edited.instance.from_catalog = False
                ModelPrice.objects.save_model(edited.instance)
