"""The lease of this process, renewed by its own thread and connection: a slow writer must not cost live runs."""

import threading
import time
from collections.abc import Callable
from uuid import UUID

from django.db import connection

from agents.usage import workers
from agents.usage.failures import AWAY, failures, logger, note, words

RETRY_SECONDS = 1.0


class Lease:
    """Renews a worker's lease from `start` to `stop`; calls `on_end` if its thread must end before that."""

    def __init__(self, worker_id: UUID, on_end: Callable[[BaseException], None]) -> None:
        self._worker_id = worker_id
        self._on_end = on_end
        self._stopping = threading.Event()
        self._renewed = time.monotonic()
        self._unbroken_since = self._renewed
        self._thread = threading.Thread(target=self._work, name="openfang-lease", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join(timeout=workers.RENEW_SECONDS)

    @property
    def is_sound(self) -> bool:
        """Whether this process may judge the leases of others.

        A database that is locked for everyone keeps everyone from renewing. A process that was late itself gives the
        others the time to renew before it declares their runs lost.
        """
        now, lease = time.monotonic(), workers.LEASE.total_seconds()
        return now - self._renewed < lease and now - self._unbroken_since >= 2 * workers.RENEW_SECONDS

    def _work(self) -> None:
        try:
            pause = workers.RENEW_SECONDS
            while not self._stopping.wait(pause):
                pause = workers.RENEW_SECONDS if self._renew() else RETRY_SECONDS
            connection.close()
        except BaseException as error:
            self._on_end(error)

    def _renew(self) -> bool:
        try:
            workers.renew(self._worker_id)
        except AWAY as error:
            failures["lease"] += 1
            logger.warning("The lease of this worker could not be renewed, it will be tried again: %s", words(error))
            connection.close()
            return False
        except Exception as error:
            note("lease", "The lease of this worker could not be renewed", error)
            connection.close()
            return False
        now = time.monotonic()
        if now - self._renewed >= workers.LEASE.total_seconds():
            self._unbroken_since = now
        self._renewed = now
        return True
