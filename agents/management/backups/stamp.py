"""What a backup says of itself: which version has made it, when, and of what."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from django.core.management import CommandError
from django.db import connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from agents import __version__

FORMAT, VERSION = "openfang-backup", 1
NAME = "backup.json"
ENGINES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@dataclass(frozen=True)
class Stamp:
    engine: str
    made_at: str
    openfang: str
    migrations: list[str]
    format: str = FORMAT
    version: int = VERSION

    @classmethod
    def of_this_server(cls) -> "Stamp":
        applied = sorted(".".join(migration) for migration in MigrationRecorder(connection).applied_migrations())
        return cls(connection.vendor, datetime.now(UTC).isoformat(timespec="seconds"), __version__, applied)

    @classmethod
    def read(cls, text: bytes) -> "Stamp":
        """Read the stamp of a backup that this server can restore. Raises CommandError."""
        try:
            stamp = cls(**json.loads(text))
        except (ValueError, TypeError):
            raise CommandError(
                "This is not a backup of OpenFang, or one of a version that is newer than this."
            ) from None
        if (stamp.format, stamp.version) != (FORMAT, VERSION):
            raise CommandError(
                f"This backup's form {stamp.version!r} is not known to OpenFang {__version__}. Update it."
            )
        return stamp

    def text(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"

    def check(self) -> None:
        """Refuse a backup that this server could not serve. Raises CommandError."""
        if self.engine != connection.vendor:
            ours, its = ENGINES.get(connection.vendor, connection.vendor), ENGINES.get(self.engine, self.engine)
            raise CommandError(f"This is a backup of {its}, and DATABASE_URL names {ours}: it goes into {its} only.")
        known = {".".join(migration) for migration in MigrationLoader(None).disk_migrations}
        if unknown := sorted(set(self.migrations) - known):
            raise CommandError(
                f"OpenFang {self.openfang} has made this backup, and {__version__} does not know its migration "
                f"{unknown[0]}. Update OpenFang."
            )
