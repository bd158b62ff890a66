"""Repeated requests: what each may take over from earlier runs, so that no finished tool call runs twice.

A request whose earlier runs matter holds a `Claim`. This is all that can become of it:

    (waiting)  an earlier run of the same request is being stopped in this process; LEAVING_SECONDS at most, then 409
    arrived    it looks for what earlier runs left, and claims its Idempotency-Key if it sent one
        ──> claimed      it knows where to begin, and asks to be admitted
        ──> ended        409: its key is in use, or was used for another request
        ──> releasing    it left, or the database did not answer
    claimed
        ──> running      it is admitted and has a usage row
        ──> releasing    429, 503, or it left before it was admitted
    releasing            its key is given back, as if it had never come; then ended
    running ──> ended    its row is closed, or the server gave up closing it

An Idempotency-Key has one holder, a transcript. What the next request with the key finds depends on the holder's row:

    no holder, or it expired                         the key is claimed
    another body                                     refused, for good
    running; or no row yet, within OPENING           refused, for now
    answered                                         the answer is replayed
    failed, cancelled, lost; or no row after OPENING  the key and the finished turns are taken over
"""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta
from enum import Enum
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone
from msgspec import Struct, field

from agents import transcripts
from agents.errors import AgentError, RequestConflict, UsageNotRecorded
from agents.history import PastTurn
from agents.limits.turns import own_turn
from agents.models import Status, Transcript, UsageRecord
from agents.transcripts import Origin, PastAnswer, PastRun
from agents.types import CallsMade, Delta, Event, Finished
from agents.usage.ledger import Ledger

LEAVING_SECONDS = 10.0  # closing a row takes milliseconds; a tool that is being stopped may take a few seconds
# A run on another worker whose client has probably left: this worker cannot see whether it is about to end.
ENDING_SECONDS, ENDING_PAUSE = 1.0, 0.05
# From claiming a key to the usage row. Past the first, the request gives up; past the second, others take its key.
ADMISSION_SECONDS = 10.0
OPENING = timedelta(seconds=20)


class Beginning(Struct):
    """Where a run begins: with the turns of a run that broke or, with `answer`, at the end.

    `taken` are the broken runs whose turns these are.
    """

    turns: list[PastTurn] = field(default_factory=list)
    answer: PastAnswer | None = None
    taken: list[UUID] = field(default_factory=list)

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


class State(Enum):
    ARRIVED, CLAIMED, RUNNING, RELEASING, ENDED = "arrived", "claimed", "running", "releasing", "ended"


class Claim(Struct, eq=False):
    """A request's hold on its Idempotency-Key and on what its repeats find, from `arrive` to `end`."""

    origin: Origin
    task: "asyncio.Task[Any] | None"  # the run is driven by it
    since: float
    beginning: Beginning = field(default_factory=Beginning)
    state: State = State.ARRIVED
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def leaving(self) -> bool:
        return self.state is State.RELEASING or (self.task is not None and self.task.cancelling() > 0)


class Resumption:
    """The claims of this process, several at once for the same request, and the way to a new one."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._claims: dict[tuple[UUID, str, str], set[Claim]] = {}

    async def arrive(self, origin: Origin) -> Claim:
        """Return a request's claim. Raises RequestConflict if an earlier request is in its way."""
        if self._leaving(origin):
            await self._until_none_leaves(origin)
        claim = Claim(origin, asyncio.current_task(), asyncio.get_running_loop().time())
        self._claims.setdefault(origin.request, set()).add(claim)
        try:
            if origin.idempotency_key:
                claim.beginning = await self._ledger.perform(partial(claim_key, origin))
            else:
                claim.beginning = await self._after_a_break(origin)
        except BaseException as error:
            # If the client left, or the wait was too long, the key may have been claimed all the same.
            claim.state = State.RUNNING if isinstance(error, RequestConflict) else State.CLAIMED
            self.end(claim)
            raise
        claim.state = State.CLAIMED
        return claim

    def admit(self, claim: Claim) -> None:
        """Note that a claim's run has its usage row. Raises UsageNotRecorded if others may think it dead by now."""
        if claim.origin.idempotency_key and asyncio.get_running_loop().time() - claim.since > ADMISSION_SECONDS:
            raise UsageNotRecorded("The server took too long to admit this request. Send it again.")
        claim.state = State.RUNNING

    def end(self, claim: Claim) -> None:
        """Let go of a claim, and of its key unless its run was admitted; repeats that waited for it go on."""
        if claim.state is State.CLAIMED and claim.origin.idempotency_key:
            claim.state = State.RELEASING
            releasing = asyncio.ensure_future(self._release(claim.origin))
            releasing.add_done_callback(lambda _: self._forget(claim))
        else:
            self._forget(claim)

    async def _release(self, origin: Origin) -> None:
        release = partial(release_key, origin)
        try:
            await self._ledger.perform(release)
        except AgentError:  # the database does not answer: it is done as soon as it does
            self._ledger.post(release)

    def _forget(self, claim: Claim) -> None:
        claim.state = State.ENDED
        claims = self._claims.get(claim.origin.request, set())
        claims.discard(claim)
        if not claims:
            self._claims.pop(claim.origin.request, None)
        claim.ended.set()

    def _leaving(self, origin: Origin) -> Claim | None:
        return next((claim for claim in self._claims.get(origin.request, ()) if claim.leaving), None)

    async def _until_none_leaves(self, origin: Origin) -> None:
        try:
            async with asyncio.timeout(LEAVING_SECONDS):
                while claim := self._leaving(origin):
                    await claim.ended.wait()
        except TimeoutError:
            raise RequestConflict(
                "An earlier run of this request is still being stopped. Send it again.", code="request_still_ending"
            ) from None

    async def _after_a_break(self, origin: Origin) -> Beginning:
        """Begin with what an earlier run of the same request left if it broke, on whichever worker."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + ENDING_SECONDS
        while True:
            earlier = await self._ledger.perform(partial(transcripts.earlier_runs, origin))
            if not earlier.running_beside(self._ledger.worker_id) or loop.time() > deadline:
                break
            await asyncio.sleep(ENDING_PAUSE)
        if not earlier.broken:
            return Beginning()
        broken = earlier.broken[0]
        run = await self._ledger.perform(partial(transcripts.left_by, broken, earlier.all))
        return Beginning() if run is None else Beginning(run.turns, taken=[*run.taken, broken])


# The transitions of a key run in the ledger's thread, each in one transaction that no other process interrupts.


def claim_key(origin: Origin) -> Beginning:
    """Make a request the holder of its Idempotency-Key, or return its kept answer. Raises RequestConflict."""
    held = Transcript.objects.filter(scope=origin.scope, idempotency_key=origin.idempotency_key)
    try:
        with own_turn():
            held.filter(expires_at__lte=timezone.now()).delete()
            holder = held.first()
            if holder is None:
                transcripts.save(origin, PastRun())
                return Beginning()
            if holder.agent_id != origin.agent_id or holder.body_digest not in origin.digests:
                raise _reused()
            run = transcripts.decoded(holder.pk, holder.content) or PastRun()
            status = UsageRecord.objects.filter(id=holder.pk).values_list("status", flat=True).first()
            opening = status is None and holder.created_at > timezone.now() - OPENING
            if status == Status.RUNNING or opening:
                raise _in_use()
            if status == Status.OK and run.answer is not None:
                return Beginning(run.turns, run.answer)
            return _take_over(holder, run, origin, ran=status is not None)
    except IntegrityError:  # a server of an earlier version claims keys without waiting for its turn
        raise _in_use() from None


def release_key(origin: Origin) -> None:
    """Undo `claim_key`: forget the request and give the key back to the run that it was taken from."""
    with own_turn():
        holder = Transcript.objects.filter(id=origin.run_id, idempotency_key=origin.idempotency_key).first()
        if holder is None:
            return
        run = transcripts.decoded(holder.pk, holder.content)
        holder.delete()
        if run is not None and run.taken:
            before = Transcript.objects.filter(id=run.taken[-1], scope=origin.scope)
            before.update(idempotency_key=origin.idempotency_key)


def _take_over(holder: Transcript, run: PastRun, origin: Origin, *, ran: bool) -> Beginning:
    taken = run.taken
    if ran:
        taken = [*taken, holder.pk]
        Transcript.objects.filter(pk=holder.pk).update(idempotency_key="")
    else:  # its process died, or gave up, between the claim and the usage row
        holder.delete()
    transcripts.save(origin, PastRun(run.turns, taken=taken))
    return Beginning(run.turns, taken=taken)


def _in_use() -> RequestConflict:
    return RequestConflict(
        "The first request with this Idempotency-Key is still being answered.", code="idempotency_key_in_use"
    )


def _reused() -> RequestConflict:
    return RequestConflict("This Idempotency-Key was used with another request body.", code="idempotency_key_reused")
