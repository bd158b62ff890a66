"""Going on with what an earlier request has begun: a repeated request must not repeat what its tools have done."""

import asyncio
import time
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any
from uuid import UUID

from msgspec import Struct, field

from agents import transcripts
from agents.errors import RequestConflict
from agents.history import PastTurn
from agents.models import Status
from agents.transcripts import Origin, PastAnswer, PastRun
from agents.types import CallsMade, Delta, Event, Finished
from agents.usage.ledger import Ledger

# For a run on another worker, whose client has probably left it: nobody here knows whether it is about to end.
ENDING_SECONDS, ENDING_PAUSE = 1.0, 0.05


class Beginning(Struct):
    """Where a run begins: with the turns of a run that broke or, with `answer`, at the end."""

    turns: list[PastTurn]
    answer: PastAnswer | None = None

    async def replay(self, answer: PastAnswer) -> AsyncGenerator[Event, None]:
        """Yield a finished run once more."""
        if answer.reasoning:
            yield Delta(reasoning=answer.reasoning)
        calls = 0
        for turn in self.turns:
            yield turn.delta(first_call=calls)
            yield CallsMade(turn.message, turn.calls(), turn.results)
            calls += len(turn.executed)
        if answer.text:
            yield Delta(text=answer.text)
        yield Finished(answer.finish_reason)


class UnderWay(Struct, eq=False):
    """A run of this process, the task that drives it, and the event that says that its row is closed."""

    run_id: UUID
    task: "asyncio.Task[Any] | None"
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Resumption:
    """Knows the runs of this process that are still cleaning up, and finds what earlier runs have left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._under_way: dict[tuple[str, str], UnderWay] = {}

    async def beginning(self, origin: Origin) -> Beginning:
        """Return where a request's run begins. Raises RequestConflict for an Idempotency-Key that cannot be used."""
        earlier = self._under_way.get((origin.scope, origin.body_digest))
        if earlier is not None and earlier.task is not None and earlier.task.cancelling():
            await earlier.ended.wait()
        if origin.idempotency_key:
            beginning = await self._under_key(origin)
        else:
            beginning = Beginning(await self._broken_turns(origin))
        self._under_way[(origin.scope, origin.body_digest)] = UnderWay(origin.run_id, asyncio.current_task())
        return beginning

    def ended(self, origin: Origin) -> None:
        """Let repetitions of this run's request go on, which wait until it has cleaned up."""
        under_way = self._under_way.get((origin.scope, origin.body_digest))
        if under_way is not None and under_way.run_id == origin.run_id:
            under_way.ended.set()
            del self._under_way[(origin.scope, origin.body_digest)]

    async def _broken_turns(self, origin: Origin) -> list[PastTurn]:
        """Return what an earlier run of the same request has left if it broke, on whichever worker."""
        deadline = time.monotonic() + ENDING_SECONDS
        while (earlier := await self._ledger.perform(partial(transcripts.earlier_run, origin))) is not None:
            if earlier.broke:
                return earlier.turns
            elsewhere = earlier.status == Status.RUNNING and earlier.worker_id != self._ledger.worker_id
            if not elsewhere or time.monotonic() > deadline:
                break
            await asyncio.sleep(ENDING_PAUSE)
        return []

    async def _under_key(self, origin: Origin) -> Beginning:
        holder = await self._ledger.perform(partial(transcripts.claim, origin))
        if holder is None:
            return Beginning([])
        found = await self._ledger.perform(partial(transcripts.run_under_key, holder, origin))
        status, run, same_body = found or (Status.LOST, PastRun(), True)
        in_use = RequestConflict(
            "The first request with this Idempotency-Key is still being answered.", code="idempotency_key_in_use"
        )
        if not same_body:
            raise RequestConflict(
                "This Idempotency-Key was used with another request body.", code="idempotency_key_reused"
            )
        if status == Status.RUNNING:
            raise in_use
        if status == Status.OK and run.answer is not None:
            return Beginning(run.turns, run.answer)
        if not await self._ledger.perform(partial(transcripts.take_over, holder, origin, run.turns)):
            raise in_use
        return Beginning(run.turns)
