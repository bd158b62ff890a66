import random

from django.core.cache.backends.locmem import LocMemCache

from agents.limits.counters import KEPT_SECONDS, PARALLEL_REQUESTS, TOKENS_PER_MINUTE, Taken


class LocalCache(LocMemCache):
    """The cache of one process. Takes keys as they are: all are made here, and Django would look at every character."""

    slot_seconds: int | None = None  # a process that dies leaves none behind

    def validate_key(self, key: str) -> None:
        pass

    def count(self, counter: str, amount: int) -> int:
        """Add to a counter, which begins at nothing, and return what it has come to."""
        try:
            return int(self.incr(counter, amount))
        except ValueError:  # there is no such counter yet
            return amount if self.add(counter, amount, KEPT_SECONDS) else int(self.incr(counter, amount))

    def take(self, slots: str, most_slots: int, counter: str, tokens: int, most_tokens: int) -> Taken:
        """Take a slot, where they are limited, and tokens, where these are; or neither."""
        slot = self._free_slot(slots, most_slots) if most_slots else ""
        if slot is None:
            return Taken(exceeded=PARALLEL_REQUESTS)
        if not most_tokens:
            return Taken(slot=slot)
        total = self.count(counter, tokens)
        if total > most_tokens:
            self.give_back(slots, slot, counter, -tokens)
            return Taken(total - tokens, exceeded=TOKENS_PER_MINUTE)
        return Taken(total - tokens, slot)

    def give_back(self, slots: str, slot: str, counter: str, more: int) -> None:
        """Free a slot, if there is one, and count tokens that were taken too many or too few."""
        if slot:
            self.delete(f"{slots}:{slot}")
        if more:
            self.count(counter, more)

    def renew(self, slots: str, slot: str) -> None:
        self.touch(f"{slots}:{slot}", self.slot_seconds)

    def _free_slot(self, slots: str, most: int) -> str | None:
        first = random.randrange(most)  # from a number of its own it soon comes to one that is free
        for number in range(first, first + most):
            slot = str(number % most)
            if self.add(f"{slots}:{slot}", 1, self.slot_seconds):
                return slot
        return None
