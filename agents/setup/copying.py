"""Making an agent from another one."""

from django.db import transaction

from agents.models import Agent, AgentFallback, AgentMcpTool


def free_name(name: str) -> str:
    """Return the first of NAME-copy, NAME-copy-2, ... that no agent has."""
    base = f"{name[:55]}-copy"
    taken = set(Agent.objects.filter(name__startswith=base).values_list("name", flat=True))
    return next(free for n in range(1, len(taken) + 2) if (free := base if n == 1 else f"{base}-{n}") not in taken)


@transaction.atomic
def copy_of(agent: Agent, name: str) -> Agent:
    """Make an agent that differs from another one in its name only. Raises ValidationError.

    It has the other's tools and fallback models, but not its keys, budgets and memories.
    """
    fields = {f.name: getattr(agent, f.name) for f in Agent._meta.concrete_fields if not f.primary_key and f.editable}
    copied = Agent(**{**fields, "name": name})
    copied.full_clean()
    copied.save()
    for fallback in agent.fallbacks.all():
        AgentFallback.objects.create(agent=copied, model_id=fallback.model_id, position=fallback.position)
    for chosen in agent.mcp_tools.all():
        AgentMcpTool.objects.create(agent=copied, server_id=chosen.server_id, tool=chosen.tool)
    return copied
