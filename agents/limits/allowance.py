"""What a key may use of this server at once and within a minute, beside its number of requests."""

import asyncio
from contextlib import suppress
from functools import partial

from agents.errors import LimitsUnavailable, RateLimitExceeded
from agents.limits.counters import PARALLEL_REQUESTS
from agents.limits.counting import Minute, ask_cache, minute_of, shared, store
from agents.limits.requests import rate_headers

RENEW_SECONDS = 20


class Allowance:
    """One request's claim on its key's tokens a minute and on its parallel requests; taken once, given back once.

    The tokens of its first call are taken before it begins. Those of its later calls are counted as they come, and
    corrected at the end to what was used.
    """

    def __init__(self, name: str, *, tokens_per_minute: int = 0, parallel_requests: int = 0) -> None:
        self._tokens_per_minute = tokens_per_minute
        self._parallel_requests = parallel_requests
        self._name = name
        self._slots = f"slots:{name}"
        self._minute: Minute | None = None
        self._taken = 0
        self._slot = ""
        self._more_slots: list[str] = []
        self._used_by_others: int | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What to tell of the tokens: nothing if they are not limited, or this request has not looked."""
        if not self._tokens_per_minute or self._used_by_others is None:
            return {}
        left = self._tokens_per_minute - self._used_by_others - self._taken
        minute = self._minute or minute_of(self._name)
        return rate_headers("tokens", self._tokens_per_minute, left, minute.seconds_left)

    async def look(self) -> None:
        """See how many tokens are used up, unless that was seen when some were taken."""
        if self._tokens_per_minute and self._used_by_others is None:
            with suppress(LimitsUnavailable):
                self._used_by_others = await ask_cache(lambda: minute_of(self._name).count("tokens"))

    async def take(self, tokens: int) -> int:
        """Take a parallel request and this many tokens, at most a whole minute's, and return how many were taken.

        Raises RateLimitExceeded, and then has taken nothing.
        """
        try:
            await ask_cache(lambda: self._take(tokens))
        except BaseException:
            await self.settle(-self._taken)
            raise
        if self._slot and shared():
            renewals.hold(self._slots, self._slot)
        return self._taken

    async def take_another(self) -> bool:
        """Take one more parallel request, given back with the first; false if the key has none left."""
        if not self._parallel_requests:
            return True
        slot = ""
        with suppress(LimitsUnavailable):
            slot = await ask_cache(self._take_another)
        if slot and shared():
            renewals.hold(self._slots, slot)
        return bool(slot)

    def of_tokens(self) -> "Allowance | None":
        """Return an allowance of the same key for a run within this request's, which takes tokens alone."""
        limit = self._tokens_per_minute
        return Allowance(self._name, tokens_per_minute=limit) if limit else None

    async def count(self, more: int) -> None:
        """Count tokens beyond those taken, or fewer; never gives back what an earlier minute had."""
        if counted := self._correct(more):
            minute = self._minute or minute_of(self._name)
            with suppress(LimitsUnavailable):
                await ask_cache(lambda: minute.add("tokens", counted))

    async def settle(self, more: int) -> None:
        """Give back the parallel requests, and count the tokens used beyond those taken, or fewer."""
        if self._minute is None:
            return
        await self._give_back_more()
        slot, self._slot = self._slot, ""
        counted, minute = self._correct(more), self._minute
        renewals.let_go(self._slots, slot)
        if slot or counted:
            with suppress(LimitsUnavailable):
                await ask_cache(lambda: store().give_back(self._slots, slot, minute.key("tokens"), counted))

    async def _give_back_more(self) -> None:
        more, self._more_slots = self._more_slots, []
        for slot in more:
            renewals.let_go(self._slots, slot)
            with suppress(LimitsUnavailable):
                await ask_cache(partial(store().give_back, self._slots, slot, "", 0))

    def _take_another(self) -> str:
        taken = store().take(self._slots, self._parallel_requests, "", 0, 0)
        if taken.slot:
            self._more_slots.append(taken.slot)  # here, so that it is given back even if the request ends meanwhile
        return taken.slot

    def _correct(self, more: int) -> int:
        """Note tokens in the running minute, and return how many the cache is to add there."""
        if not self._tokens_per_minute:
            return 0
        if self._minute is None or self._minute.over:
            self._minute, self._taken = minute_of(self._name), 0
        more = max(more, -self._taken)
        self._taken += more
        return more

    def _take(self, tokens: int) -> None:
        self._minute = minute = minute_of(self._name)
        # Who asks for more than a whole minute's gets a whole minute's: it could never begin otherwise.
        wanted, most = min(tokens, self._tokens_per_minute), self._tokens_per_minute
        taken = store().take(self._slots, self._parallel_requests, minute.key("tokens"), wanted, most)
        self._used_by_others, self._slot = taken.used, taken.slot
        if taken.exceeded:
            retry_after = 1 if taken.exceeded == PARALLEL_REQUESTS else minute.seconds_left
            raise RateLimitExceeded(retry_after=retry_after, exceeded=taken.exceeded)
        self._taken = wanted


class Renewals:
    """Keeps this process's slots in a shared cache from being taken for those of a dead process."""

    def __init__(self) -> None:
        self._held: set[tuple[str, str]] = set()
        self._task: asyncio.Task[None] | None = None

    def hold(self, slots: str, slot: str) -> None:
        self._held.add((slots, slot))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._renew())

    def let_go(self, slots: str, slot: str) -> None:
        self._held.discard((slots, slot))

    async def _renew(self) -> None:
        while self._held:
            await asyncio.sleep(RENEW_SECONDS)
            for held in tuple(self._held):
                with suppress(LimitsUnavailable):
                    await ask_cache(partial(store().renew, *held))


renewals = Renewals()
