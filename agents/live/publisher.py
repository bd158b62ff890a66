import asyncio
import logging
import threading
from uuid import UUID

from channels.layers import get_channel_layer
from django.conf import settings
from redis.exceptions import RedisError

logger = logging.getLogger(__name__)

GROUP = "requests"
INTERVAL = 0.25
MOST_IDS = 100  # twice what a page of the list shows


class Publisher:
    """Tells who watches the list of requests which of them have begun or ended, at most every INTERVAL seconds."""

    def __init__(self) -> None:
        self.watchers = 0
        self._lock = threading.Lock()
        self._ids: set[UUID] = set()
        self._due = False
        self._sent = 0.0
        self._sending: asyncio.Task[None] | None = None

    def changed(self, ids: list[UUID], loop: asyncio.AbstractEventLoop, **_: object) -> None:
        """Take a note of changed requests; called in the ledger's thread, for which it must be quick."""
        # Who watches in other processes is not known here.
        if not self.watchers and not settings.REDIS_URL:
            return
        with self._lock:
            self._ids.update(ids)
            if self._due:
                return
            self._due = True
        try:
            loop.call_soon_threadsafe(self._schedule, loop)
        except RuntimeError:  # the loop is closed: the server has stopped
            self._due = False

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(max(0.0, self._sent + INTERVAL - loop.time()), self._send, loop)

    def _send(self, loop: asyncio.AbstractEventLoop) -> None:
        with self._lock:
            ids, self._ids, self._due = self._ids, set(), False
        self._sent = loop.time()
        latest = sorted(ids, reverse=True)[:MOST_IDS]
        self._sending = loop.create_task(self._publish([str(changed) for changed in latest]))

    async def _publish(self, ids: list[str]) -> None:
        try:
            await get_channel_layer().group_send(GROUP, {"type": "requests.changed", "ids": ids})
        except (RedisError, OSError) as error:
            logger.warning("Live pages cannot be told of new requests: %s", type(error).__name__)


publisher = Publisher()
