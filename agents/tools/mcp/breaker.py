import time
from collections.abc import Callable

TOLERATED = 2
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 300.0


class Breaker:
    """Keeps calls away from a server that fails time after time; after each pause one more attempt is let through."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self.reason = ""

    @property
    def pause(self) -> float:
        """The seconds until the next attempt; 0 when one may be made."""
        return max(0.0, self._until - self._clock())

    def failed(self, reason: str) -> None:
        self.reason = reason
        self._failures += 1
        beyond = self._failures - TOLERATED - 1
        if beyond >= 0:
            self._until = self._clock() + min(FIRST_PAUSE * 2 ** min(beyond, 10), LONGEST_PAUSE)

    def succeeded(self) -> None:
        self._failures = 0
        self._until = 0.0
