"""Counting in the cache: minutes that all processes agree on, and where the waiting for Redis is done."""

import asyncio
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache as once
from typing import TYPE_CHECKING, TypeVar, cast

from django.core.cache import caches
from msgspec import Struct

from agents.limits.local_cache import LocalCache

if TYPE_CHECKING:
    from agents.limits.cache import RedisOrLocal

T = TypeVar("T")

MINUTE = 60


class Minute(Struct, frozen=True):
    """One minute of somebody's counting. Everybody's begins at a second of its own, as django-ratelimit's do."""

    name: str
    ends: int

    @property
    def seconds_left(self) -> int:
        return max(1, self.ends - int(time.time()))

    @property
    def over(self) -> bool:
        return time.time() >= self.ends

    def key(self, counter: str) -> str:
        return f"{counter}:{self.name}:{self.ends}"

    def add(self, counter: str, amount: int) -> int:
        """Add to a counter of this minute and return what it has come to."""
        return store().count(self.key(counter), amount)

    def count(self, counter: str) -> int:
        return int(store().get(self.key(counter), 0))


def minute_of(name: str) -> Minute:
    """Return the minute that runs now for a name."""
    now = int(time.time())
    # django-ratelimit takes the second at which its window ends for the window's last.
    begun = (now - zlib.crc32(name.encode()) - 1) % MINUTE
    return Minute(name, now - begun + MINUTE)


@once
def store() -> "LocalCache | RedisOrLocal":
    """Return the cache, which any thread may use: Django's proxy looks for the thread's own at every call."""
    return cast("LocalCache | RedisOrLocal", caches["default"])


def shared() -> bool:
    """Tell whether the cache is another process, so that asking it takes time."""
    return not isinstance(store(), LocalCache)


@once
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(8, "openfang-limits")


async def ask_cache(function: Callable[[], T]) -> T:
    """Call a function that asks the cache: directly where the cache is in this process, else in a thread.

    A cancelled caller waits for the thread, so that it knows what to give back.
    """
    if not shared():
        return function()
    counted = asyncio.get_running_loop().run_in_executor(_threads(), function)
    try:
        return await asyncio.shield(counted)
    except asyncio.CancelledError:
        await asyncio.wait((counted,))
        raise
