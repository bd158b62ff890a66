from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db import transaction

from agents.management.arguments import amount, limit, moment, span
from agents.management.base import OpenFangCommand, add_json, ending, iso, program, table, when
from agents.management.lookup import find_agent, find_key
from agents.models import ApiKey, Budget, Period, Unit
from agents.models.api_key import MOST_PARALLEL
from agents.networks import read_networks
from agents.setup import prepare

LIMITS = {"rpm": "requests_per_minute", "tpm": "tokens_per_minute", "parallel": "max_parallel_requests"}


class Command(OpenFangCommand):
    help = "Make, list, rotate and revoke API keys."
    examples = (
        "key create alice --agent coder --expires 30d --rpm 60",
        "key list --json",
        "key rotate alice --overlap 7d",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        create = actions.add_parser("create", help="make a key and print it, this once")
        create.add_argument("name", help="whose key it is, or what for")
        create.add_argument(
            "--agent",
            action="append",
            default=[],
            metavar="NAME",
            help="one it is for; say it again for more (default: all)",
        )
        create.add_argument("--expires", type=moment, metavar="WHEN", help="30d, 12h, 4w or a date: 2027-01-01 (UTC)")
        create.add_argument("--owner", default="", help="who answers for it")
        create.add_argument("--rpm", type=limit, default=0, metavar="N", help="requests a minute")
        create.add_argument("--tpm", type=limit, default=0, metavar="N", help="tokens a minute")
        create.add_argument("--parallel", type=parallel, default=0, metavar="N", help="requests at once")
        create.add_argument("--network", action="append", default=[], metavar="CIDR", help="where it may be used from")
        create.add_argument("--budget", type=budget, metavar="USD/PERIOD", help="such as 20/month or 1.50/day")
        add_json(actions.add_parser("list", help="list the keys"))
        rotate = actions.add_parser("rotate", help="give a key new characters and print them, this once")
        rotate.add_argument("name")
        rotate.add_argument(
            "--overlap",
            type=span,
            default=timedelta(hours=24),
            metavar="SPAN",
            help="how long the old ones stay good: 0h, 24h, 7d (default: 24h)",
        )
        revoke = actions.add_parser("revoke", help="end a key's life; it cannot be brought back")
        revoke.add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "create":
            self.create(**options)
        elif action == "rotate":
            self.rotate(options["name"].strip(), options["overlap"])
        elif action == "revoke":
            self.revoke(options["name"].strip())
        else:
            self.list(as_json=options["json"])

    def create(
        self,
        *,
        name: str,
        agent: list[str],
        expires: datetime | None,
        owner: str,
        network: list[str],
        budget: tuple[int, Period] | None,
        **options: Any,
    ) -> None:
        name = name.strip()
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise CommandError("The name of a key is 1 to 100 printable characters.")
        if ApiKey.objects.filter(name=name).exists():
            raise CommandError(f"There is a key named {name!r} already, or was: names are not used again.")
        agents = [find_agent(agent_name) for agent_name in agent]
        opened = not ApiKey.objects.needed()
        limits = {field: options[option] for option, field in LIMITS.items()}
        with transaction.atomic():
            key, raw = ApiKey.objects.issue(
                name, owner=owner[:100], expires_at=expires, networks=networks(network), **limits
            )
            key.agents.set(agents)
            if budget is not None:
                Budget.objects.create(api_key=key, limit=budget[0], period=budget[1], unit=Unit.USD)
        scope = ", ".join(found.name for found in agents) or "all agents"
        self.explain(f"Made the key {name} for {scope}; it {ending(expires)}.")
        if opened:
            self.explain("It is the first one: from now on every request needs a key.")
        self.explain("Keep it, it is not shown again:")
        self.stdout.write(raw)

    def rotate(self, name: str, overlap: timedelta) -> None:
        key = find_key(name)
        if key.revoked_at is not None:
            raise CommandError(f"The key {name} was revoked; make another one: {program()} key create NAME")
        raw = key.rotate(overlap)
        self.explain(f"The old key {name} is good until {when(key.previous_until)}. The new one, not shown again:")
        self.stdout.write(raw)

    def list(self, *, as_json: bool) -> None:
        keys = ApiKey.objects.prefetch_related("agents")
        if as_json:
            self.write_json([facts_of(key) for key in keys])
            return
        if not keys:
            self.stdout.write(f"There are no keys. To make one: {program()} key create NAME")
            return
        headings = ["NAME", "KEY", "AGENTS", "LIMITS", "CREATED", "LAST USED", "EXPIRES", "STATE"]
        rows = [
            [
                key.name,
                f"{key.prefix}…",
                scope(key),
                limits(key),
                f"{key.created_at:%Y-%m-%d}",
                when(key.last_used_at),
                when(key.expires_at),
                key.state,
            ]
            for key in keys
        ]
        self.stdout.write(table(headings, rows))

    def revoke(self, name: str) -> None:
        key = find_key(name)
        if key.revoked_at is not None:
            self.stdout.write(f"The key {name} was revoked already, on {key.revoked_at:%Y-%m-%d}.")
            return
        key.revoke()
        self.stdout.write(f"Revoked the key {name}.")


def facts_of(key: ApiKey) -> dict[str, Any]:
    """Return what programs may know of a key: everything but its characters."""
    return {
        "id": str(key.pk),
        "name": key.name,
        "prefix": key.prefix,
        "owner": key.owner,
        "agents": [agent.name for agent in key.agents.all()] if key.limited else None,
        **{field: getattr(key, field) or None for field in LIMITS.values()},
        "networks": key.networks,
        "created_at": iso(key.created_at),
        "last_used_at": iso(key.last_used_at),
        "expires_at": iso(key.expires_at),
        "revoked_at": iso(key.revoked_at),
        "state": key.state,
    }


def parallel(text: str) -> int:
    if limit(text) > MOST_PARALLEL:
        raise ArgumentTypeError(f"{text} is more than {MOST_PARALLEL}")
    return limit(text)


def budget(text: str) -> tuple[int, Period]:
    """Read an amount of dollars and its period, a month unless a day is named."""
    dollars, _, period = text.partition("/")
    if period not in ("", *Period):
        raise ArgumentTypeError(f"{text!r} is not a budget such as 20/month or 1.50/day")
    return amount(dollars, Unit.USD), Period(period or Period.MONTH)


def networks(texts: list[str]) -> str:
    text = ", ".join(texts)
    try:
        read_networks(text)
    except ValueError as error:
        raise CommandError(str(error)) from None
    return text


def scope(key: ApiKey) -> str:
    """Say which agents a key opens."""
    names = ", ".join(agent.name for agent in key.agents.all())
    return names or ("none any more" if key.limited else "all")


def limits(key: ApiKey) -> str:
    """Say what a minute and a moment allow, in the words of the options that set it."""
    return " ".join(f"{option}={getattr(key, field)}" for option, field in LIMITS.items() if getattr(key, field)) or "-"
