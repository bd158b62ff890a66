"""An entry that the database refuses for its content: answered at once, its row written without the texts."""

import asyncio
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any
from unittest.mock import Mock, patch

import pytest
from django.db import IntegrityError, OperationalError, connection
from django.utils import timezone

from agents.errors import UsageNotRecorded
from agents.limits.budgets import Amounts, BudgetSpec, Hold
from agents.models import (
    Budget,
    BudgetPeriod,
    Period,
    QuarantinedEntry,
    Status,
    StepKind,
    StoredContent,
    Unit,
    UsageRecord,
    UsageRollup,
    UsageStep,
)
from agents.types import Message
from agents.usage import retention, writing
from agents.usage.content import Conversation, conversation_of
from agents.usage.entries import Entry, commit_entries
from agents.usage.ledger import Ledger
from agents.usage.quarantine import restore, set_aside
from openfang_site.checkup import State
from openfang_site.checkup.data import quarantine as checkup_of_quarantine
from tests.agents.command_line import command, refused
from tests.agents.ledger_parts import ended, found, ledger, looked_up, new_row, step_of

__all__ = ["ledger"]  # a fixture

POISON = "a-name-that-is-refused"
REFUSED = "The database refused the usage row of this request; the server's log says why."


@pytest.fixture
def picky(transactional_db: None) -> Iterator[Callable[[], None]]:
    """A database that refuses two steps called POISON, as one with rules of an administrator's might; ends the rule."""

    def end() -> None:
        with connection.cursor() as cursor:
            cursor.execute("DROP INDEX IF EXISTS picky")

    with connection.cursor() as cursor:
        cursor.execute(f"CREATE UNIQUE INDEX picky ON agents_usagestep (name) WHERE name = '{POISON}'")
    yield end
    end()


def tool_step(row: UsageRecord, position: int, name: str = POISON) -> UsageStep:
    return UsageStep(
        record_id=row.id,
        position=position,
        kind=StepKind.TOOL,
        name=name,
        arguments='{"question": "?"}',
        duration_ms=7,
        cost=0,
    )


def poisoned(row: UsageRecord) -> list[UsageStep]:
    """End a request with steps that the picky database refuses."""
    ended(row)
    row.prompt_tokens, row.completion_tokens, row.cost = 100, 20, Decimal("0.5")
    row.llm_calls, row.tool_calls = 1, 2
    return [step_of(row), tool_step(row, 2), tool_step(row, 3)]


async def close_poisoned(ledger: Ledger, hold: Hold | None = None) -> UsageRecord:
    row = new_row(ledger)
    await ledger.open(row, hold)
    said = Conversation([Message("user", "What is the secret word?")], "Swordfish")
    await ledger.close(row, poisoned(row), said, hold)
    return row


def names_of(row: UsageRecord) -> list[str]:
    return list(UsageStep.objects.filter(record=row).values_list("name", flat=True))


async def test_its_row_is_closed_at_once_with_its_numbers_and_sums(ledger: Ledger, picky: Callable[[], None]):
    row = await close_poisoned(ledger)
    kept = await found(lambda: UsageRecord.objects.get(pk=row.pk))
    assert (kept.status, kept.prompt_tokens, kept.completion_tokens, kept.cost) == (Status.OK, 100, 20, Decimal("0.5"))
    steps = await found(
        lambda: list(UsageStep.objects.filter(record=row).values_list("name", "arguments", "duration_ms"))
    )
    assert steps == [("(set aside)", "", 1), ("(set aside)", "", 7), ("(set aside)", "", 7)]
    sums = await found(UsageRollup.objects.get)
    assert (sums.requests, sums.prompt_tokens, sums.cost, sums.tool_calls) == (1, 100, Decimal("0.5"), 2)


async def test_what_it_held_of_a_budget_is_settled(ledger: Ledger, picky: Callable[[], None]):
    budget = await found(lambda: Budget.objects.create(period=Period.DAY, unit=Unit.TOKENS, limit=1000))
    spec = BudgetSpec(budget.pk, "the server", Period.DAY, Unit.TOKENS)
    row = new_row(ledger)
    hold = Hold(row.id, timezone.now(), (spec,), Amounts(tokens=500))
    await ledger.open(row, hold)
    hold.used = Amounts(tokens=120)
    await ledger.close(row, poisoned(row), None, hold)
    period = await found(BudgetPeriod.objects.get)
    assert (period.spent, period.reserved) == (120, 0)


async def test_it_holds_up_no_other_of_its_batch(ledger: Ledger, picky: Callable[[], None]):
    rows = [new_row(ledger) for _ in range(9)]
    await asyncio.gather(*map(ledger.open, rows))
    closing = (ledger.close(row, poisoned(row) if row is rows[4] else [step_of(ended(row))]) for row in rows)
    await asyncio.gather(*closing)
    assert set(await asyncio.gather(*map(looked_up, rows))) == {Status.OK}
    assert await found(lambda: {tuple(names_of(row)) for row in rows if row is not rows[4]}) == {("scripted-model",)}
    assert await found(QuarantinedEntry.objects.count) == 1


async def test_its_texts_are_set_aside_encrypted(ledger: Ledger, picky: Callable[[], None]):
    await close_poisoned(ledger)
    aside = await found(QuarantinedEntry.objects.get)
    assert aside.reason.startswith("IntegrityError: ")
    assert all(text not in bytes(aside.content) for text in (POISON.encode(), b"Swordfish", b"question"))
    assert await found(StoredContent.objects.count) == 0


async def test_its_texts_are_restored_once_the_database_takes_them(
    ledger: Ledger, picky: Callable[[], None], settings: Any
):
    settings.OPENFANG_STORE_CONTENT_DAYS = 7
    row = await close_poisoned(ledger)
    assert "could not be restored" in await found(lambda: refused("quarantine", "retry"))
    assert await found(lambda: names_of(row)) == ["(set aside)"] * 3
    await found(picky)
    said = await found(lambda: command("quarantine", "retry", f"req_{row.id.hex}"))
    assert said.out == "Restored the texts of 1 request.\n"
    assert await found(lambda: names_of(row)) == ["scripted-model", POISON, POISON]
    kept = await found(lambda: conversation_of(row.id))
    assert kept is not None and kept.answer == "Swordfish"
    assert await found(QuarantinedEntry.objects.count) == 0
    sums = await found(UsageRollup.objects.get)
    assert (sums.requests, sums.prompt_tokens) == (1, 100)


async def test_an_opening_row_that_is_refused_fails_its_request_at_once(ledger: Ledger):
    first, again = new_row(ledger), new_row(ledger)
    again.id = first.id
    await ledger.open(first)
    other = new_row(ledger)
    opened = await asyncio.gather(ledger.open(again), ledger.open(other), return_exceptions=True)
    assert isinstance(opened[0], UsageNotRecorded)
    assert str(opened[0]) == REFUSED
    assert (opened[1], await looked_up(other)) == (None, Status.RUNNING)


def refusing(row: UsageRecord, error: Exception) -> Any:
    """Have every form in which a row is closed refused."""

    def commit(entries: Any) -> None:
        if any(entry.row.id == row.id and not entry.opens for entry in entries):
            raise error
        commit_entries(entries)

    return patch.object(writing, "commit_entries", commit)


async def test_one_that_is_refused_in_every_form_is_kept_whole_and_closed_later(ledger: Ledger):
    row = new_row(ledger)
    await ledger.open(row)
    with refusing(row, TypeError("a bug")), pytest.raises(UsageNotRecorded, match=REFUSED):
        await ledger.close(row, poisoned(row))
    assert await looked_up(row) == Status.RUNNING
    await found(lambda: restore(QuarantinedEntry.objects.get()))
    kept = await found(lambda: UsageRecord.objects.get(pk=row.pk))
    assert (kept.status, kept.prompt_tokens, kept.cost) == (Status.OK, 100, Decimal("0.5"))
    assert await found(lambda: names_of(row)) == ["scripted-model", POISON, POISON]
    assert await found(lambda: UsageRollup.objects.get().requests) == 1


async def test_one_that_fails_as_if_the_database_were_away_is_tried_a_few_times(ledger: Ledger):
    """Others are written meanwhile; then the database is asked, and as it answers the entry is to blame."""
    bad, good = new_row(ledger), new_row(ledger)
    await asyncio.gather(ledger.open(bad), ledger.open(good))
    tries = 0

    def commit(entries: Any) -> None:
        nonlocal tries
        if any(entry.row.id == bad.id and len(entry.steps) > 1 and entry.steps[1].name == POISON for entry in entries):
            tries += 1
            raise OperationalError("program limit exceeded")
        commit_entries(entries)

    with patch.object(writing, "commit_entries", commit):
        await asyncio.gather(ledger.close(bad, poisoned(bad)), ledger.close(ended(good), [step_of(good)]))
    assert (await looked_up(bad), await looked_up(good)) == (Status.OK, Status.OK)
    assert writing.MOST_TRIES <= tries <= 2 * writing.MOST_TRIES
    assert await found(lambda: names_of(good)) == ["scripted-model"]
    assert await found(QuarantinedEntry.objects.count) == 1


@pytest.mark.django_db
class TestKeeping:
    @pytest.fixture
    def aside(self) -> QuarantinedEntry:
        row = UsageRecord(started_at=timezone.now(), worker_id="0" * 32, agent_id="1" * 32, agent_name="coder")
        entry = Entry(row, Mock(), poisoned(row))
        aside = set_aside(entry, IntegrityError("duplicate key\nDETAIL: Failing row contains (the secret)"))
        aside.save()
        return aside

    def test_the_reason_repeats_nothing_of_the_row(self, aside: QuarantinedEntry):
        assert aside.reason == "IntegrityError: duplicate key"

    def test_it_is_listed_without_what_it_holds(self, aside: QuarantinedEntry):
        said = command("quarantine", "list").out
        assert f"req_{aside.id.hex}" in said
        assert "IntegrityError: duplicate key" in said
        assert POISON not in said + command("quarantine", "list", "--json").out

    def test_the_doctor_warns_of_it(self, aside: QuarantinedEntry):
        [warned] = checkup_of_quarantine()
        assert (warned.state, warned.text) == (
            State.WARNING,
            "The database refused texts of 1 request; the usage rows were written without them.",
        )
        aside.delete()
        assert [finding.state for finding in checkup_of_quarantine()] == [State.OK]

    def test_it_is_dropped_by_its_id_or_with_all(self, aside: QuarantinedEntry):
        assert refused("quarantine", "drop") == "Name the requests to drop, or --all."
        assert refused("quarantine", "drop", "req_1").startswith("Request 'req_1' is not in quarantine; ")
        assert command("quarantine", "drop", str(aside)).out == "Dropped the texts of 1 request.\n"
        assert command("quarantine", "drop", "--all").out == "Dropped the texts of 0 requests.\n"
        assert command("quarantine", "list").out == "Nothing is in quarantine.\n"

    def test_one_whose_request_was_deleted_is_not_restored(self, aside: QuarantinedEntry):
        with pytest.raises(UsageRecord.DoesNotExist):
            restore(aside)
        assert QuarantinedEntry.objects.count() == 1

    def test_it_is_deleted_when_it_expires(self, aside: QuarantinedEntry, settings: Any):
        kept = aside.expires_at - timezone.now()
        assert kept.days in (settings.OPENFANG_QUARANTINE_DAYS - 1, settings.OPENFANG_QUARANTINE_DAYS)
        retention.delete_some()
        assert QuarantinedEntry.objects.count() == 1
        QuarantinedEntry.objects.update(expires_at=timezone.now())
        retention.delete_some()
        assert QuarantinedEntry.objects.count() == 0
