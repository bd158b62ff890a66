from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser
from django.db import connection
from django.db.models import Model

from agents.management.backups import restore_backup, schema_of
from agents.management.backups.progress import Progress
from agents.management.base import OpenFangCommand, program
from agents.models import Agent, ApiKey, UsageRecord

TABLES: dict[str, type[Model]] = {"agent": Agent, "key": ApiKey, "request": UsageRecord}


class Command(OpenFangCommand):
    help = (
        "Put a backup in the place of this server's data, and bring it to this version. The server must be stopped, "
        "and be without data; with --force its old data is moved away, not deleted."
    )
    examples = ("restore openfang-20261122-120000.tar.gz", "restore openfang.tar.gz --force")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file")
        parser.add_argument("--force", action="store_true", help="also where there is data, which is moved away")

    def handle(self, *, file: str, force: bool, **options: Any) -> None:
        aside = restore_backup(Path(file), Progress(self.explain), force=force)
        if aside is not None:
            also = f" and in the schema {schema_of(aside)} of the database" * (connection.vendor == "postgresql")
            self.explain(f"The old data is in {aside}{also}, for you to delete.")
        counts = {word: table._default_manager.count() for word, table in TABLES.items()}
        told = ", ".join(f"{count:,} {word}{'s' * (count != 1)}" for word, count in counts.items())
        self.stdout.write(f"Restored: {told}. To serve them: {program()} start")
