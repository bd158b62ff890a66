"""The writing of usage rows: one thread, which commits whatever has gathered in one transaction."""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.dispatch import Signal
from msgspec import Struct

from agents.errors import UsageNotRecorded
from agents.limits.budgets import Hold
from agents.models import ModelPrice, UsageRecord, UsageStep
from agents.sql.rows import new_row
from agents.usage import retention, workers
from agents.usage.content import Conversation
from agents.usage.entries import Entry, commit_entries

logger = logging.getLogger(__name__)

# Sent from the ledger's thread after a commit: `ids` of requests that have begun or ended, the `loop` they are on, and
# the entries that have `closed` rows.
requests_changed = Signal()

T = TypeVar("T")

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 30.0
RETRY_SECONDS = 1.0
GATHER_SECONDS = 0.001  # for more to come where several came before: a row costs a third of it in a commit of many


class Work(Struct, eq=False):
    """Something else to do with the database, and the future that gets its result, if anyone waits for it."""

    function: Callable[[], Any]
    done: asyncio.Future[Any] | None = None


class Ledger:
    """Opens and closes usage rows. What cannot be committed now is kept and tried again, in order."""

    def __init__(self, *, open_seconds: float = OPEN_SECONDS, close_seconds: float = CLOSE_SECONDS) -> None:
        self._open_seconds = open_seconds
        self._close_seconds = close_seconds
        self.worker_id = UUID(int=0)
        self._queue: queue.SimpleQueue[Entry | Work | None] = queue.SimpleQueue()
        self._unwritten: list[Entry] = []
        self._several = False
        self._refused = False
        self._posted: list[Work] = []
        self._waited_for: list[Work] = []
        self._renewed = self._deleted = time.monotonic()
        self._thread = threading.Thread(target=self._work, name="openfang-ledger", daemon=True)
        self._registered: Future[UUID] = Future()

    def start(self) -> None:
        """Enter this process among the workers; raises DatabaseError if that fails."""
        self._thread.start()
        self.worker_id = self._registered.result()

    @property
    def backlog(self) -> int:
        """How much waits to be written."""
        return self._queue.qsize() + len(self._unwritten)

    @property
    def works(self) -> bool:
        """Whether the database took what it was last given."""
        return self._thread.is_alive() and not self._refused

    def stop(self) -> None:
        """Write what is left, give the lease back and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=self._close_seconds)

    async def open(self, row: UsageRecord, hold: Hold | None = None) -> None:
        """Commit the row of a request that begins, and what it reserves of its budgets.

        Raises UsageNotRecorded if that cannot be done in `open_seconds`, BudgetExceeded if a budget does not cover it.
        """
        committed = asyncio.get_running_loop().create_future()
        # A copy: a request that gives up here closes its row, while this may still be on its way into the table.
        await self._commit(Entry(new_row(UsageRecord, **vars(row)), committed, hold=hold), self._open_seconds)

    async def close(
        self,
        row: UsageRecord,
        steps: list[UsageStep],
        conversation: Conversation | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Commit how a request ended. Raises UsageNotRecorded after `close_seconds`; the row is still tried again."""
        committed = asyncio.get_running_loop().create_future()
        await self._commit(Entry(row, committed, steps, conversation, hold), self._close_seconds)

    def close_later(
        self,
        row: UsageRecord,
        steps: list[UsageStep],
        conversation: Conversation | None = None,
        hold: Hold | None = None,
    ) -> None:
        """Have a row closed whose request waits for the database no longer."""
        self._queue.put(Entry(row, asyncio.get_running_loop().create_future(), steps, conversation, hold))

    async def perform(self, function: Callable[[], T]) -> T:
        """Call a function that uses the database in the ledger's thread, after what was entered before it."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._queue.put(Work(function, done))
        return await _within(self._open_seconds, done, "The server's database does not answer.")

    def post(self, function: Callable[[], object]) -> None:
        """Have a function called in the ledger's thread, before what is entered after it, without waiting for it."""
        self._queue.put(Work(function))

    async def _commit(self, entry: Entry, seconds: float) -> None:
        self._queue.put(entry)
        await _within(seconds, entry.committed, "The usage of this request could not be recorded.")

    def _work(self) -> None:
        try:
            worker_id = workers.register()
        except DatabaseError as error:
            self._registered.set_exception(error)
            return
        self._registered.set_result(worker_id)
        stopping = False
        while not stopping:
            stopping = self._gather()
            # Whoever learns that a run is closed must find what it has left.
            self._perform(self._posted)
            self._write()
            self._perform(self._waited_for)
            if time.monotonic() - self._renewed >= workers.RENEW_SECONDS:
                self._refused = self._guarded(partial(workers.renew, worker_id)) is not None
                self._guarded(ModelPrice.objects.apply_due)
                self._renewed = time.monotonic()
            if time.monotonic() - self._deleted >= retention.PAUSE_SECONDS:
                self._guarded(retention.delete_some)
                self._deleted = time.monotonic()
        self._guarded(partial(workers.leave, worker_id))
        connection.close()

    def _gather(self) -> bool:
        """Wait for entries and take all there are; true when the last is in."""
        try:
            entry = self._queue.get(timeout=RETRY_SECONDS if self._unwritten or self._posted else workers.RENEW_SECONDS)
            if self._several:
                time.sleep(GATHER_SECONDS)
            while entry is not None:
                if isinstance(entry, Entry):
                    self._unwritten.append(entry)
                elif entry.done is None:
                    self._posted.append(entry)
                else:
                    self._waited_for.append(entry)
                entry = self._queue.get_nowait()
        except queue.Empty:
            return False
        return True

    def _write(self) -> None:
        """Commit all that is unwritten at once; if that fails, each on its own, so that a bad row holds up no other."""
        batch = [entry for entry in self._unwritten if not (entry.opens and entry.committed.done())]
        self._unwritten = []
        self._several = len(batch) > 1
        failure = self._guarded(partial(commit_entries, batch)) if batch else None
        if failure is None:
            self._refused = False if batch else self._refused
            _confirm(batch)
            return
        if isinstance(failure, OperationalError):
            self._refused = True
            # The whole database does not answer; each alone would wait for it as long again.
            self._unwritten = batch
            return
        for entry in batch:
            if self._guarded(partial(commit_entries, [entry])) is None:
                _confirm([entry])
            else:
                self._unwritten.append(entry)

    def _perform(self, works: list[Work]) -> None:
        """Do what there is to do; what nobody waits for is kept while the database does not answer."""
        while works:
            work = works[0]
            # Unless whoever asked has waited long enough.
            if work.done is None or not work.done.done():
                try:
                    _tell(work.done, work.function())
                except (DatabaseError, InterfaceError) as error:
                    logger.warning("The database does not answer: %s", error)
                    connection.close()
                    if work.done is None and isinstance(error, OperationalError | InterfaceError):
                        return
                    _tell(work.done, UsageNotRecorded("The server's database does not answer."))
            works.pop(0)

    def _guarded(self, work: Callable[[], object]) -> DatabaseError | InterfaceError | None:
        """Do something with the database, and return what it failed with, if it did."""
        try:
            work()
        except (DatabaseError, InterfaceError) as error:
            logger.warning("Usage could not be written, it will be tried again: %s", error)
            connection.close()
            return error
        return None


def _confirm(entries: list[Entry]) -> None:
    """Tell who watches, and let the requests go on that wait for these entries, each on its own event loop."""
    if not entries:
        return
    loop = entries[-1].committed.get_loop()
    ids = [entry.row.id for entry in entries if entry.refusal is None]
    closed = [entry for entry in entries if not entry.opens]
    # Robust: whoever listens must not be able to end this thread.
    requests_changed.send_robust(Ledger, ids=ids, closed=closed, loop=loop)
    waiting: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in entries:
        waiting.setdefault(entry.committed.get_loop(), []).append(entry)
    # Last: this thread now waits for more, and does not hold up those that go on.
    for loop, confirmed in waiting.items():
        # The loop may have been closed under a request that nobody waits for any more.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, confirmed)


def _tell(done: asyncio.Future[Any] | None, result: object) -> None:
    """Give a future of an event loop its result, or its exception."""
    if done is None:
        return

    def tell() -> None:
        if done.done():
            return
        if isinstance(result, BaseException):
            done.set_exception(result)
        else:
            done.set_result(result)

    with suppress(RuntimeError):
        done.get_loop().call_soon_threadsafe(tell)


async def _within(seconds: float, done: asyncio.Future[T], otherwise: str) -> T:
    """Wait for the ledger's thread. Raises UsageNotRecorded after so long; asyncio.timeout would cost far more."""

    def give_up() -> None:
        if not done.done():
            done.set_exception(UsageNotRecorded(otherwise))

    patience = done.get_loop().call_later(seconds, give_up)
    try:
        return await done
    finally:
        patience.cancel()


def _resolve(entries: list[Entry]) -> None:
    for entry in entries:
        if entry.committed.done():
            continue
        if entry.refusal is not None:
            entry.committed.set_exception(entry.refusal)
        else:
            entry.committed.set_result(None)
