"""Going on with what an earlier request has begun: a repeated request must not repeat what its tools have done."""

import asyncio
from functools import partial

from msgspec import Struct

from agents import transcripts
from agents.errors import RequestConflict
from agents.history import PastTurn
from agents.models import Status
from agents.transcripts import Origin, PastAnswer, PastRun
from agents.types import CallsMade, Delta, Event, ToolCallDelta
from agents.usage.ledger import Ledger


class Beginning(Struct):
    """Where a run begins: with the turns of a run that broke or, with `answer`, at the end."""

    turns: list[PastTurn]
    answer: PastAnswer | None = None


class Resumption:
    """Knows the runs of this process that are still cleaning up, and finds what earlier runs have left."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ending: dict[tuple[str, str], asyncio.Event] = {}

    def ends(self, origin: Origin) -> asyncio.Event:
        """Tell repeats of this run's request to wait until the returned event is set."""
        ended = self._ending[(origin.scope, origin.body_digest)] = asyncio.Event()
        return ended

    def ended(self, origin: Origin) -> None:
        if ended := self._ending.pop((origin.scope, origin.body_digest), None):
            ended.set()

    async def beginning(self, origin: Origin) -> Beginning:
        """Return where a request's run begins. Raises RequestConflict for an Idempotency-Key that cannot be used."""
        if ending := self._ending.get((origin.scope, origin.body_digest)):
            await ending.wait()
        if origin.idempotency_key:
            return await self._under_key(origin)
        broken = await self._ledger.perform(partial(transcripts.broken_run, origin))
        return Beginning(broken.turns if broken else [])

    async def _under_key(self, origin: Origin) -> Beginning:
        holder = await self._ledger.perform(partial(transcripts.claim, origin))
        if holder is None:
            return Beginning([])
        found = await self._ledger.perform(partial(transcripts.run_under_key, holder, origin))
        status, run, same_body = found or (Status.LOST, PastRun(), True)
        if not same_body:
            raise RequestConflict(
                "This Idempotency-Key was used with another request body.", code="idempotency_key_reused"
            )
        if status == Status.RUNNING:
            raise RequestConflict(
                "The first request with this Idempotency-Key is still being answered.", code="idempotency_key_in_use"
            )
        if status == Status.OK and run.answer is not None:
            return Beginning(run.turns, run.answer)
        await self._ledger.perform(partial(transcripts.give_up_key, holder))
        await self._ledger.perform(partial(transcripts.claim, origin))
        return Beginning(run.turns)


def shown_again(turns: list[PastTurn]) -> list[Event]:
    """Return past turns as the events they were."""
    events: list[Event] = []
    number = 0
    for turn in turns:
        calls = turn.message.tool_calls or []
        pieces = tuple(
            ToolCallDelta(
                number + place,
                call.id,
                call.function.name,
                call.function.arguments,
                server=call.id in turn.executed,
            )
            for place, call in enumerate(calls)
        )
        text = turn.message.content if isinstance(turn.message.content, str) else ""
        number += len(calls)
        events.append(Delta(text=text, tool_calls=pieces))
        events.append(CallsMade(turn.message, [call for call in calls if call.id in turn.executed]))
    return events
