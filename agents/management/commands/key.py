import re
from argparse import ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from agents.management.base import OpenFangCommand, program, table
from agents.models import Agent, ApiKey
from agents.setup import prepare

UNITS = {"h": "hours", "d": "days", "w": "weeks"}


class Command(OpenFangCommand):
    help = "Make, list and revoke API keys."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        create = actions.add_parser("create", help="make a key and print it, this once")
        create.add_argument("name", help="whose key it is, or what for")
        create.add_argument("--agent", action="append", default=[], metavar="NAME", help="one it is for (default: all)")
        create.add_argument("--expires", type=moment, metavar="WHEN", help="30d, 12h, 4w or a date: 2027-01-01 (UTC)")
        actions.add_parser("list", help="list the keys")
        revoke = actions.add_parser("revoke", help="end a key's life; it cannot be brought back")
        revoke.add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "create":
            self.create(options["name"].strip(), options["agent"], options["expires"])
        elif action == "revoke":
            self.revoke(options["name"].strip())
        else:
            self.list()

    def create(self, name: str, agent_names: list[str], expires_at: datetime | None) -> None:
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise CommandError("The name of a key is 1 to 100 printable characters.")
        if ApiKey.objects.filter(name=name).exists():
            raise CommandError(f"There is a key named {name!r} already, or was: names are not used again.")
        agents = [find_agent(agent_name) for agent_name in agent_names]
        first = not ApiKey.objects.exists()
        with transaction.atomic():
            key, raw = ApiKey.objects.issue(name, expires_at=expires_at)
            key.agents.set(agents)
        scope = ", ".join(agent.name for agent in agents) or "all agents"
        self.explain(f"Made the key {name} for {scope}; it expires {when(expires_at)}.")
        if first:
            self.explain("It is the first one: from now on every request needs a key.")
        self.explain("Keep it, it is not shown again:")
        self.stdout.write(raw)

    def list(self) -> None:
        keys = ApiKey.objects.prefetch_related("agents")
        if not keys:
            self.stdout.write(f"There are no keys. To make one: {program()} key create NAME")
            return
        headings = ["NAME", "KEY", "AGENTS", "CREATED", "EXPIRES", "STATE"]
        rows = [
            [key.name, f"{key.prefix}…", scope(key), f"{key.created_at:%Y-%m-%d}", when(key.expires_at), state(key)]
            for key in keys
        ]
        self.stdout.write(table(headings, rows))

    def revoke(self, name: str) -> None:
        key = ApiKey.objects.filter(name=name).first()
        if key is None:
            raise CommandError(f"There is no key named {name!r}; {program()} key list shows them.")
        if key.revoked_at is not None:
            self.stdout.write(f"The key {name} was revoked already, on {key.revoked_at:%Y-%m-%d}.")
            return
        key.revoke()
        self.stdout.write(f"Revoked the key {name}.")


def moment(text: str) -> datetime:
    """Read a span from now or a date, of which the first moment counts."""
    if span := re.fullmatch(r"(\d{1,4})([hdw])", text):
        expires = timezone.now() + timedelta(**{UNITS[span[2]]: int(span[1])})
    else:
        try:
            expires = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise ArgumentTypeError(f"{text!r} is neither a span such as 30d nor a date such as 2027-01-01") from None
    if expires <= timezone.now():
        raise ArgumentTypeError(f"{text} is not in the future")
    return expires


def find_agent(name: str) -> Agent:
    agent = Agent.objects.filter(name=name.strip().lower()).first()
    if agent is None:
        names = ", ".join(Agent.objects.values_list("name", flat=True)) or "there are none"
        raise CommandError(f"There is no agent {name!r}. Agents: {names}.")
    return agent


def scope(key: ApiKey) -> str:
    """Say which agents a key opens."""
    names = ", ".join(agent.name for agent in key.agents.all())
    return names or ("none any more" if key.limited else "all")


def when(expires_at: datetime | None) -> str:
    return f"{expires_at:%Y-%m-%d %H:%M} UTC" if expires_at else "never"


def state(key: ApiKey) -> str:
    if key.revoked_at:
        return "revoked"
    return "expired" if key.expires_at and key.expires_at <= timezone.now() else "valid"
