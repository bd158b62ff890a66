import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand
from openfang_site.supply_chain import locks


class Command(OpenFangCommand):
    help = (
        "Write the lock files: for each requirements*.txt, every package that it brings, with the hashes of its files. "
        "Versions that are locked stay unless a requirement or --upgrade changes them."
    )
    examples = ("lock", "lock --upgrade", "lock --check")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--upgrade", action="store_true", help="take the newest version of what is not pinned")
        parser.add_argument("--check", action="store_true", help="write nothing; fail if a lock file is out of date")

    def handle(self, *, upgrade: bool, check: bool, **options: Any) -> None:
        if not (settings.BASE_DIR / "requirements.txt").exists():
            raise CommandError("There is no requirements.txt here. Run it in a clone of the repository.")
        if not check:
            self._write(["--upgrade"] if upgrade else [])
        try:
            problems = locks.problems(settings.BASE_DIR)
        except ValueError as error:
            raise CommandError(f"{error}.") from None
        if problems:
            raise CommandError(f"The lock files are out of date: {'; '.join(problems)}. To write them: ./openfang lock")
        self.stdout.write(f"{len(locks.REQUIREMENTS)} lock files agree with the requirements.")

    def _write(self, options: list[str]) -> None:
        if find_spec("uv") is None:
            raise CommandError("uv is not installed: pip install -r requirements-dev.lock")
        for requirements, shared in locks.REQUIREMENTS.items():
            constraints = [word for lock in shared for word in ("--constraints", lock)]
            alone = ["--no-deps"] if requirements == locks.NO_DEPENDENCIES else []
            files = [requirements, "--output-file", locks.lock_of(requirements)]
            compiled = subprocess.run(
                [sys.executable, "-m", "uv", "pip", "compile", "--quiet", *options, *alone, *constraints, *files],
                cwd=settings.BASE_DIR,
                capture_output=True,
                text=True,
                check=False,
            )
            if compiled.returncode:
                raise CommandError(f"uv could not resolve {requirements}: {compiled.stderr.strip()}")
