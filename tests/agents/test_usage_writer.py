"""The writer's thread does not die: what fails costs only itself, and a writer that cannot go on ends its process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import OperationalError

from agents.errors import RunFailed, UsageNotRecorded
from agents.models import QuarantinedEntry, Status, UsageRecord, UsageRollup, UsageStep
from agents.usage import writing
from agents.usage.entries import commit_entries
from agents.usage.failures import failures
from agents.usage.ledger import MANY_STEPS, Ledger
from agents.usage.work import Post, Posts
from openfang_site.health import health
from tests.agents.ledger_parts import ended, found, held_up, ledger, looked_up, new_row, step_of

__all__ = ["ledger"]  # a fixture


@contextmanager
def a_bug_about(row: UsageRecord, error: Exception) -> Iterator[None]:
    """Make the writing of an entry raise an unforeseen error as long as it has steps."""

    def commit(entries: Any) -> None:
        if any(entry.row.id == row.id and entry.steps for entry in entries):
            raise error
        commit_entries(entries)

    with patch.object(writing, "commit_entries", commit):
        yield


@pytest.mark.parametrize("error", [OverflowError(), TypeError("a bug"), ValueError("a bug"), KeyError("a bug")])
async def test_an_unexpected_error_costs_only_the_entry_that_caused_it(ledger: Ledger, error: Exception):
    good, bad = new_row(ledger), new_row(ledger)
    await asyncio.gather(ledger.open(good), ledger.open(bad))
    closing = [ledger.close(ended(row), [step_of(row)]) for row in (good, bad)]
    with a_bug_about(bad, error):
        await asyncio.gather(*closing, ledger.open(new_row(ledger)))
    assert (await looked_up(good), await looked_up(bad)) == (Status.OK, Status.OK)
    assert await found(QuarantinedEntry.objects.count) == 1
    await ledger.open(new_row(ledger))


async def test_a_bug_in_other_work_costs_only_that_work(ledger: Ledger):
    before = failures["work"]
    ledger.post(lambda: 1 // 0)
    with pytest.raises(RunFailed):
        await ledger.perform(lambda: 1 // 0)
    assert await ledger.perform(lambda: "answered") == "answered"
    assert failures["work"] == before + 2
    row = new_row(ledger)
    await ledger.open(row)
    assert await looked_up(row) == Status.RUNNING


@pytest.mark.parametrize(
    ("cost", "kept"),
    [
        (Decimal(10) ** 12, Decimal("9223372.036854775807")),
        (Decimal(-1), Decimal(0)),
        (Decimal("NaN"), None),
        (Decimal("Infinity"), None),
    ],
)
async def test_a_cost_that_no_column_holds_is_kept_as_near_as_can_be(
    ledger: Ledger, cost: Decimal, kept: Decimal | None
):
    row = new_row(ledger)
    await ledger.open(row)
    ended(row).cost = cost
    await ledger.close(row, [step_of(row)])
    assert await found(lambda: UsageRecord.objects.get(pk=row.pk).cost) == kept


async def test_numbers_and_texts_that_fit_no_column_are_made_to_fit(ledger: Ledger):
    row = new_row(ledger)
    row.user_agent, row.end_user = "a\x00b\ud800", "u" * 500
    await ledger.open(row)
    ended(row)
    row.prompt_tokens, row.completion_tokens, row.http_status = 2**70, -5, 10**6
    step = step_of(row)
    step.name, step.arguments, step.error_code = "\x00calc\udfff", "\ud83dx\x00" * 100_000, "e" * 100
    step.prompt_tokens, step.duration_ms = float("nan"), 2**40
    await ledger.close(row, [step])
    kept = await found(lambda: UsageRecord.objects.get(pk=row.pk))
    assert (kept.user_agent, kept.end_user) == ("ab?", "u" * 200)
    assert (kept.prompt_tokens, kept.completion_tokens, kept.http_status) == (2**63 - 1, 0, 32767)
    written = await found(lambda: UsageStep.objects.get(record=row))
    assert (written.name, written.error_code, len(written.arguments)) == ("calc?", "e" * 64, 100_000)
    assert (written.prompt_tokens, written.duration_ms) == (0, 2**31 - 1)
    assert await found(QuarantinedEntry.objects.count) == 0


async def test_sums_stop_at_the_end_of_their_column(ledger: Ledger):
    """Past it PostgreSQL would refuse every later row of the same agent, and SQLite would count in floating point."""
    first, *others = [new_row(ledger) for _ in range(3)]
    for row in others:
        row.agent_id, row.started_at = first.agent_id, first.started_at
    for row in (first, *others):
        await ledger.open(row)
        ended(row).prompt_tokens = 2**63 - 10
        await ledger.close(row, [])
    sums = await found(UsageRollup.objects.get)
    assert (sums.requests, sums.prompt_tokens) == (3, 2**63 - 1)


async def test_work_that_always_fails_is_given_up_and_holds_up_no_other(ledger: Ledger):
    tries, done = 0, threading.Event()

    def fails() -> None:
        nonlocal tries
        tries += 1
        raise OperationalError("refused")

    ledger.post(fails)
    ledger.post(done.set)
    row = new_row(ledger)
    await ledger.open(row)
    assert await asyncio.to_thread(done.wait, 60)
    assert tries == writing.MOST_TRIES


async def test_posts_about_one_run_are_done_once_for_all_that_wait(ledger: Ledger):
    row, state = new_row(ledger), {"version": 0}
    saved: list[int] = []

    def save() -> None:
        saved.append(state["version"])

    await ledger.open(row)
    with held_up(ledger):
        for version in range(1, 501):
            state["version"] = version
            ledger.post(save, key=row.id)
        ledger.post(lambda: saved.append(-1))
        ledger.post(lambda: saved.append(-1))
    await ledger.close(ended(row), [])
    assert sorted(saved) == [-1, -1, 500]
    ledger.post(save, key=row.id)
    await ledger.perform(lambda: None)
    assert sorted(saved) == [-1, -1, 500, 500]


async def test_runs_of_very_many_steps_are_written_one_by_one_and_after_the_others(ledger: Ledger):
    written: list[list[int]] = []

    def note(entries: Any) -> Any:
        written.append([len(entry.steps or ()) for entry in entries])
        return writing.write(entries)

    rows = [new_row(ledger) for _ in range(4)]
    await asyncio.gather(*map(ledger.open, rows))
    with patch("agents.usage.ledger.write", note):
        with held_up(ledger):
            closing = [
                asyncio.create_task(ledger.close(ended(row), [step_of(row, position) for position in range(count)]))
                for row, count in zip(rows, (MANY_STEPS, 1, MANY_STEPS + 1, 2), strict=True)
            ]
            opening = asyncio.create_task(ledger.open(new_row(ledger)))
            await asyncio.sleep(0)
        await asyncio.gather(*closing, opening)
    assert written == [[1, 2, 0], [MANY_STEPS], [MANY_STEPS + 1]]
    assert set(await asyncio.gather(*map(looked_up, rows))) == {Status.OK}


def test_a_round_does_some_posts_and_all_those_of_runs_that_end():
    posts = Posts()
    done: list[str] = []
    for key in "abcd":
        posts.announce(key)
        posts.waiting.append(Post(partial(done.append, key), key))
    assert posts.perform({"c", "d"}, seconds=0)
    assert done == ["c", "d"]
    assert posts.perform((), seconds=60)
    assert done == ["c", "d", "a", "b"]


async def probe(path: str = "/healthz") -> int:
    """Return the status that a probe gets."""
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await health({"path": path}, None, send)
    return int(sent[0]["status"])


async def test_healthz_fails_exactly_while_the_writer_has_stopped(ledger: Ledger):
    with patch("agents.runs.engine.ledger", ledger):
        assert await probe() == 200
        with held_up(ledger), patch.object(ledger, "_refused", True):  # slow, or without its database
            assert await probe() == 200
        await asyncio.to_thread(ledger.stop)
        assert await probe() == 503


async def test_a_writer_that_cannot_go_on_fails_what_waits_and_ends_its_process(ledger: Ledger):
    ended_process = threading.Event()
    ledger.on_end = ended_process.set
    row = new_row(ledger)
    await ledger.open(row)
    with patch.object(ledger, "_write", side_effect=TypeError("a bug in the writer")):
        with pytest.raises(UsageNotRecorded):
            await ledger.close(ended(row), [])
        assert ended_process.is_set()
    for asking in (ledger.open(new_row(ledger)), ledger.close(row, []), ledger.perform(lambda: None)):
        with pytest.raises(UsageNotRecorded):
            await asking
    with patch("agents.runs.engine.ledger", ledger):
        assert await probe() == 503


async def test_a_bug_that_passes_ends_nothing(ledger: Ledger):
    before, row, write = failures["round"], new_row(ledger), ledger._write
    bugs = iter([TypeError("a bug in the writer")] * 3)

    def fail_at_first() -> None:
        if bug := next(bugs, None):
            raise bug
        write()

    with patch.object(ledger, "_write", fail_at_first):
        await ledger.open(row)
    assert await looked_up(row) == Status.RUNNING
    assert failures["round"] == before + 3
    assert not ledger.has_stopped
