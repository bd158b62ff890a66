"""What is deleted when its time is over: usage rows with all that belongs to them. The sums of them stay."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.utils import timezone

from agents.limits.turns import own_turn
from agents.models import QuarantinedEntry, Status, StoredContent, Transcript, UsageRecord, UsageStep

Expiring = StoredContent | Transcript | QuarantinedEntry
EXPIRING: tuple[type[Expiring], ...] = (StoredContent, Transcript, QuarantinedEntry)
AT_ONCE = 500  # some 30 ms with their steps, for which other writers wait
PAUSE_SECONDS = 1.0  # after which a worker that is busy deletes so many again: it may be sent about as many a second


def delete_some() -> None:
    """Delete some of what is over its time, so little that it holds up no request for long."""
    for table in EXPIRING:
        delete_expired(table)
    if days := settings.OPENFANG_USAGE_DAYS:
        delete_requests(timezone.now() - timedelta(days=days))


def delete_requests(before: datetime) -> int:
    """Delete the oldest requests that began before a moment, at most AT_ONCE, and return how many there were."""
    old = UsageRecord.objects.filter(started_at__lt=before).exclude(status=Status.RUNNING).order_by("started_at")
    if not old.exists():
        return 0
    with own_turn():
        ids = list(old.values_list("pk", flat=True)[:AT_ONCE])
        UsageStep.objects.filter(record__in=ids).delete()
        StoredContent.objects.filter(pk__in=ids).delete()
        Transcript.objects.filter(pk__in=ids).delete()
        QuarantinedEntry.objects.filter(pk__in=ids).delete()
        UsageRecord.objects.filter(pk__in=ids).delete()
    return len(ids)


def delete_expired(table: type[Expiring]) -> int:
    """Delete rows that are over their own time, at most AT_ONCE, and return how many there were."""
    expired: models.QuerySet[Expiring] = table._default_manager.filter(expires_at__lte=timezone.now())
    if not expired.exists():
        return 0
    with own_turn():
        ids = list(expired.values_list("pk", flat=True)[:AT_ONCE])
        table._default_manager.filter(pk__in=ids).delete()
    return len(ids)
