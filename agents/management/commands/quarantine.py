from collections.abc import Sequence
from typing import Any
from uuid import UUID

from django.core.management import CommandError
from django.core.management.base import CommandParser

from agents.management.base import OpenFangCommand, add_json, program, table, when
from agents.models import QuarantinedEntry, UsageRecord
from agents.models.encryption import InvalidToken
from agents.models.usage import request_id
from agents.setup import prepare


class Command(OpenFangCommand):
    help = (
        "List, retry or drop the texts of requests that the database refused. Their usage rows were written without "
        "them: tool names and arguments, error texts, stored conversations."
    )
    examples = ("quarantine list", "quarantine retry", "quarantine drop req_0193f5a2c3d47e8f9a0b1c2d3e4f5a6b")

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        add_json(actions.add_parser("list", help="list the requests, oldest first, and why each was refused"))
        retry = actions.add_parser("retry", help="write the texts into their requests, for example after an update")
        retry.add_argument("request", nargs="*", help="the id of a request (default: all)")
        drop = actions.add_parser("drop", help="delete the texts for good; the usage rows stay")
        drop.add_argument("request", nargs="*", help="the id of a request")
        drop.add_argument("--all", action="store_true", help="of all requests")

    def handle(self, *, action: str, **options: Any) -> None:
        prepare()
        if action == "list":
            self.list(as_json=options["json"])
        elif action == "retry":
            self.retry(ids_of(options["request"]))
        else:
            self.drop(options["request"], everything=options["all"])

    def list(self, *, as_json: bool) -> None:
        rows = QuarantinedEntry.objects.defer("content").order_by("created_at")
        if as_json:
            self.write_json([facts_of(row) for row in rows])
        elif not rows:
            self.stdout.write("Nothing is in quarantine.")
        else:
            cells = [[str(row), when(row.created_at), when(row.expires_at), row.reason] for row in rows]
            self.stdout.write(table(["REQUEST", "SINCE", "UNTIL", "REASON"], cells))

    def retry(self, ids: Sequence[UUID]) -> None:
        refused = restored = 0
        for pk in ids or list(QuarantinedEntry.objects.order_by("created_at").values_list("pk", flat=True)):
            if failure := restoring(pk):
                self.explain(f"req_{pk.hex}: {failure}")
                refused += 1
            else:
                restored += 1
        self.stdout.write(f"Restored the texts of {restored} request{'s' * (restored != 1)}.")
        if refused:
            raise CommandError(f"{refused} could not be restored; {program()} quarantine drop deletes them.")

    def drop(self, requests: Sequence[str], *, everything: bool) -> None:
        if everything == bool(requests):
            raise CommandError("Name the requests to drop, or --all.")
        rows = (
            QuarantinedEntry.objects.all() if everything else QuarantinedEntry.objects.filter(pk__in=ids_of(requests))
        )
        dropped, _ = rows.delete()
        self.stdout.write(f"Dropped the texts of {dropped} request{'s' * (dropped != 1)}.")


def ids_of(requests: Sequence[str]) -> list[UUID]:
    """Return the ids of quarantined requests. Raises CommandError for one that is not in quarantine."""
    ids = []
    for text in requests:
        pk = request_id(text)
        if pk is None or not QuarantinedEntry.objects.filter(pk=pk).exists():
            raise CommandError(f"Request {text!r} is not in quarantine; {program()} quarantine list shows what is.")
        ids.append(pk)
    return ids


def restoring(pk: UUID) -> str:
    """Restore a request's texts; return why that failed, or nothing."""
    from agents.usage.failures import words
    from agents.usage.quarantine import restore

    try:
        restore(QuarantinedEntry.objects.get(pk=pk))
    except InvalidToken:
        return "It was encrypted under another secret key."
    except UsageRecord.DoesNotExist:
        return "Its usage row has been deleted."
    except Exception as error:  # whatever the database says this time; the next one may be restored
        return f"It is refused again: {words(error)}"
    return ""


def facts_of(row: QuarantinedEntry) -> dict[str, Any]:
    return {"request": str(row), "since": row.created_at, "until": row.expires_at, "reason": row.reason}
