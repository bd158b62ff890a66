"""What the commands of this project share."""

import shutil
from collections.abc import Sequence
from typing import Any

from django.core.management import BaseCommand, CommandError
from django.db import connections

from agents.models import Provider
from agents.setup import SetupError


class OpenFangCommand(BaseCommand):
    """A command whose help shows its own options alone, and whose errors are one line."""

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

    def run_from_argv(self, argv: list[str]) -> None:
        """Run from the command line; errors are left to `openfang_site.cli`, also those of the options."""
        options = vars(self.create_parser(argv[0], argv[1]).parse_args(argv[2:]))
        try:
            self.execute(**options)
        finally:
            connections.close_all()

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            return super().execute(*args, **options)
        except SetupError as error:
            raise CommandError(str(error)) from error

    def explain(self, text: str) -> None:
        """Say something beside the result, which alone goes to the standard output so that scripts can take it."""
        self.stderr.write(text, style_func=str)

    def warn_of_missing_key(self, provider: Provider) -> None:
        variable = provider.api_key_env
        if variable and provider.key_from_environment() is None:
            self.explain(
                f"openfang: {variable} is not set here; the server needs it in its environment when it starts."
            )


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
