"""What the commands of this project share."""

import json
import shutil
from argparse import ArgumentParser
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.core.management.base import CommandParser, DjangoHelpFormatter
from django.db import connections

from agents.models import Provider
from agents.models.changes import by_command
from agents.setup import SetupError


class HelpFormatter(DjangoHelpFormatter):
    """Leaves lines that are indented, such as the examples, as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n  " in text else super()._fill_text(text, width, indent)


class OpenFangCommand(BaseCommand):
    """A command whose help shows its own options alone, and whose errors are one line."""

    examples: Sequence[str] = ()  # what follows the program's name
    requires_system_checks = []
    suppressed_base_arguments = {
        "--version",
        "--verbosity",
        "--settings",
        "--pythonpath",
        "--traceback",
        "--no-color",
        "--force-color",
    }

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        lines = [f"  {program()} {example}" for example in self.examples]
        epilog = "\n".join([f"example{'s'[: len(lines) - 1]}:", *lines]) if lines else None
        return super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=HelpFormatter, **options)

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line; errors are left to `openfang_site.cli`, also those of the options."""
        try:
            options = vars(self.create_parser(argv[0], argv[1]).parse_args(argv[2:]))
        except CommandError as error:
            raise CommandError(f"{error}; {program()} help {argv[1]} tells more") from None
        try:
            self.execute(**options)
        finally:
            connections.close_all()

    def execute(self, *args: Any, **options: Any) -> str | None:
        name = self.__module__.rpartition(".")[2]
        try:
            with by_command(" ".join(["openfang", name, *filter(None, [options.get("action")])])):
                return super().execute(*args, **options)
        except SetupError as error:
            raise CommandError(str(error)) from error

    def write_json(self, facts: Any) -> None:
        """Print facts for programs; amounts of money and moments become texts."""
        self.stdout.write(json.dumps(facts, indent=2, ensure_ascii=False, default=str))

    def explain(self, text: str) -> None:
        """Say something beside the result, which alone goes to the standard output so that scripts can take it."""
        self.stderr.write(text, style_func=str)

    def warn_of_missing_key(self, provider: Provider) -> None:
        variable = provider.api_key_env
        if provider.why_withheld:
            self.explain(f"openfang: {provider.why_withheld}")
        elif variable and provider.key_from_environment() is None:
            self.explain(
                f"openfang: {variable} is not set here; the server needs it in its environment when it starts."
            )


def add_json(parser: ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="for programs")


def program() -> str:
    """Return how to call this program: by its name only where that is on the PATH."""
    return "openfang" if shutil.which("openfang") else "./openfang"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return the rows in columns under their headings."""
    widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)) for cells in [headings, *rows]
    ]
    return "\n".join(line.rstrip() for line in lines)


def ending(moment: datetime | None) -> str:
    return f"expires {when(moment)}" if moment else "never expires"


def when(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC" if moment else "never"


def iso(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
