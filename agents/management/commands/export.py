from typing import Any

from django.core.management.base import CommandParser

from agents.management.agent_files import export_agents
from agents.management.base import OpenFangCommand
from agents.management.lookup import find_agent
from agents.models import Agent
from agents.setup import prepare


class Command(OpenFangCommand):
    help = "Print agents as TOML, to be kept in git and read by: openfang import. It names models; it has no secrets."
    examples = ("export > agents.toml", "export coder writer")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="*", help="which agents (default: all)")

    def handle(self, *, name: list[str], **options: Any) -> None:
        prepare()
        agents = [find_agent(each) for each in name] or list(
            Agent.objects.select_related("model__provider").prefetch_related(
                "fallbacks__model__provider", "mcp_tools__server"
            )
        )
        self.stdout.write(export_agents(agents), ending="")
