"""What a provider's pages do beside editing: testing it, and choosing among the models that it offers."""

from dataclasses import asdict
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.views.decorators.http import require_POST
from simple_history.utils import bulk_create_with_history

from agents.admin.formats import size
from agents.admin.model_picker import prices
from agents.catalog import load_catalog
from agents.errors import AgentError
from agents.models import LanguageModel, Provider, ProviderKind
from agents.probing import offered_models, test


def _provider(request: HttpRequest, model_admin: Any, object_id: int) -> Provider:
    provider = get_object_or_404(Provider, pk=object_id)
    if not model_admin.has_change_permission(request, provider):
        raise PermissionDenied
    return provider


@require_POST
def test_view(request: HttpRequest, object_id: int, model_admin: Any) -> HttpResponse:
    """Call the provider, and say what came of it on the page where the button was pressed."""
    provider = _provider(request, model_admin, object_id)
    try:
        messages.success(request, test(provider))
    except AgentError as error:
        messages.error(request, str(error))
    if request.POST.get("back") == "list":
        return redirect("admin:agents_provider_changelist")
    return redirect("admin:agents_provider_change", provider.pk)


def models_view(request: HttpRequest, object_id: int, model_admin: Any) -> HttpResponse:
    """Show what the provider offers, and add the models that are chosen."""
    provider = _provider(request, model_admin, object_id)
    if provider.kind == ProviderKind.EMBEDDED:
        raise Http404("The embedded model comes with the server.")
    if request.method == "POST":
        added = _add(request, provider, request.POST.getlist("model"))
        _tell(request, added)
        return redirect("admin:agents_provider_change" if added else "admin:agents_provider_models", provider.pk)
    context: dict[str, Any] = {
        **model_admin.admin_site.each_context(request),
        "title": f"Models of {provider}",
        "opts": model_admin.opts,
        "original": provider,
    }
    try:
        context["models"] = _offers(provider, offered_models(provider))
    except AgentError as error:
        context["error"] = str(error)
    else:
        context["new"] = sum(not model["known"] for model in context["models"])
    return TemplateResponse(request, "admin/agents/provider/models.html", context)


def _offers(provider: Provider, names: list[str]) -> list[dict[str, Any]]:
    """Return what is known of each model that is offered; those that have a row are what their row says."""
    rows = {row.name: row for row in provider.language_models.all()}
    return [_offer(rows.get(name, row)) for name, row in _rows(provider, names).items()]


def _offer(row: LanguageModel) -> dict[str, Any]:
    facts = [f"{size(row.context_window)} context"] if row.context_window else []
    return {"name": row.name, "known": row.pk, "facts": " · ".join([*facts, prices(row)])}


def _rows(provider: Provider, names: list[str]) -> dict[str, LanguageModel]:
    """Return rows that are not saved, filled in with what the catalog knows of the models at this address."""
    url = provider.base_url.rstrip("/")
    entries = [entry for entry in load_catalog().providers if entry.base_url.rstrip("/") == url]
    facts = {model.name: (entry, model) for entry in entries for model in entry.models}
    rows = {}
    for name in names:
        row = LanguageModel(provider=provider, name=name)
        if name in facts:
            entry, model = facts[name]
            row = LanguageModel(provider=provider, from_catalog=entry.name == provider.name, **asdict(model))
        rows[name] = row
    return rows


def _add(request: HttpRequest, provider: Provider, names: list[str]) -> list[LanguageModel]:
    """Make a row for each name that can be one and has none."""
    known = set(provider.language_models.values_list("name", flat=True))
    new = []
    for name, row in _rows(provider, names).items():
        try:
            row.clean_fields(exclude=["provider"])
        except ValidationError:
            continue
        if name not in known:
            new.append(row)
    return bulk_create_with_history(new, LanguageModel, default_user=request.user) if new else []


def _tell(request: HttpRequest, added: list[LanguageModel]) -> None:
    if not added:
        messages.warning(request, "No model was chosen that this server does not know already.")
        return
    unknown = sum(row.prompt_price is None or row.completion_price is None for row in added)
    said = f"{len(added)} model{'' if len(added) == 1 else 's'} added."
    if unknown:
        said += f" What {unknown} of them cost{'s' if unknown == 1 else ''} is not known: enter it on the model's page."
    messages.success(request, said)
