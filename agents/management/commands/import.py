from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.agent_files import import_files
from agents.management.base import OpenFangCommand
from agents.setup import prepare


class Command(OpenFangCommand):
    help = (
        "Make this server's agents like those of files that openfang export has written, telling what changes. "
        "If anything is wrong, nothing is changed. It reads the web admin's JSON, and agent.toml of the original "
        "OpenFang, too."
    )
    examples = ("import agents.toml --dry-run", "import agents.toml --prune", "import ~/openfang/agents/*/agent.toml")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="+", help="- is the standard input")
        parser.add_argument("--prune", action="store_true", help="delete the agents that are not in the files")
        parser.add_argument("--dry-run", action="store_true", help="only tell what would change")

    def handle(self, *, file: list[str], prune: bool, dry_run: bool, **options: Any) -> None:
        if file.count("-") > 1:
            raise CommandError("The standard input can be read once.")
        prepare()
        import_files(self, file, prune=prune, dry_run=dry_run)
