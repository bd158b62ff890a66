"""Several workers on one socket: started, watched, replaced when they die, and ended together."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, cast

from django.conf import settings
from django.db import DatabaseError, connection, connections

from agents.embedded_model import embedded_model
from agents.setup import SetupError
from agents.usage import workers
from openfang_site.seats import Seat, seats_file
from openfang_site.worker_process import WorkerEnded, WorkerProcess, ending

logger = logging.getLogger(__name__)

# Before a worker takes the place of one that lived long, of the first that died young, of the second in a row, ...
PAUSES = (0.0, 0.0, 1.0, 2.0, 4.0, 8.0)
YOUNG_SECONDS = 60.0
# Beyond the time that running answers have: for their clean-up, and for rows that wait for the database.
CLEAN_UP_SECONDS = 40.0


class Supervisor:
    """Keeps so many workers serving; an embedded model is its own child, so that there is one for all of them."""

    def __init__(
        self,
        listener: socket.socket,
        count: int,
        *,
        command: Sequence[str] = (),
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._listener = listener
        self._count = count
        self._command = command or (sys.executable, sys.argv[0], "start", "--worker")
        self._pauses = pauses
        self._model = embedded_model()
        self._workers: set[WorkerProcess] = set()
        self._serving = False
        self._replacing = False
        self._died_young = 0
        self._failure = ""
        self._asked_to_stop = asyncio.Event()
        self._burying = asyncio.Lock()  # one at a time: each closes the pool of connections after itself

    async def run(self, on_ready: Callable[[], None]) -> None:
        """Serve until a signal; `on_ready()` is called when all workers serve. Raises SetupError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        # At a terminal the system sends it when the terminal is closed; elsewhere an administrator does.
        loop.add_signal_handler(signal.SIGHUP, self.stop if os.isatty(0) else self.replace_all)
        # Twice as many seats as workers: those that are dismissed have answers to end while others serve.
        with seats_file(2 * self._count) as self._seats:
            self._free = set(range(2 * self._count))
            try:
                async with asyncio.TaskGroup() as self._tasks:
                    if await self._start():
                        self._serving = True
                        on_ready()
                    await self._asked_to_stop.wait()
                    loop.call_later(settings.OPENFANG_DRAIN_SECONDS + CLEAN_UP_SECONDS, self._kill_all)
            finally:
                await self._model.aclose()
        if self._failure:
            raise SetupError(self._failure)

    def stop(self) -> None:
        """The first call lets running answers end, the second cancels them at once."""
        self._asked_to_stop.set()
        self._listener.close()
        for worker in self._workers:
            worker.dismiss()

    def replace_all(self) -> None:
        """Put a new worker in the place of each, one after the other, so that there is always one to take a request."""
        if self._serving and not self._replacing and not self._asked_to_stop.is_set():
            self._tasks.create_task(self._replace_all())

    async def _start(self) -> bool:
        """Start all workers, and wait until each serves or has ended; returns whether all of them serve."""
        beginnings = (self._begin() for _ in range(self._count))
        ended = [end for end in await asyncio.gather(*beginnings, return_exceptions=True) if end is not None]
        for end in ended:
            if not isinstance(end, WorkerEnded):
                raise end
        return not ended

    async def _begin(self) -> None:
        """Start a worker, and wait until it serves. Raises WorkerEnded."""
        seat = min(self._free)
        self._free.remove(seat)
        worker = await WorkerProcess.start(self._command, self._listener.fileno(), self._seats.fileno(), seat)
        self._workers.add(worker)
        self._tasks.create_task(self._keep(worker))
        if self._asked_to_stop.is_set():
            worker.dismiss()
        await worker.until_it_serves()

    async def _keep(self, worker: WorkerProcess) -> None:
        """Attend to a worker until it ends, then do what that takes."""
        status = await worker.attend(self._model)
        self._workers.remove(worker)
        Seat(self._seats.fileno(), worker.seat).leave()
        self._free.add(worker.seat)
        if status != 0:
            async with self._burying:
                await asyncio.to_thread(_bury, worker.pid)
        if worker.dismissed:
            return
        if self._serving:
            logger.error("Worker %d has ended: %s.", worker.pid, ending(status))
            await self._replace(worker)
        else:
            self._give_up(f"A worker did not start: {ending(status)}.")

    async def _replace(self, dead: WorkerProcess) -> None:
        lived = asyncio.get_running_loop().time() - dead.began
        self._died_young = self._died_young + 1 if lived < YOUNG_SECONDS else 0
        if self._died_young == len(self._pauses):
            self._give_up(f"Workers end soon after their start, {self._died_young} in a row: the log says why.")
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._pauses[self._died_young]):
                await self._asked_to_stop.wait()
        # Fewer: one that was to take over, and did not start, leaves no gap.
        if not self._asked_to_stop.is_set() and len(self._workers) < self._count:
            with suppress(WorkerEnded):  # it is replaced in its turn
                await self._begin()

    async def _replace_all(self) -> None:
        self._replacing = True
        for old in tuple(self._workers):
            if self._asked_to_stop.is_set() or old not in self._workers:
                continue
            try:
                await self._begin()
            except WorkerEnded as end:
                logger.error("No more workers are replaced, the new one did not start: %s.", end)
                break
            old.dismiss()
            await old.gone.wait()
        self._replacing = False

    def _give_up(self, reason: str) -> None:
        self._failure = reason
        self.stop()

    def _kill_all(self) -> None:
        for worker in self._workers:
            logger.error("Worker %d does not end, and is killed.", worker.pid)
            worker.kill()


def _bury(pid: int) -> None:
    """Mark the rows of a dead worker as lost now, and not when its lease expires."""
    try:
        lost = workers.bury(pid)
        if lost:
            logger.error("%d requests of worker %d are lost.", lost, pid)
    except DatabaseError as error:
        logger.warning("What worker %d was at is marked as lost later, the database does not answer: %s", pid, error)
    finally:
        let_go_of_database()


def let_go_of_database() -> None:
    """Close this thread's connection, and PostgreSQL's pool, which keeps one open."""
    connections.close_all()
    if connection.vendor == "postgresql":
        cast(Any, connection).close_pool()
