import os
import re
import secrets
from argparse import ArgumentTypeError
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand
from agents.models.api_key import new_key
from agents.setup import generated_password

HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+")


class Command(OpenFangCommand):
    help = "Write the .env that docker compose needs: the secrets, made anew, and where the server is reached."
    examples = ("init-env", "init-env --host agents.example.com")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host",
            type=host_name,
            help="the name to be reached by from everywhere, with HTTPS (default: this machine only, on port 4200)",
        )
        place = str(settings.BASE_DIR / ".env")
        parser.add_argument("--file", default=place, help="- prints it (default: %(default)s)")

    def handle(self, *, host: str | None, file: str, **options: Any) -> None:
        values = environment(host)
        if file == "-":
            self.stdout.write(text(values), ending="")
            return
        write(Path(file), text(values))
        address = f"https://{host}" if host else "http://127.0.0.1:4200"
        self.stdout.write(
            f"Wrote {file}. Start with: docker compose up --detach\n\n"
            f"  Admin   {address}/admin/  (user admin, password {values['OPENFANG_ADMIN_PASSWORD']})\n"
            f"  API     {address}/v1  (key {values['OPENFANG_API_KEY']})"
        )


def environment(host: str | None) -> dict[str, str]:
    """Return fresh secrets, and where a server of that name, or else of this machine only, is reached."""
    values = {
        "OPENFANG_SECRET_KEY": secrets.token_urlsafe(50),
        "OPENFANG_ADMIN_PASSWORD": generated_password(),
        "OPENFANG_API_KEY": new_key(),
        "POSTGRES_PASSWORD": secrets.token_hex(24),  # stands in a URL
    }
    if host:
        values |= {
            "OPENFANG_SITE": host,
            "OPENFANG_HTTPS": "true",
            "OPENFANG_ALLOWED_HOSTS": host,
            "OPENFANG_BIND": "0.0.0.0",
            "OPENFANG_HTTP_PORT": "80",
            "OPENFANG_HTTPS_PORT": "443",
        }
    return values


def text(values: dict[str, str]) -> str:
    lines = [f"{name}={value}" for name, value in values.items()]
    return "\n".join(
        [
            "# Secrets: keep this file to yourself, and a copy of it with your backups.",
            "# What the database holds encrypted can be read with this OPENFANG_SECRET_KEY only.",
            *lines,
            "# Further settings and the keys of providers, such as GROQ_API_KEY, follow here.",
            "",
        ]
    )


def write(path: Path, content: str) -> None:
    """Make the file, for its owner's eyes only; secrets that are in use are never written over."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise CommandError(f"{path} is there already, and a server may need it. To begin anew, move it away.") from None
    except OSError as error:
        raise CommandError(f"{path} cannot be written ({error.strerror}).") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(content)


def host_name(value: str) -> str:
    name = value.lower()
    if not HOST_NAME.fullmatch(name):
        raise ArgumentTypeError(f"{value!r} is not a host name such as agents.example.com")
    return name
