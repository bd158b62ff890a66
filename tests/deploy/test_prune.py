"""`openfang prune`: old requests go with all that is theirs, what was counted of them stays."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from agents.limits.turns import own_turn
from agents.models import (
    DailyRollup,
    QuarantinedEntry,
    Status,
    StepKind,
    StoredContent,
    Transcript,
    UsageRecord,
    UsageRollup,
    UsageStep,
)
from agents.usage import retention
from agents.usage.rollups import add_to_rollups

pytestmark = pytest.mark.django_db(transaction=True)


def request(days: int, status: Status = Status.OK) -> UsageRecord:
    """A request that began so many days ago, with a step, a transcript and stored content."""
    began = timezone.now() - timedelta(days=days)
    row = UsageRecord.objects.create(
        started_at=began, worker_id=uuid4(), agent_id=uuid4(), agent_name="coder", status=status, requested_model="m"
    )
    UsageStep.objects.create(record=row, position=1, kind=StepKind.LLM, name="m", duration_ms=1)
    later = timezone.now() + timedelta(days=1)
    StoredContent.objects.create(pk=row.pk, content=b"said", expires_at=later)
    Transcript.objects.create(
        pk=row.pk, agent_id=row.agent_id, scope="key", content=b"called", created_at=began, expires_at=later
    )
    QuarantinedEntry.objects.create(pk=row.pk, content=b"refused", created_at=began, expires_at=later)
    return row


def left() -> set[str]:
    """The ids of the requests that are left, which everything else agrees with."""
    ids = set(UsageRecord.objects.values_list("pk", flat=True))
    assert set(UsageStep.objects.values_list("record_id", flat=True)) == ids
    assert set(StoredContent.objects.values_list("pk", flat=True)) == ids
    assert set(Transcript.objects.values_list("pk", flat=True)) == ids
    assert set(QuarantinedEntry.objects.values_list("pk", flat=True)) == ids
    return {str(pk) for pk in ids}


def test_old_requests_go_with_all_that_is_theirs_and_the_sums_stay(capsys, monkeypatch):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    old = [request(days=31) for _ in range(5)]
    young = request(days=29)
    with own_turn() as cursor:
        add_to_rollups(cursor, [*old, young])
    call_command("prune", days=30)
    assert "Deleted 5 requests from before" in capsys.readouterr().out
    assert left() == {str(young.pk)}
    for table in (UsageRollup, DailyRollup):
        assert sum(table._default_manager.values_list("requests", flat=True)) == 6


def test_a_request_that_runs_is_never_deleted():
    running = request(days=31, status=Status.RUNNING)
    call_command("prune", days=30)
    assert left() == {str(running.pk)}


def test_what_was_deleted_before_an_interruption_stays_deleted(monkeypatch):
    monkeypatch.setattr(retention, "AT_ONCE", 2)
    for _ in range(5):
        request(days=31)

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("agents.management.commands.prune.time.sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        call_command("prune", days=30)
    assert len(left()) == 3


def test_a_server_prunes_by_itself_where_the_settings_say_so(settings):
    old, young = request(days=31), request(days=29)
    retention.delete_some()
    assert left() == {str(old.pk), str(young.pk)}
    settings.OPENFANG_USAGE_DAYS = 30
    retention.delete_some()
    assert left() == {str(young.pk)}


def test_without_a_number_of_days_nothing_is_old():
    old = request(days=3000)
    with pytest.raises(CommandError, match="name the --days to keep"):
        call_command("prune")
    assert left() == {str(old.pk)}
