import json
import subprocess
import sys
from importlib.util import find_spec
from typing import Any

from django.conf import settings
from django.core.management import CommandError

from agents.management.base import OpenFangCommand, table

SECONDS = 300
OPTIONS = ["--local", "--skip-editable", "--format=json", "--vulnerability-service=osv", "--progress-spinner=off"]


class Command(OpenFangCommand):
    help = "Ask the OSV database of advisories about the packages that are installed beside this server."
    examples = ("audit",)

    def handle(self, **options: Any) -> None:
        if find_spec("pip_audit") is None:
            raise CommandError("pip-audit is not installed: pip install -r requirements-dev.lock")
        try:
            asked = subprocess.run(
                [sys.executable, "-m", "pip_audit", *OPTIONS],
                cwd=settings.BASE_DIR,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise CommandError(
                f"The advisory service gave no answer within {SECONDS} s: nothing was audited."
            ) from None
        try:
            packages = json.loads(asked.stdout)["dependencies"]
        except (ValueError, KeyError):
            why = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise CommandError(
                f"The advisory service cannot be reached, so nothing was audited ({why.partition('(')[0][:120]})."
            ) from None
        found = [
            [package["name"], package["version"], advisory["id"], ", ".join(advisory["fix_versions"]) or "none yet"]
            for package in packages
            for advisory in package.get("vulns", ())
        ]
        if found:
            self.stdout.write(table(["PACKAGE", "VERSION", "ADVISORY", "FIXED IN"], found))
            raise CommandError(f"{len(found)} advisories for {len(packages)} packages.")
        self.stdout.write(f"No advisories for {len(packages)} packages.")
