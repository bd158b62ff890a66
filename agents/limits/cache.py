"""Redis for what all processes count together, with a cache of this process to fall back on."""

import logging
import threading
import time
from typing import Any

from django.conf import settings
from django.core.cache.backends.redis import RedisCache
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from agents.errors import LimitsUnavailable
from agents.limits.local_cache import LocalCache

logger = logging.getLogger(__name__)

TRY_AGAIN_SECONDS = 5.0
ANSWER_SECONDS = 1.0


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


class RedisOrLocal(RedisCache):
    """Redis while it answers; else the process's own cache or, if so set, LimitsUnavailable."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        super().__init__(server, params)
        # One retry, for connections that were made before Redis was restarted.
        self._options = {
            "socket_connect_timeout": ANSWER_SECONDS,
            "socket_timeout": ANSWER_SECONDS,
            "retry": Retry(NoBackoff(), 1),
        }
        self._local = LocalCounts("openfang-without-redis", {"OPTIONS": {"MAX_ENTRIES": 100_000}})

    def _ask(self, operation: str, *args: Any, **options: Any) -> Any:
        if not outage.holds:
            trying_again = outage.on
            try:
                answer = getattr(super(), operation)(*args, **options)
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

    def add(self, *args: Any, **options: Any) -> Any:
        return self._ask("add", *args, **options)

    def get(self, *args: Any, **options: Any) -> Any:
        return self._ask("get", *args, **options)

    def get_many(self, *args: Any, **options: Any) -> Any:
        return self._ask("get_many", *args, **options)

    def set(self, *args: Any, **options: Any) -> Any:
        return self._ask("set", *args, **options)

    def touch(self, *args: Any, **options: Any) -> Any:
        return self._ask("touch", *args, **options)

    def incr(self, *args: Any, **options: Any) -> Any:
        return self._ask("incr", *args, **options)

    def delete(self, *args: Any, **options: Any) -> Any:
        return self._ask("delete", *args, **options)

    def has_key(self, *args: Any, **options: Any) -> Any:
        return self._ask("has_key", *args, **options)

    def set_many(self, *args: Any, **options: Any) -> Any:
        return self._ask("set_many", *args, **options)

    def delete_many(self, *args: Any, **options: Any) -> Any:
        return self._ask("delete_many", *args, **options)

    def clear(self) -> Any:
        return self._ask("clear")


class LocalCounts(LocalCache):
    """Counts on from nothing what Redis had begun to count."""

    def incr(self, key: str, delta: int = 1, version: int | None = None) -> int:
        self.add(key, 0, 120, version)
        return super().incr(key, delta, version)
