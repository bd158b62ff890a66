"""Texts that the database refused: set aside, encrypted, so that their request's row can be written without them."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast

import msgspec
from django.conf import settings
from django.db import models
from django.utils import timezone

from agents.limits.turns import own_turn
from agents.models import QuarantinedEntry, UsageRecord, UsageStep
from agents.models.encryption import decrypt, encrypt
from agents.sql.rows import new_row
from agents.usage import content
from agents.usage.cleaning import clean_text
from agents.usage.content import Conversation
from agents.usage.entries import NOT_CLOSED, Entry, commit_entries
from agents.usage.failures import words

Row = TypeVar("Row", bound=models.Model)

# A request's texts that may be restored; its numbers were written, and summed, when it was closed.
RECORD_TEXTS = ("error_code", "finish_reason", "provider", "model")


def set_aside(entry: Entry, error: Exception) -> QuarantinedEntry:
    """Return the row that keeps what an entry holds, to be saved in the transaction that does without it."""
    kept = {
        "record": _values(entry.row),
        "steps": [_values(step) for step in entry.steps or ()],
        "conversation": msgspec.to_builtins(content.bounded(entry.conversation)) if entry.conversation else None,
    }
    now = timezone.now()
    return QuarantinedEntry(
        id=entry.row.id,
        reason=clean_text(words(error), 200),
        content=encrypt(json.dumps(kept, default=str).encode()),
        created_at=now,
        expires_at=now + timedelta(days=settings.OPENFANG_QUARANTINE_DAYS),
    )


def restore(aside: QuarantinedEntry) -> None:
    """Write what was set aside into its request's row, and forget it.

    Raises InvalidToken if it was encrypted under another secret key, UsageRecord.DoesNotExist if its request was
    deleted, and what the database raises if it refuses it still.
    """
    kept = json.loads(decrypt(bytes(aside.content)))
    record = _row(UsageRecord, kept["record"])
    steps = [_row(UsageStep, values) for values in kept["steps"]]
    said = msgspec.convert(kept["conversation"], Conversation) if kept["conversation"] else None
    entry = Entry(record, cast(Any, None), steps, said)  # it has no waiter
    with own_turn():
        if UsageRecord.objects.get(pk=record.pk).status in NOT_CLOSED:
            commit_entries([entry])
        else:
            _add_texts(entry)
        aside.delete()


def _add_texts(entry: Entry) -> None:
    """Give a closed row its texts, its steps and its conversation."""
    entry.clean()
    texts = {name: getattr(entry.row, name) for name in RECORD_TEXTS}
    UsageRecord.objects.filter(pk=entry.row.pk).update(**texts)
    UsageStep.objects.filter(record=entry.row.pk).delete()
    UsageStep.objects.bulk_create(entry.steps or ())
    if entry.conversation is not None:
        content.store({entry.row.id: entry.conversation})


def _values(row: models.Model) -> dict[str, Any]:
    return {field.attname: vars(row)[field.attname] for field in row._meta.concrete_fields}


def _row(kind: type[Row], values: Mapping[str, Any]) -> Row:
    """Return a row from values as JSON has them; the database makes the ids of steps anew."""
    fields = [field for field in kind._meta.concrete_fields if not isinstance(field, models.AutoField)]
    return new_row(kind, **{field.attname: _stored(field).to_python(values[field.attname]) for field in fields})


def _stored(field: "models.Field[Any, Any]") -> "models.Field[Any, Any]":
    return field.target_field if isinstance(field, models.ForeignKey) else field
