"""A database that cannot be written to: nothing is asked of a provider without a row, and nothing ends without one."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError

from agents.errors import UsageNotRecorded
from agents.models import Status, UsageRecord, UsageRollup, UsageStep, Worker
from agents.usage.ledger import Ledger
from tests.agents.ledger_parts import (
    database,
    ended,
    found,
    impatient,
    ledger,
    locked,
    looked_up,
    new_row,
    step_of,
)
from tests.live import Live
from tests.live.asking import (
    ask,
    content_of,
    events_of,
    eventually,
    read_until,
    request_id,
    row_of,
    somebody,
    streaming,
    text_of,
)
from tests.upstream import Upstream, says, stalls

__all__ = ["database", "ledger"]  # fixtures


def database_of(live: Live) -> str:
    return live.env.get("DATABASE_URL") or str(live.data_dir / "openfang.sqlite3")


class TestServer:
    def test_a_request_that_cannot_be_recorded_is_not_run(self, live: Live, upstream: Upstream):
        name = somebody()
        with locked(database_of(live)), ThreadPoolExecutor() as pool:
            asking = [pool.submit(ask, live, user=name, stream=streamed) for streamed in (False, True)]
            responses = [future.result(timeout=60) for future in asking]
        for response in responses:
            assert response.status_code == 503
            assert response.json() == {
                "error": {
                    "message": "The usage of this request could not be recorded.",
                    "type": "api_error",
                    "param": None,
                    "code": "usage_not_recorded",
                }
            }
        assert upstream.requests == []
        upstream.says("Hello")
        assert content_of(ask(live)) == "Hello"
        # A row that was on its way when its request gave up is closed.
        eventually(lambda: not live.usage("status = 'running'"))
        rows = live.usage(f"end_user = '{name}'")
        assert all((row["status"], row["error_code"]) == ("failed", "usage_not_recorded") for row in rows)
        [sums] = live.rows("SELECT sum(requests) AS requests FROM agents_usagerollup")
        assert sums["requests"] == len(live.usage())

    def test_the_end_of_an_answer_waits_for_its_row(self, live: Live, upstream: Upstream):
        upstream.turns(stalls("One two", then=" three"))
        with streaming(live) as response:
            lines = response.iter_lines()
            read_until(lines, "two")
            with locked(database_of(live)):
                upstream.requests[0].release()
                read_until(lines, "three")
                assert upstream.requests[0].answered.wait(60)
                [row] = live.usage(f"id = '{request_id(response)}'")
                assert row["status"] == "running"
            rest = "\n".join(lines)
        assert '"finish_reason":"stop"' in rest
        assert rest.rstrip().endswith("data: [DONE]")
        assert row_of(live, response)["status"] == "ok"

    def test_answers_that_end_at_once_are_recorded_at_once(self, live: Live, upstream: Upstream):
        """They share the transactions of one writer: none fails because another holds the lock."""
        upstream.default = says("Hello")
        with ThreadPoolExecutor(20) as pool:
            responses = list(pool.map(lambda _: ask(live, stream=True), range(60)))
        assert {text_of(events_of(response)) for response in responses} == {"Hello"}
        assert {row_of(live, response)["status"] for response in responses} == {"ok"}


async def test_a_row_is_there_when_open_returns_and_closed_when_close_returns(ledger: Ledger):
    row = new_row(ledger)
    await ledger.open(row)
    assert await looked_up(row) == Status.RUNNING
    await ledger.close(ended(row), [step_of(row)])
    assert await looked_up(row) == Status.OK
    assert await found(UsageStep.objects.filter(record=row).count) == 1
    assert await found(lambda: UsageRollup.objects.get().requests) == 1


async def test_opening_has_its_time(ledger: Ledger, database: str):
    row = new_row(ledger)
    with locked(database), impatient(ledger), pytest.raises(UsageNotRecorded):
        await ledger.open(row)


async def test_a_row_whose_request_gave_up_is_closed_and_counted_once_it_came_to_be(ledger: Ledger, database: str):
    """The writer had it in hand when the request gave up, and got hold of the database only after that."""
    row = new_row(ledger)
    with locked(database):
        with impatient(ledger), pytest.raises(UsageNotRecorded):
            await ledger.open(row)
        ledger.close_later(ended(row), [step_of(row)])
    await asyncio.to_thread(ledger.stop)
    assert await looked_up(row) == Status.OK
    assert await found(UsageStep.objects.filter(record=row).count) == 1
    assert await found(lambda: UsageRollup.objects.get().requests) == 1


async def test_a_row_that_could_not_be_closed_in_time_is_closed_later(ledger: Ledger, database: str):
    row = new_row(ledger)
    await ledger.open(row)
    with locked(database), impatient(ledger), pytest.raises(UsageNotRecorded):
        await ledger.close(ended(row), [step_of(row)])
    await asyncio.to_thread(ledger.stop)
    assert await looked_up(row) == Status.OK
    assert await found(UsageStep.objects.filter(record=row).count) == 1


async def test_what_nobody_waits_for_is_done_once_the_database_answers_again(ledger: Ledger):
    row, done, away = new_row(ledger), threading.Event(), iter([True])

    def note() -> None:
        if next(away, False):
            raise OperationalError("The database is away.")
        UsageRecord.objects.filter(pk=row.pk).update(end_user="noted")
        done.set()

    await ledger.open(row)
    ledger.post(note)
    assert await asyncio.to_thread(done.wait, 60)
    assert await found(lambda: UsageRecord.objects.get(pk=row.pk).end_user) == "noted"


async def test_a_request_that_left_while_its_row_waited_is_not_opened(ledger: Ledger):
    first, second, third = new_row(ledger), new_row(ledger), new_row(ledger)
    busy, free = threading.Event(), threading.Event()

    def take_long() -> None:
        busy.set()
        free.wait()

    ledger.post(take_long)
    assert await asyncio.to_thread(busy.wait, 60)
    with impatient(ledger):
        opening = [asyncio.create_task(ledger.open(row)) for row in (first, second)]
        await asyncio.sleep(0)
        opening[1].cancel()
        await asyncio.wait(opening)
    assert isinstance(opening[0].exception(), UsageNotRecorded)
    assert opening[1].cancelled()
    free.set()
    await ledger.open(third)
    assert [await looked_up(row) for row in (first, second, third)] == [None, None, Status.RUNNING]


async def test_rows_are_written_by_one_thread(ledger: Ledger):
    before = ledger_threads()
    rows = [new_row(ledger) for _ in range(50)]
    await asyncio.gather(*map(ledger.open, rows))
    assert ledger_threads() <= before
    await asyncio.gather(*(ledger.close(ended(row), []) for row in rows))
    assert set(await asyncio.gather(*map(looked_up, rows))) == {Status.OK}


def ledger_threads() -> set[int | None]:
    """Those of this process; a test before may have left a server's."""
    return {thread.ident for thread in threading.enumerate() if thread.name == "openfang-ledger"}


def test_a_ledger_that_stops_gives_its_lease_back(ledger: Ledger):
    assert Worker.objects.filter(pk=ledger.worker_id).exists()
    ledger.stop()
    assert not Worker.objects.filter(pk=ledger.worker_id).exists()
