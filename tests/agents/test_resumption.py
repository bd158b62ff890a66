"""Where a repeated request begins while the run that it repeats is on another worker."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial

import msgspec
import pytest
from django.utils import timezone

from agents import resumption as resumption_module
from agents import transcripts
from agents.errors import RequestConflict
from agents.history import PastTurn
from agents.models import Status, Transcript, UsageRecord, Worker
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
    monkeypatch.setattr(resumption_module, "ENDING_SECONDS", 60.0)
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
    monkeypatch.setattr(resumption_module, "ENDING_SECONDS", 0.0)
    await runs_on(ledger, await another_worker(ledger))
    assert (await Resumption(ledger).arrive(origin())).beginning.turns == []


async def test_it_waits_for_no_run_of_its_own_worker_whose_client_is_there(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(asyncio, "sleep", lambda _: pytest.fail("it waits"))
    await runs_on(ledger, ledger.worker_id)
    assert (await Resumption(ledger).arrive(origin())).beginning.turns == []


class Running:
    """A request of this process that has arrived, and whose clean-up takes until `stopped` once its client leaves."""

    def __init__(self, resumption: Resumption) -> None:
        self._resumption = resumption
        self.arrived, self.stopped = asyncio.Event(), asyncio.Event()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        claim = await self._resumption.arrive(origin())
        self.arrived.set()
        try:
            await asyncio.Event().wait()
        finally:
            await self.stopped.wait()
            self._resumption.end(claim)

    async def leave(self) -> None:
        self.task.cancel()
        await asyncio.sleep(0)

    async def end(self) -> None:
        self.stopped.set()
        if not self.task.cancelling():
            self.task.cancel()
        await asyncio.wait([self.task])


async def test_a_repeat_waits_for_the_run_that_is_stopped_whoever_came_meanwhile(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
):
    resumption, looked_up, perform = Resumption(ledger), asyncio.Event(), ledger.perform

    async def slowly(function: Callable[[], object]) -> object:
        if asyncio.current_task() is second.task:
            await looked_up.wait()
        return await perform(function)

    monkeypatch.setattr(ledger, "perform", slowly)
    first, second = Running(resumption), Running(resumption)
    await first.arrived.wait()
    await first.leave()
    third = asyncio.create_task(resumption.arrive(origin()))
    await asyncio.sleep(0)
    looked_up.set()
    await second.arrived.wait()
    assert not third.done()
    await first.end()
    resumption.end(await third)
    await second.end()
    assert resumption._claims == {}


async def test_a_repeat_does_not_wait_for_ever(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(resumption_module, "LEAVING_SECONDS", 0.0)
    resumption = Resumption(ledger)
    stubborn = Running(resumption)
    await stubborn.arrived.wait()
    await stubborn.leave()
    with pytest.raises(RequestConflict) as refused:
        await resumption.arrive(origin())
    assert refused.value.code == "request_still_ending"
    await stubborn.end()


async def test_a_key_whose_worker_died_before_its_row_is_taken_over_after_a_while(ledger: Ledger):
    held, taker, other = (msgspec.structs.replace(origin(), idempotency_key="key") for _ in range(3))
    claimed = await ledger.perform(partial(resumption_module.claim_key, held))
    assert claimed.taken == []
    with pytest.raises(RequestConflict):
        await Resumption(ledger).arrive(taker)
    old = timezone.now() - 2 * resumption_module.OPENING
    await ledger.perform(lambda: Transcript.objects.filter(id=held.run_id).update(created_at=old))
    arrivals = await asyncio.gather(*(Resumption(ledger).arrive(one) for one in (taker, other)), return_exceptions=True)
    assert [type(arrival).__name__ for arrival in arrivals] == ["Claim", "RequestConflict"]
