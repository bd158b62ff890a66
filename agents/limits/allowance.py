"""What a key may use of this server at once and within a minute, beside its number of requests."""

import asyncio
import random
from contextlib import suppress
from functools import partial

from agents.errors import LimitsUnavailable, RateLimitExceeded
from agents.limits.counting import Minute, ask_cache, minute_of, shared, store

SLOT_SECONDS = 60  # after which the slot of a process that was killed is free again
RENEW_SECONDS = 20
TRIES = 8  # at slots taken at random, before all of them are read


class Allowance:
    """One request's claim on its key's tokens a minute and on its parallel requests; taken once, given back once.

    Of the tokens the request's estimate is taken at first. At its end this is corrected to what it has used.
    """

    def __init__(self, name: str, *, tokens_per_minute: int = 0, parallel_requests: int = 0) -> None:
        self.tokens_per_minute = tokens_per_minute
        self._parallel_requests = parallel_requests
        self._name = name
        self._minute: Minute | None = None
        self._taken = 0
        self._slot: str | None = None
        self._used_by_others = 0

    @property
    def tokens_left(self) -> int:
        """How many tokens the key had left when this request last looked."""
        return max(0, self.tokens_per_minute - self._used_by_others - self._taken)

    @property
    def seconds_left(self) -> int:
        return (self._minute or minute_of(self._name)).seconds_left

    def look(self) -> None:
        """See how many tokens are used up, without taking any."""
        self._used_by_others = minute_of(self._name).count("tokens")

    async def take(self, tokens: int) -> None:
        """Take a parallel request and this many tokens. Raises RateLimitExceeded, and then has taken nothing."""
        try:
            await ask_cache(lambda: self._take(tokens))
        except BaseException:
            await self.settle(0)
            raise
        if self._slot is not None and shared():
            renewals.hold(self._slot)

    async def settle(self, used: int) -> None:
        """Give back the parallel request, and correct the tokens taken to those used."""
        with suppress(LimitsUnavailable):
            await ask_cache(lambda: self._correct(used))
            await self._give_back_slot()

    async def add(self, used: int) -> None:
        """Count tokens of a run within this request's run."""
        if self.tokens_per_minute:
            with suppress(LimitsUnavailable):
                await ask_cache(lambda: minute_of(self._name).add("tokens", used))

    def _take(self, tokens: int) -> None:
        if self._parallel_requests:
            self._slot = self._free_slot()
            if self._slot is None:
                raise RateLimitExceeded(retry_after=1, exceeded="parallel requests")
        if self.tokens_per_minute:
            self._minute = minute_of(self._name)
            # Who asks for more than a whole minute's gets a whole minute's: it could never begin otherwise.
            wanted = min(tokens, self.tokens_per_minute)
            total = self._minute.add("tokens", wanted)
            self._used_by_others = total - wanted
            if total > self.tokens_per_minute:
                self._minute.add("tokens", -wanted)
                raise RateLimitExceeded(retry_after=self._minute.seconds_left, exceeded="tokens per minute")
            self._taken = wanted

    def _free_slot(self) -> str | None:
        expiry = SLOT_SECONDS if shared() else None
        for _ in range(TRIES):
            any_slot = f"slot:{self._name}:{random.randrange(self._parallel_requests)}"
            if store().add(any_slot, 1, expiry):
                return any_slot
        slots = [f"slot:{self._name}:{number}" for number in range(self._parallel_requests)]
        taken = store().get_many(slots)
        return next((slot for slot in slots if slot not in taken and store().add(slot, 1, expiry)), None)

    def _correct(self, used: int) -> None:
        if self._minute is None:
            return
        more, self._taken = used - self._taken, used
        if more and not self._minute.over:
            self._minute.add("tokens", more)
        elif more > 0:
            minute_of(self._name).add("tokens", more)

    async def _give_back_slot(self) -> None:
        slot, self._slot = self._slot, None
        if slot is not None:
            renewals.let_go(slot)
            await ask_cache(lambda: store().delete(slot))


class Renewals:
    """Keeps this process's slots in a shared cache from being taken for those of a dead process."""

    def __init__(self) -> None:
        self._slots: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def hold(self, slot: str) -> None:
        self._slots.add(slot)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._renew())

    def let_go(self, slot: str) -> None:
        self._slots.discard(slot)

    async def _renew(self) -> None:
        while self._slots:
            await asyncio.sleep(RENEW_SECONDS)
            for slot in tuple(self._slots):
                await ask_cache(partial(_renew, slot))


def _renew(slot: str) -> None:
    store().touch(slot, SLOT_SECONDS)


renewals = Renewals()
