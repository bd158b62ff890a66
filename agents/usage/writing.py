"""Commits entries in batches, so that one that the database refuses costs neither its neighbours nor its own row.

A failed batch is halved until what fails stands alone. An opening row that is refused fails its request at once. A
closing row is written with less: without the texts, then without the steps; what is left out goes to quarantine in the
same transaction. Only a database that does not answer has everything tried again, later and in order.
"""

import logging
from collections.abc import Iterator, Sequence

from django.db import connection, models
from django.db.models import F

from agents.errors import UsageNotRecorded
from agents.limits.turns import own_turn
from agents.models import QuarantinedEntry, UsageRecord, UsageStep, Worker
from agents.sql.rows import new_row
from agents.usage.entries import Entry, commit_entries
from agents.usage.failures import AWAY, is_machine, note, words
from agents.usage.quarantine import RECORD_TEXTS, set_aside

logger = logging.getLogger(__name__)

# Commits that failed as if the database were away, while it answered: after so many the entry is to blame.
MOST_TRIES = 5
STEP_TEXTS = {
    field.attname: "(set aside)" if field.name == "name" else ""
    for field in UsageStep._meta.concrete_fields
    if isinstance(field, models.CharField | models.TextField) and field.name not in ("kind", "token_source")
}


def write(entries: Sequence[Entry]) -> tuple[list[Entry], list[Entry]]:
    """Commit entries; return those that are settled, with or without a failure, and those to try again."""
    settled: list[Entry] = []
    batches = [list(entries)]
    while batches:
        batch = batches.pop()
        try:
            commit_entries(batch)
        except Exception as error:
            if _is_away(batch, error):
                return settled, _flattened(batch, batches)
            if len(batch) > 1:
                middle = len(batch) // 2
                batches += [batch[middle:], batch[:middle]]
                continue
            if not _settle(batch[0], error):
                return settled, _flattened(batch, batches)
        settled += batch
    return settled, []


def answers() -> bool:
    """Say whether the database can be written to at this moment, by a write that changes nothing."""
    try:
        with own_turn():
            Worker.objects.update(lease_expires_at=F("lease_expires_at"))
            return True
    except AWAY:
        connection.close()
        return False


def _flattened(batch: list[Entry], later: list[list[Entry]]) -> list[Entry]:
    return [entry for some in (batch, *reversed(later)) for entry in some]


def _is_away(batch: list[Entry], error: Exception) -> bool:
    """Say whether a batch failed because the database does not answer, and not because of one of its entries."""
    if not isinstance(error, AWAY):
        return False
    connection.close()
    if not is_machine(error) and answers():
        for entry in batch:
            entry.tries += 1
        if max(entry.tries for entry in batch) >= MOST_TRIES:
            return False
    logger.warning("Usage could not be written, it will be tried again: %s", words(error))
    return True


def _settle(entry: Entry, error: Exception) -> bool:
    """Deal with an entry that the database refuses; false if the database is gone meanwhile."""
    note("entry", f"The database refused the usage row of request {entry.row.pk}", error)
    if entry.opens:
        entry.failure = UsageNotRecorded(
            "The database refused the usage row of this request; the server's log says why."
        )
        return True
    try:
        aside = set_aside(entry, error)
    except Exception as failure:
        note("entry", f"The texts of request {entry.row.pk} are lost, they could not be set aside", failure)
        aside = None
    for less in _with_less(entry):
        try:
            with own_turn():
                commit_entries([less])
                if aside is not None:
                    aside.save()
            return True
        except Exception as failure:
            if isinstance(failure, AWAY) and (is_machine(failure) or not answers()):
                return False
            logger.warning("The row of request %s is refused with less, too: %s", entry.row.pk, words(failure))
    _keep_whole(entry, aside)
    return True


def _with_less(entry: Entry) -> Iterator[Entry]:
    """Yield the entry without its texts, then the row alone. Tokens, cost, status and what it held are in both."""
    steps = [new_row(UsageStep, **vars(step) | STEP_TEXTS) for step in entry.steps or ()]
    yield Entry(entry.row, entry.committed, steps, hold=entry.hold)
    row = new_row(UsageRecord, **vars(entry.row) | dict.fromkeys(RECORD_TEXTS, ""))
    yield Entry(row, entry.committed, [], hold=entry.hold)


def _keep_whole(entry: Entry, aside: QuarantinedEntry | None) -> None:
    """Keep an entry that is refused in every form, so that it can be closed once the fault is mended."""
    entry.failure = UsageNotRecorded("The database refused the usage row of this request; the server's log says why.")
    try:
        if aside is not None:
            aside.save()
    except Exception as failure:
        note("entry", f"The usage of request {entry.row.pk} is lost, it could not be set aside", failure)
