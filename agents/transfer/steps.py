"""What a file of agents changes on this server: found out first, shown, and then done, all of it or nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from django.db import transaction

from agents.models import Agent, AgentFallback, AgentMcpTool
from agents.transfer.entries import Planned, data_of, data_of_plan


class What(Enum):
    MADE = "made"
    CHANGED = "changed"
    SAME = "same"
    DELETED = "deleted"


@dataclass
class Step:
    """What becomes of one agent; `changes` has each field that changes, as it is and as it will be."""

    name: str
    what: What
    plan: Planned | None = None
    agent: Agent | None = None
    changes: dict[str, tuple[Any, Any]] = field(default_factory=dict)


def steps_to(plans: list[Planned], *, prune: bool) -> list[Step]:
    """Return what has to be done for this server to have these agents; with `prune`, no others."""
    here = {agent.name: agent for agent in Agent.objects.prefetch_related("fallbacks__model__provider", "mcp_tools")}
    steps = [_step(plan, here.get(plan.agent.name)) for plan in plans]
    wanted = {plan.agent.name for plan in plans}
    gone = [agent for name, agent in here.items() if name not in wanted] if prune else []
    return [*steps, *(Step(agent.name, What.DELETED, agent=agent) for agent in gone)]


def _step(plan: Planned, agent: Agent | None) -> Step:
    if agent is None:
        return Step(plan.agent.name, What.MADE, plan)
    return step_for(agent, plan)


def step_for(agent: Agent, plan: Planned) -> Step:
    """Return what makes an agent what is planned."""
    before, after = data_of(agent), data_of_plan(plan)
    changes = {name: (before[name], after[name]) for name in after if before[name] != after[name]}
    return Step(agent.name, What.CHANGED if changes else What.SAME, plan, agent, changes)


@transaction.atomic
def take(steps: Iterable[Step]) -> None:
    """Do all the steps, or none if one fails."""
    for step in steps:
        if step.what is What.MADE and step.plan:
            make([step.plan])
        elif step.what is What.CHANGED and step.plan and step.agent:
            _change(step.agent, step.plan, step.changes)
        elif step.what is What.DELETED and step.agent:
            step.agent.delete()


@transaction.atomic
def make(plans: list[Planned]) -> list[Agent]:
    """Make the agents of a file, all or none."""
    for plan in plans:
        _save_models(plan)
        plan.agent.save()
        _add_fallbacks(plan.agent, plan)
        _add_mcp_tools(plan.agent, plan)
    return [plan.agent for plan in plans]


def _change(agent: Agent, plan: Planned, changes: dict[str, Any]) -> None:
    _save_models(plan)
    for name in changes.keys() - {"fallback_models", "mcp_tools"}:
        setattr(agent, name, getattr(plan.agent, name))
    agent.save()
    if "fallback_models" in changes:
        agent.fallbacks.all().delete()
        _add_fallbacks(agent, plan)
    if "mcp_tools" in changes:
        agent.mcp_tools.all().delete()
        _add_mcp_tools(agent, plan)


def _save_models(plan: Planned) -> None:
    for model in (plan.agent.model, *plan.fallbacks):
        if model is not None and model.pk is None:
            model.save()


def _add_fallbacks(agent: Agent, plan: Planned) -> None:
    for position, model in enumerate(plan.fallbacks):
        AgentFallback.objects.create(agent=agent, model=model, position=position)


def _add_mcp_tools(agent: Agent, plan: Planned) -> None:
    for server, tool in dict.fromkeys(plan.mcp_tools):
        AgentMcpTool.objects.create(agent=agent, server=server, tool=tool)
