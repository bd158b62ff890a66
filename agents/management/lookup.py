"""The rows that a command line names. Each raises CommandError where there is none of that name."""

from django.core.management import CommandError

from agents.management.base import program
from agents.models import Agent, ApiKey, Provider


def find_agent(name: str) -> Agent:
    agent = Agent.objects.filter(name=name.strip().lower()).first()
    if agent is None:
        names = ", ".join(Agent.objects.values_list("name", flat=True)) or "there are none"
        raise CommandError(f"There is no agent {name!r}. Agents: {names}.")
    return agent


def find_key(name: str) -> ApiKey:
    key = ApiKey.objects.filter(name=name).first()
    if key is None:
        raise CommandError(f"There is no key named {name!r}; {program()} key list shows them.")
    return key


def find_provider(name: str) -> Provider:
    provider = Provider.objects.filter(name=name).first()
    if provider is None:
        raise CommandError(f"There is no provider {name!r}; {program()} provider list shows them.")
    return provider
