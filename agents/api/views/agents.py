from itertools import pairwise
from typing import Any

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request
from rest_framework.response import Response

from agents.api.pagination import Pages
from agents.api.permissions import programs_refusal
from agents.api.serializers.agents import (
    AgentQuery,
    AgentSerializer,
    CloneSerializer,
    RestoreSerializer,
    VersionSerializer,
)
from agents.api.serializers.base import named
from agents.api.views.base import Resource
from agents.models import Agent, LanguageModel, changes_of
from agents.programs import runs_programs
from agents.setup import copy_of, free_name
from agents.versions import take_back, versions_of

ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}


class Agents(Resource):
    """Agents, each found by its name or its id."""

    noun = "agents"
    table = Agent
    serializer_class = AgentSerializer
    takes = {"clone": CloneSerializer, "restore": RestoreSerializer}
    answers = {
        "clone": AgentSerializer,
        "restore": AgentSerializer,
        "enable": AgentSerializer,
        "disable": AgentSerializer,
        "history": VersionSerializer(many=True),
    }
    queries = {"list": AgentQuery}
    statuses = {"clone": ("201",)}
    without_body = ("enable", "disable")

    def get_queryset(self) -> QuerySet[Agent]:
        parts = ["fallbacks__model__provider", "mcp_tools__server"]
        agents = Agent.objects.select_related("model__provider").prefetch_related(*parts).order_by("name")
        if self.action != "list":
            return agents
        query = self.query
        if search := query.get("search"):
            agents = agents.filter(Q(name__icontains=search) | Q(description__icontains=search))
        return agents.filter(enabled=query["enabled"]) if "enabled" in query else agents

    def get_object(self) -> Agent:
        agent = get_object_or_404(self.get_queryset(), named(self.kwargs["id"].lower()))
        changes_it = self.request.method not in SAFE_METHODS and self.action != "destroy"
        if changes_it and runs_programs(agent) and (refusal := programs_refusal(self.request)):
            raise PermissionDenied(refusal)
        return agent

    @action(detail=True, methods=["post"])
    def clone(self, request: Request, id: str) -> Response:
        """Make an agent that differs from this one in its name only."""
        agent = self.get_object()
        name = self.body(request).get("name") or free_name(agent.name)
        return self._shown(copy_of(agent, name), status=201)

    @action(detail=True, methods=["post"])
    def enable(self, request: Request, id: str) -> Response:
        """Let clients ask the agent."""
        return self._switched(enabled=True)

    @action(detail=True, methods=["post"])
    def disable(self, request: Request, id: str) -> Response:
        """Keep the agent, but not for clients."""
        return self._switched(enabled=False)

    @action(detail=True)
    def history(self, request: Request, id: str) -> Response:
        """The versions of the agent, the newest first, with who changed what."""
        pages = Pages()
        shown = pages.paginate_queryset(versions_of(Agent, self.get_object().pk), request, view=self)
        assert pages.page is not None
        following = pages.page.paginator.object_list[pages.page.end_index() : pages.page.end_index() + 1]
        versions = [*shown, next(iter(following), None)]
        return pages.get_paginated_response(VersionSerializer(as_changes(versions), many=True).data)

    @action(detail=True, methods=["post"], url_path=r"history/(?P<version>[0-9]{1,18})/restore")
    def restore(self, request: Request, id: str, version: str) -> Response:
        """Bring an earlier version of the agent back; fallback models, MCP tools and `enabled` stay as they are."""
        agent = self.get_object()
        earlier = get_object_or_404(changes_of(Agent), id=agent.pk, history_id=int(version))
        take_back(agent, earlier, only_prompt=self.body(request)["prompt_only"])
        if runs_programs(agent) and (refusal := programs_refusal(request)):
            raise PermissionDenied(refusal)
        agent.full_clean()
        agent.save()
        return self._shown(agent)

    def _switched(self, *, enabled: bool) -> Response:
        agent = self.get_object()
        if agent.enabled != enabled:
            agent.enabled = enabled
            agent.save(update_fields=["enabled", "updated_at"])
        return self._shown(agent)

    def _shown(self, agent: Agent, status: int = 200) -> Response:
        agent = self.get_queryset().get(pk=agent.pk)
        return Response(AgentSerializer(agent, context=self.get_serializer_context()).data, status=status)


def as_changes(versions: list[Any]) -> list[dict[str, Any]]:
    """Return versions, the newest first, with what each changed in the next; of the last only that."""
    found: Any = {getattr(version, "model_id", None) for version in versions} - {None}
    names = {model.pk: str(model) for model in LanguageModel.objects.filter(pk__in=found).select_related("provider")}
    return [
        {
            "version": version.history_id,
            "action": ACTIONS[version.history_type],
            "at": version.history_date,
            "user": version.history_user and version.history_user.get_username(),
            "reason": version.history_change_reason or "",
            "changes": [_named(change, names) for change in version.diff_against(before).changes] if before else [],
        }
        for version, before in pairwise(versions)
    ]


def _named(change: Any, names: dict[int, str]) -> dict[str, Any]:
    before, after = change.old, change.new
    if change.field == "model":
        before, after = (pk and names.get(pk, f"a model that is gone ({pk})") for pk in (before, after))
    return {"field": change.field, "before": before, "after": after}
