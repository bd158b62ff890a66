from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.db import transaction
from django.db.models import Model

from agents.management.base import OpenFangCommand
from agents.models import Provider, QuarantinedEntry, StoredContent, Transcript
from agents.models.encryption import InvalidToken, rotate
from agents.setup import prepare

# The tables with an encrypted column, and how their rows are counted aloud.
ENCRYPTED: list[tuple[type[Model], str, str]] = [
    (Provider, "encrypted_api_key", "providers' keys"),
    (Transcript, "content", "transcripts"),
    (StoredContent, "content", "stored conversations"),
    (QuarantinedEntry, "content", "quarantined entries"),
]
ROWS_AT_ONCE = 200


class Command(OpenFangCommand):
    help = "Encrypt again, under a new OPENFANG_SECRET_KEY, what is stored under an old one."
    examples = ("secrets rotate",)

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
        actions.add_parser(
            "rotate", help="with the new key in OPENFANG_SECRET_KEY, the old one in OPENFANG_SECRET_KEY_FALLBACKS"
        )

    def handle(self, **options: Any) -> None:
        prepare()
        lost = 0
        for table, column, words in ENCRYPTED:
            done, unreadable = rotate_column(table, column)
            lost += unreadable
            self.stdout.write(f"{words}: {done} encrypted again" + f", {unreadable} unreadable" * bool(unreadable))
        if lost:
            raise CommandError(
                f"{lost} could not be read: their key is neither OPENFANG_SECRET_KEY nor one of its fallbacks."
            )
        self.explain("OPENFANG_SECRET_KEY_FALLBACKS is needed no more, once no server runs with the old key.")


def rotate_column(table: type[Model], column: str) -> tuple[int, int]:
    """Encrypt a column of all rows again; returns how many could be and how many could not."""
    done = unreadable = 0
    rows: Any = table._default_manager
    keys = list(rows.exclude(**{column: b""}).values_list("pk", flat=True))
    for start in range(0, len(keys), ROWS_AT_ONCE):
        # Locked in pieces: a server may be writing the same rows.
        with transaction.atomic():
            some = rows.select_for_update().filter(pk__in=keys[start : start + ROWS_AT_ONCE])
            for pk, token in some.values_list("pk", column):
                try:
                    rows.filter(pk=pk).update(**{column: rotate(bytes(token))})
                    done += 1
                except InvalidToken:
                    unreadable += 1
    return done, unreadable
