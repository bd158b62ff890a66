"""Trying an agent from the admin, over the same API that clients use."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.http import require_POST

from agents import playground, transcripts
from agents.admin.formats import duration, moment, usd
from agents.admin.public_urls import public_url
from agents.admin.roles import may_run_programs
from agents.models import Agent, ApiKey, Status, StepKind, UsageRecord, UsageStep, changes_of
from agents.versions import versions_of

VERSIONS = 30
OTHER_AGENTS = 200
NUMBER = re.compile(r"[0-9]{1,9}")


@dataclass
class Target:
    """What an agent can be compared with: how the page's URL calls it, and where the pass for it is to be had."""

    code: str
    label: str
    token: str


def may_try(request: HttpRequest, model_admin: Any, agent: Agent) -> None:
    """Raise PermissionDenied for those who may only look: an answer costs money."""
    if not model_admin.has_change_permission(request, agent):
        raise PermissionDenied


def page(request: HttpRequest, model_admin: Any, agent_id: UUID) -> HttpResponse:
    """Show the playground of an agent."""
    agent = get_object_or_404(Agent.objects.select_related("model__provider"), pk=agent_id)
    may_try(request, model_admin, agent)
    context = {
        **model_admin.admin_site.each_context(request),
        "title": agent.name,
        "opts": model_admin.opts,
        "original": agent,
        "agent": agent,
        "tab": "playground",
        "is_fullwidth": "1",
        "targets": _targets(agent, request.GET.get("compare", "")),
        "config": {
            "agent": {"id": str(agent.pk), "name": agent.name},
            "completions": public_url(request, "/v1/chat/completions"),
            "needsKey": ApiKey.objects.needed(),
            "seesImages": agent.model is None or agent.model.vision is not False,
            "images": "Its model sees no images." if agent.model and agent.model.vision is False else "",
        },
    }
    return TemplateResponse(request, "admin/agents/agent/playground.html", context)


def _targets(agent: Agent, asked: str) -> dict[str, Any]:
    """Return what the agent can be compared with, among it what the page's URL asks for; `refused` if that is gone."""
    earlier = versions_of(Agent, agent.pk)
    versions = [_version(version) for version in earlier[1 : VERSIONS + 1]]
    rows = Agent.objects.filter(enabled=True).exclude(pk=agent.pk).order_by("name").only("name")
    others = [_other(other) for other in rows[:OTHER_AGENTS]]
    if asked and asked not in {target.code for target in (*versions, *others)}:
        kind, _, key = asked.partition("-")
        if kind == "version" and NUMBER.fullmatch(key):
            versions += [_version(version) for version in earlier.filter(history_id=int(key))]
        elif kind == "agent" and (other_id := _uuid(key)):
            others += [_other(other) for other in rows.filter(pk=other_id)]
    refused = bool(asked) and asked not in {target.code for target in (*versions, *others)}
    return {"versions": versions, "agents": others, "chosen": asked, "refused": refused}


def _version(version: Any) -> Target:
    token = f"{_token_url(version.id)}?version={version.history_id}"
    return Target(f"version-{version.history_id}", moment(version.history_date), token)


def _other(agent: Agent) -> Target:
    return Target(f"agent-{agent.pk}", agent.name, _token_url(agent.pk))


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _token_url(agent_id: UUID) -> str:
    return reverse("admin:agents_agent_playground_token", args=[agent_id])


@require_POST
def token(request: HttpRequest, model_admin: Any, agent_id: UUID) -> HttpResponse:
    """Mint the pass for one agent, or for one of its earlier versions."""
    agent = get_object_or_404(Agent, pk=agent_id)
    may_try(request, model_admin, agent)
    version = request.GET.get("version", "")
    if version:
        earlier = changes_of(Agent).filter(id=agent_id, history_id=int(version) if version.isdecimal() else 0)
        may_try(request, model_admin, Agent(pk=agent_id, tools=get_object_or_404(earlier).tools))
    minted = playground.mint(
        int(request.user.pk or 0),
        request.user.get_username(),
        agent.pk,
        int(version) if version else None,
        session_key=request.session.session_key or "",
        # The agents that it may ask may run programs: asking them is for those who may give programs to agents.
        asks_any=may_run_programs(request),
    )
    return JsonResponse({"token": minted, "seconds": playground.SECONDS, "model": f"openfang:{agent.name}"})


def figures(request: HttpRequest, model_admin: Any, agent_id: UUID, record_id: UUID) -> HttpResponse:
    """Tell what one answer has used so far, and what the agent's tools have brought back."""
    record = get_object_or_404(UsageRecord, pk=record_id, agent_id=agent_id)
    may_try(request, model_admin, Agent(pk=agent_id))
    key_id = playground.key_id(int(request.user.pk or 0))
    results: dict[str, str] = {}
    if record.api_key_id == key_id:
        turns = transcripts.runs_of({record.pk}, agent_id, f"key:{key_id}").get(record.pk, [])
        results = {call: result for turn in turns for call, result in turn.results.items()}
    return JsonResponse(
        {
            "running": record.status == Status.RUNNING,
            "status": record.get_status_display(),
            "model": f"{record.provider}/{record.model}" if record.model else "",
            "tokens": {"prompt": record.prompt_tokens, "completion": record.completion_tokens},
            "estimated": record.token_source == "estimated",
            "cost": usd(record.cost) if record.status != Status.RUNNING else "",
            "url": reverse("admin:agents_usagerecord_change", args=[record.pk]),
            "tools": [_tool(step) for step in record.steps.filter(kind=StepKind.TOOL)],
            "results": results,
        }
    )


def _tool(step: UsageStep) -> dict[str, str]:
    return {"name": step.name, "duration": duration(step.duration_ms), "error": step.error_code}
