"""What has been changed in a row, by whom and when, and bringing an earlier version of an agent back."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from agents.admin.differences import VERBS, Comparison, Difference, who, why
from agents.admin.formats import moment
from agents.models import Agent, changes_of
from agents.models.changes import FIRST_KNOWN
from agents.versions import take_back, versions_of

PER_PAGE = 20


@dataclass
class Change:
    version: Any
    verb: str
    who: str
    why: str
    when: str
    differences: list[Difference]


def changes(versions: list[Any], earlier: Any = None) -> list[Change]:
    """Return versions of one row, newest first, with what each changed; `earlier` is the one before the last."""
    compared = Comparison([*versions, earlier])
    return [
        Change(
            version,
            "known" if version.history_change_reason == FIRST_KNOWN else VERBS[version.history_type],
            "" if version.history_change_reason == FIRST_KNOWN else who(version),
            why(version),
            moment(version.history_date),
            compared.of(before, version) if before is not None else [],
        )
        for version, before in pairwise([*versions, earlier])
    ]


class KeepsHistory:
    """For admin classes of tables whose changes are kept: the History page shows each of them."""

    model: Any
    admin_site: Any
    opts: Any
    history_tab = ""

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        row = get_object_or_404(self.model, pk=object_id)
        if not self.has_view_or_change_permission(request, row):  # type: ignore[attr-defined]
            raise PermissionDenied
        page = Paginator(versions_of(self.model, row.pk), PER_PAGE).get_page(request.GET.get("p"))
        shown = list(page.object_list)
        following = page.paginator.object_list[page.end_index() : page.end_index() + 1]
        context = {
            **self.admin_site.each_context(request),
            "title": str(row),
            "opts": self.opts,
            "original": row,
            "agent": row if isinstance(row, Agent) else None,
            "tab": "history",
            "page": page,
            "changes": changes(shown, next(iter(following), None)),
            "may_restore": isinstance(row, Agent) and self.has_change_permission(request, row),  # type: ignore[attr-defined]
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/agents/history.html", context)


@require_POST
def restore(request: HttpRequest, model_admin: Any, agent_id: UUID, version: int) -> HttpResponse:
    """Bring an earlier version of an agent back, or its prompt alone; that is a change like any other."""
    agent = get_object_or_404(Agent, pk=agent_id)
    if not model_admin.has_change_permission(request, agent):
        raise PermissionDenied
    earlier = get_object_or_404(changes_of(Agent), id=agent_id, history_id=version)
    reason = take_back(agent, earlier, only_prompt="prompt" in request.POST)
    if not model_admin.has_change_permission(request, agent):
        raise PermissionDenied
    try:
        agent.full_clean()
    except ValidationError as error:
        reasons = " ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        messages.error(request, f"This version cannot be restored. {reasons}")
    else:
        agent.save()
        model_admin.log_change(request, agent, f"{reason}.")
        messages.success(request, f"{reason}. Servers answer with it from now on.")
    return redirect(reverse("admin:agents_agent_history", args=[agent_id]))
