from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from agents.management.base import add_json
from agents.management.commands.provider import Command as ProviderCommand


class Command(ProviderCommand):
    help = "List the LLM APIs that agents use, and which of them have a key here: the same as provider list."
    examples: Sequence[str] = ("providers",)

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, **options: Any) -> None:
        super().handle(action="list", **options)
