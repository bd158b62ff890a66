import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.backups import make_backup
from agents.management.backups.progress import Progress
from agents.management.base import OpenFangCommand


class Command(OpenFangCommand):
    help = (
        "Back the server up into one file, also while it runs: the database, the secret key and the agents' "
        "workspaces. Providers' keys in environment variables are not in it."
    )
    examples = ("backup", "backup /mnt/backups/openfang.tar.gz", "backup - | ssh vault 'cat > openfang.tar.gz'")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", help="- is the standard output (default: one in the data directory)")

    def handle(self, *, file: str | None, **options: Any) -> None:
        progress = Progress(self.explain)
        if file == "-":
            if sys.stdout.isatty():
                raise CommandError("A backup is no text for a terminal: name a file, or send it on.")
            with tempfile.TemporaryDirectory(dir=settings.OPENFANG_DATA_DIR, prefix=".openfang-backup-") as directory:
                path = Path(directory, "backup.tar.gz")
                make_backup(path, progress)
                with open(path, "rb") as backup:
                    shutil.copyfileobj(backup, sys.stdout.buffer)
                sys.stdout.buffer.flush()
        else:
            path = Path(file) if file else default_path()
            make_backup(path, progress)
            self.stdout.write(str(path))
        self.explain("It holds the secret key beside what that opens: keep it where nobody else can read it.")


def default_path() -> Path:
    backups: Path = settings.OPENFANG_DATA_DIR / "backups"
    return backups / f"openfang-{datetime.now(UTC):%Y%m%d-%H%M%S}.tar.gz"
