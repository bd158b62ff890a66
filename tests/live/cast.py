"""The cast of the tests: `python -m tests.live.cast BASE_URL [--keys]` makes it and prints the keys as JSON.

coder       the first agent; model scripted-model at the scripted provider, with prices
listener    honours the parameters of its clients, and has values of its own
blind       its model is known to see no images
understudy  has a fallback: scripted-model, then second-model
hasty       its runs may take two seconds
orphan      its provider cannot be reached
disabled    is disabled
handy       has tools of its own: agent_ask, calculator, current_time; may make four LLM and five tool calls
steward     asks other agents; its model is steward-model; ten LLM and fifty tool calls
expert      without tools; its model is expert-model
critic      without tools; its model is critic-model
hurried     asks other agents; its runs may take seven seconds, so that something has come by then on a busy machine
showing, thinking, hiding   ask other agents; their tool activity is tool_calls, reasoning, hidden
bare        has a tool, and a model that is known to take none

alice       may use every agent
bob         may use listener only
carol       has a key that expired
dave        has a key that was revoked
erin        may use handy and critic only
"""

import argparse
import json
import os
from datetime import timedelta

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "openfang_site.settings")

import django

django.setup()

from django.core.management import call_command
from django.utils import timezone

from agents.models import Agent, AgentFallback, ApiKey, LanguageModel, Provider


def make_agents(base_url: str) -> None:
    provider = Provider.objects.create(name="scripted", label="Scripted", base_url=base_url)
    nowhere = Provider.objects.create(name="nowhere", label="Nowhere", base_url="http://127.0.0.1:9/v1")
    first = LanguageModel.objects.create(
        provider=provider,
        name="scripted-model",
        context_window=128_000,
        max_output_tokens=16_000,
        prompt_price="1.5",
        cached_price="0.15",
        completion_price="6",
    )
    second = LanguageModel.objects.create(provider=provider, name="second-model")
    blind = LanguageModel.objects.create(provider=provider, name="blind-model", vision=False)
    unreachable = LanguageModel.objects.create(provider=nowhere, name="unreachable-model")
    Agent.objects.create(name="coder", description="Writes code.", system_prompt="You write code.", model=first)
    Agent.objects.create(
        name="listener", model=first, temperature=0.1, top_p=0.9, max_tokens=500, honour_client_parameters=True
    )
    Agent.objects.create(name="blind", model=blind)
    understudy = Agent.objects.create(name="understudy", model=first)
    AgentFallback.objects.create(agent=understudy, model=second)
    Agent.objects.create(name="hasty", model=first, run_timeout=2)
    Agent.objects.create(name="orphan", model=unreachable)
    Agent.objects.create(name="disabled", model=first, enabled=False)
    Agent.objects.create(
        name="handy",
        model=first,
        tools=["agent_ask", "calculator", "current_time"],
        max_llm_calls=4,
        max_tool_calls=5,
    )
    make_askers(provider, first)


def make_askers(provider: Provider, model: LanguageModel) -> None:
    """Make agents that ask others, and those they ask; own models give them scripts of their own."""
    for name, tools in (("steward", ["agent_ask"]), ("expert", []), ("critic", [])):
        own = LanguageModel.objects.create(provider=provider, name=f"{name}-model")
        Agent.objects.create(name=name, model=own, tools=tools)
    Agent.objects.create(name="hurried", model=model, tools=["agent_ask"], run_timeout=7)
    for name, activity in (("showing", "tool_calls"), ("thinking", "reasoning"), ("hiding", "hidden")):
        Agent.objects.create(name=name, model=model, tools=["agent_ask"], tool_activity=activity)
    bare = LanguageModel.objects.create(provider=provider, name="bare-model", tools=False)
    Agent.objects.create(name="bare", model=bare, tools=["agent_ask"])


def make_keys() -> dict[str, str]:
    keys = {}
    for name in ("alice", "bob", "carol", "dave", "erin"):
        key, keys[name] = ApiKey.objects.issue(name)
        if name == "bob":
            key.agents.add(Agent.objects.get(name="listener"))
        if name == "erin":
            key.agents.set(Agent.objects.filter(name__in=["handy", "critic"]))
        if name == "carol":
            ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
        if name == "dave":
            key.revoke()
    return keys


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("base_url")
    parser.add_argument("--keys", action="store_true")
    options = parser.parse_args()
    call_command("migrate", verbosity=0)
    make_agents(options.base_url)
    print(json.dumps(make_keys() if options.keys else {}))
