import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.utils import timezone

from agents.management.base import OpenFangCommand
from agents.setup import prepare
from agents.usage import retention

PAUSE = 0.02  # in which a serving process gets its turn


class Command(OpenFangCommand):
    help = (
        "Delete requests that are older than some days, with their steps, prompts and answers; the sums of them stay. "
        "It may run beside the server, and be interrupted."
    )
    examples = ("prune --days 90",)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--days",
            type=number_of_days,
            default=settings.OPENFANG_USAGE_DAYS,
            help="keep the requests of so many days (default: OPENFANG_USAGE_DAYS, %(default)s)",
        )

    def handle(self, *, days: int, **options: Any) -> None:
        if not days:
            raise CommandError("OPENFANG_USAGE_DAYS is not set, so nothing is ever old: name the --days to keep.")
        prepare()
        before = timezone.now() - timedelta(days=days)
        requests = self.repeat(partial(retention.delete_requests, before), "requests")
        for table in retention.EXPIRING:
            self.repeat(partial(retention.delete_expired, table), table._meta.verbose_name_plural)
        self.stdout.write(f"Deleted {requests:,} requests from before {before:%Y-%m-%d %H:%M} UTC.")

    def repeat(self, delete: Callable[[], int], what: Any) -> int:
        """Delete in batches, each for good, until nothing is left."""
        total = 0
        while deleted := delete():
            total += deleted
            if sys.stderr.isatty():
                self.stderr.write(f"\r{total:,} {what}", style_func=str, ending="")
            time.sleep(PAUSE)
        if total and sys.stderr.isatty():
            self.stderr.write("")
        return total


def number_of_days(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 36500):
        raise ArgumentTypeError(f"{text!r} is not a number of days from 1 to 36500")
    return int(text)
