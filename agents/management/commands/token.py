from datetime import datetime
from typing import Any

from django.contrib.auth.models import User
from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.arguments import limit, moment
from agents.management.base import OpenFangCommand, add_json, ending, iso, program, table, when
from agents.models import AdminToken, Scope
from agents.models.admin_token import REQUESTS_PER_MINUTE
from agents.setup import prepare


class Command(OpenFangCommand):
    help = "Make, list and revoke admin tokens: what programs manage this server with, over /api."
    examples = ("token create deployment --scope agents:write --expires 90d", "token list --json")

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        create = actions.add_parser("create", help="make a token and print it, this once")
        create.add_argument("name", help="what it is for")
        create.add_argument(
            "--scope",
            action="append",
            required=True,
            choices=Scope.values,
            metavar="SCOPE",
            help=f"what it may do, once for each: {', '.join(Scope.values)}",
        )
        create.add_argument("--expires", type=moment, metavar="WHEN", help="30d, 12h, 4w or a date: 2027-01-01 (UTC)")
        create.add_argument("--user", metavar="NAME", help="in whose name it acts (default: the first administrator)")
        create.add_argument(
            "--rpm",
            type=limit,
            default=REQUESTS_PER_MINUTE,
            metavar="N",
            help=f"requests a minute; 0 is no limit (default: {REQUESTS_PER_MINUTE})",
        )
        add_json(actions.add_parser("list", help="list the tokens"))
        revoke = actions.add_parser("revoke", help="end a token's life; it cannot be brought back")
        revoke.add_argument("name")

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "create":
            self.create(**options)
        elif action == "revoke":
            self.revoke(options["name"].strip())
        else:
            self.list(as_json=options["json"])

    def create(
        self, *, name: str, scope: list[str], expires: datetime | None, user: str | None, rpm: int, **_: Any
    ) -> None:
        name = name.strip()
        if not 1 <= len(name) <= 100 or not name.isprintable():
            raise CommandError("The name of a token is 1 to 100 printable characters.")
        if AdminToken.objects.filter(name=name).exists():
            raise CommandError(f"There is a token named {name!r} already, or was: names are not used again.")
        owner = find_user(user)
        scopes = list(dict.fromkeys(scope))
        _token, raw = AdminToken.objects.issue(name, owner, scopes, expires_at=expires, requests_per_minute=rpm)
        self.explain(f"Made the token {name} for {', '.join(scopes)}, in the name of {owner.username};")
        self.explain(f"it {ending(expires)}. Keep it, it is not shown again:")
        self.stdout.write(raw)

    def list(self, *, as_json: bool) -> None:
        tokens = AdminToken.objects.select_related("owner")
        if as_json:
            self.write_json([facts_of(token) for token in tokens])
            return
        if not tokens:
            self.stdout.write(f"There are no tokens. To make one: {program()} token create NAME --scope agents:read")
            return
        headings = ["NAME", "TOKEN", "OWNER", "SCOPES", "CREATED", "LAST USED", "EXPIRES", "STATE"]
        rows = [
            [
                token.name,
                f"{token.prefix}…",
                token.owner.username,
                " ".join(token.scopes),
                f"{token.created_at:%Y-%m-%d}",
                when(token.last_used_at),
                when(token.expires_at),
                state(token),
            ]
            for token in tokens
        ]
        self.stdout.write(table(headings, rows))

    def revoke(self, name: str) -> None:
        token = AdminToken.objects.filter(name=name).first()
        if token is None:
            raise CommandError(f"There is no token named {name!r}; {program()} token list shows them.")
        if token.revoked_at is not None:
            self.stdout.write(f"The token {name} was revoked already, on {token.revoked_at:%Y-%m-%d}.")
            return
        token.revoke()
        self.stdout.write(f"Revoked the token {name}.")


def state(token: AdminToken) -> str:
    return token.state if token.owner.is_active and token.owner.is_staff else "owner inactive"


def facts_of(token: AdminToken) -> dict[str, Any]:
    """Return what programs may know of a token: everything but its characters."""
    return {
        "name": token.name,
        "prefix": token.prefix,
        "owner": token.owner.username,
        "scopes": token.scopes,
        "requests_per_minute": token.requests_per_minute or None,
        "created_at": iso(token.created_at),
        "last_used_at": iso(token.last_used_at),
        "expires_at": iso(token.expires_at),
        "state": state(token),
    }


def find_user(name: str | None) -> User:
    """Return who is named, or else the first administrator; somebody who may use the web admin."""
    able = User.objects.filter(is_active=True, is_staff=True)
    if name is None:
        user = able.filter(is_superuser=True).order_by("pk").first()
        if user is None:
            raise CommandError(f"There is no administrator yet: {program()} start makes one. Or name a --user.")
        return user
    user = able.filter(username=name).first()
    if user is None:
        names = ", ".join(able.values_list("username", flat=True)) or "there are none"
        raise CommandError(f"There is nobody named {name!r} who may use the web admin. People: {names}.")
    return user
