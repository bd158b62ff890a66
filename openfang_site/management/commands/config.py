import os
import re
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandParser

from agents.catalog import load_catalog
from agents.management.base import OpenFangCommand, add_json, table
from agents.redaction import Redaction
from openfang_site.env import DEFAULTS

SECRET = re.compile(r"(KEY|KEYS|TOKEN|SECRET|PASSWORD|FALLBACKS|WEBHOOK)$")
IN_DATA_DIR = "the file secret_key in the data directory"
ENVIRONMENT, DEFAULT = "environment", "default"


class Command(OpenFangCommand):
    help = "List every setting, what it is, and where that comes from; of secrets only whether they are set."
    examples = ("config", "config --json")

    def add_arguments(self, parser: CommandParser) -> None:
        add_json(parser)

    def handle(self, *, json: bool, **options: Any) -> None:
        facts = [setting(name) for name in DEFAULTS] + [setting(name) for name in provider_keys()]
        if json:
            self.write_json(facts)
            return
        rows = [[fact["name"], shown(fact), fact["source"]] for fact in facts]
        self.stdout.write(table(["SETTING", "VALUE", "FROM"], rows))
        if unread := [name for name in names_in(settings.BASE_DIR / ".env") if name not in os.environ]:
            self.explain(
                f"{settings.BASE_DIR / '.env'} is read by docker compose only; not set here: {', '.join(unread)}"
            )


def setting(name: str) -> dict[str, Any]:
    given = os.environ.get(name, "").strip()
    source = ENVIRONMENT if given else DEFAULT
    if name == "OPENFANG_SECRET_KEY" and not given:
        given, source = settings.SECRET_KEY, IN_DATA_DIR
    value = given or written(DEFAULTS.get(name, ""))
    is_secret = bool(SECRET.search(name))
    if not is_secret:
        value = Redaction({})(value)  # the password of a URL
    return {
        "name": name,
        "value": None if is_secret else value,
        "source": source,
        **({"secret": True, "set": bool(value)} if is_secret else {}),
    }


def written(value: Any) -> str:
    """Return a default as it would stand in the environment."""
    match value:
        case bool():
            return "true" if value else "false"
        case list():
            return ", ".join(value)
        case _:
            return str(value)


def shown(fact: dict[str, Any]) -> str:
    if fact.get("secret"):
        return "(set, not shown)" if fact["set"] else "-"
    return fact["value"] or "-"


def provider_keys() -> list[str]:
    """Return the variables of known providers' keys that are set here: no settings, but read like them."""
    names = dict.fromkeys(provider.api_key_env for provider in load_catalog().providers)
    return [name for name in names if name and name not in DEFAULTS and os.environ.get(name, "").strip()]


def names_in(path: Path) -> list[str]:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return []
    return [line.partition("=")[0].strip() for line in lines if "=" in line and not line.lstrip().startswith("#")]
