import json
from typing import Any

from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand, program, table
from agents.models import Agent
from agents.setup import prepare
from agents.snapshot import default_model, read_models


class Command(OpenFangCommand):
    help = "List the agents and their models."
    examples = ("agents", "agents --json")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="for programs")

    def handle(self, *, json: bool, **options: Any) -> None:
        prepare()
        agents = described_agents()
        if json:
            self.stdout.write(as_json(agents))
        elif agents:
            self.stdout.write(as_table(agents))
        else:
            self.stdout.write(f"There are no agents. To make one: {program()} spawn assistant")


def described_agents() -> list[dict[str, Any]]:
    models = read_models()
    default = default_model(list(models.values()))
    described = []
    for agent in Agent.objects.all():
        model = models[agent.model_id] if agent.model_id else default
        described.append(
            {
                "id": str(agent.id),
                "name": agent.name,
                "description": agent.description,
                "provider": model.provider.name if model else None,
                "model": model.name if model else None,
                "default_model": agent.model_id is None,
                "enabled": agent.enabled,
            }
        )
    return described


def as_json(agents: list[dict[str, Any]]) -> str:
    return json.dumps(agents, indent=2, ensure_ascii=False)


def as_table(agents: list[dict[str, Any]]) -> str:
    return table(
        ["NAME", "MODEL", "ENABLED", "DESCRIPTION"],
        [
            [agent["name"], model_of(agent), "yes" if agent["enabled"] else "no", agent["description"]]
            for agent in agents
        ],
    )


def model_of(agent: dict[str, Any]) -> str:
    name = f"{agent['provider']}/{agent['model']}" if agent["model"] else "none"
    return f"{name} (default)" if agent["default_model"] else name
