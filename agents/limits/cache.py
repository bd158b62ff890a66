"""Redis for what all processes count together, with a cache of this process to fall back on."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.cache.backends.base import BaseCache
from redis.exceptions import RedisError

from agents.errors import LimitsUnavailable
from agents.limits.counters import SLOT_SECONDS
from agents.limits.local_cache import LocalCache
from agents.limits.redis_cache import RedisCounts

logger = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 5.0


class Outage:
    """Whether Redis is down, as far as this process knows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._try_at: float | None = None

    @property
    def on(self) -> bool:
        return self._try_at is not None

    @property
    def holds(self) -> bool:
        """True from a failure until it is time to try again."""
        try_at = self._try_at
        return try_at is not None and time.monotonic() < try_at

    def begins(self, error: Exception) -> None:
        with self._lock:
            first, self._try_at = self._try_at is None, time.monotonic() + TRY_AGAIN_SECONDS
        if first:
            then = "requests are refused" if refusing() else "this process counts for itself"
            # The error's type alone: its text may hold the password of the URL.
            logger.warning("Redis does not answer (%s); until it does, %s.", type(error).__name__, then)

    def ends(self) -> None:
        with self._lock:
            ended, self._try_at = self._try_at is not None, None
        if ended:
            logger.warning("Redis answers again.")


def refusing() -> bool:
    return bool(settings.OPENFANG_LIMITS_WITHOUT_REDIS == "refuse")


# Django makes an instance of a cache for each thread: what they know of Redis is common to them.
outage = Outage()


def either(operation: str) -> Callable[..., Any]:
    """Return an operation of a cache that Redis does or, while it does not answer, the process's own cache."""

    def ask(self: "RedisOrLocal", *args: Any, **options: Any) -> Any:
        if not outage.holds:
            trying_again = outage.on
            try:
                answer = getattr(self._redis, operation)(*args, **options)
            except RedisError as error:
                outage.begins(error)
            else:
                # An answer to what was asked before the outage says nothing of its end.
                if trying_again:
                    outage.ends()
                return answer
        if refusing():
            raise LimitsUnavailable("The server cannot check its limits at the moment.")
        return getattr(self._local, operation)(*args, **options)

    return ask


class RedisOrLocal(BaseCache):
    """Redis while it answers; else the process's own cache or, if so set, LimitsUnavailable."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._redis = RedisCounts(server, params)
        self._local = LocalCounts("openfang-without-redis", {"OPTIONS": {"MAX_ENTRIES": 100_000}})

    count, take, give_back, renew = map(either, ("count", "take", "give_back", "renew"))
    # Django makes its other operations of these.
    add, get, set, touch, incr, delete, clear = map(either, ("add", "get", "set", "touch", "incr", "delete", "clear"))


class RequestCounts(RedisOrLocal):
    """Counts for django-ratelimit, which adds a counter before it counts: here one need not be added to be there."""

    def add(self, *args: Any, **options: Any) -> bool:
        return False

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        return int(self.count(key, delta))


class LocalCounts(LocalCache):
    """Counts on from nothing what Redis had begun to count."""

    slot_seconds = SLOT_SECONDS  # those taken here may be given back to Redis, when that answers again

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        self.add(key, 0, 120, version)
        return super().incr(key, delta, version)
