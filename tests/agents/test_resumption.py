"""Where a repeated request begins while the run that it repeats is on another worker."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable

import pytest
from django.utils import timezone

from agents import resumption, transcripts
from agents.history import PastTurn
from agents.models import Status, UsageRecord, Worker
from agents.resumption import Resumption
from agents.transcripts import Origin, PastRun
from agents.types import FunctionCall, Message, ToolCall
from agents.usage.ledger import Ledger

AGENT = uuid.uuid4()
CALL = ToolCall("call_1", FunctionCall("calculator", "{}"))
TURN = PastTurn(Message("assistant", None, tool_calls=[CALL]), ["call_1"], {"call_1": "42"})

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def ledger() -> AsyncIterator[Ledger]:
    ledger = Ledger(open_seconds=60)
    await asyncio.to_thread(ledger.start)
    yield ledger
    await asyncio.to_thread(ledger.stop)


def origin() -> Origin:
    """Another request with the same body."""
    return Origin(uuid.uuid4(), AGENT, "key:alice", "digest", "")


async def runs_on(ledger: Ledger, worker_id: uuid.UUID) -> uuid.UUID:
    """Enter a run that has called a tool and goes on."""
    earlier = origin()

    def enter() -> None:
        transcripts.save(earlier, PastRun([TURN]))
        UsageRecord.objects.create(
            id=earlier.run_id, worker_id=worker_id, started_at=timezone.now(), agent_id=AGENT, agent_name="coder"
        )

    await ledger.perform(enter)
    return earlier.run_id


async def another_worker(ledger: Ledger) -> uuid.UUID:
    fields = {"hostname": "elsewhere", "pid": 1, "lease_expires_at": "2999-01-01T00:00:00Z"}
    return (await ledger.perform(lambda: Worker.objects.create(**fields))).pk


async def test_it_waits_for_a_run_on_another_worker_and_takes_up_its_turns(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(resumption, "ENDING_SECONDS", 60.0)
    run_id = await runs_on(ledger, await another_worker(ledger))
    looked = asyncio.Event()
    monkeypatch.setattr(asyncio, "sleep", noting(looked))
    beginning = asyncio.create_task(Resumption(ledger).arrive(origin()))
    await looked.wait()
    assert not beginning.done()
    await ledger.perform(lambda: UsageRecord.objects.filter(id=run_id).update(status=Status.CANCELLED))
    assert (await beginning).beginning.turns == [TURN]


def noting(happened: asyncio.Event) -> Callable[[float], object]:
    """Return a sleep that says when somebody falls asleep."""
    sleep = asyncio.sleep

    async def noted(seconds: float) -> None:
        happened.set()
        await sleep(seconds)

    return noted


async def test_it_waits_for_no_run_that_goes_on(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resumption, "ENDING_SECONDS", 0.0)
    await runs_on(ledger, await another_worker(ledger))
    assert (await Resumption(ledger).arrive(origin())).beginning.turns == []


async def test_it_waits_for_no_run_of_its_own_worker_whose_client_is_there(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asyncio, "sleep", lambda _: pytest.fail("it waits"))
    await runs_on(ledger, ledger.worker_id)
    assert (await Resumption(ledger).arrive(origin())).beginning.turns == []
