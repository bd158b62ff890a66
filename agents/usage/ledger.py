"""The writing of usage rows: one thread, which commits whatever has gathered in one transaction.

Whatever fails costs only itself (`agents.usage.writing`, `agents.usage.work`). Should the thread's own code fail again
and again, the thread ends, every request that waits for it fails at once, and `on_end` ends the process.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import TypeVar
from uuid import UUID

from django.db import connection

from agents.errors import UsageNotRecorded
from agents.limits.budgets import Hold
from agents.models import ModelPrice, QuarantinedEntry, UsageRecord, UsageStep
from agents.sql.rows import new_row
from agents.usage import retention, workers
from agents.usage.confirming import confirm, within
from agents.usage.content import Conversation
from agents.usage.entries import Entry, clean_opening
from agents.usage.failures import AWAY, note, words
from agents.usage.leases import Lease
from agents.usage.work import Post, Posts, Question, answer, settle
from agents.usage.writing import answers, write

logger = logging.getLogger(__name__)

T = TypeVar("T")

OPEN_SECONDS = 5.0
CLOSE_SECONDS = 30.0
GATHER_SECONDS = 0.001  # for more to come where several came before: a row costs a third of it in a commit of many
POST_SECONDS = 0.05  # of each round, beside the posts of runs that end: entries wait meanwhile
MANY_STEPS = 200  # of one run: writing 2,000 takes 0.03 s of CPU on SQLite, 0.05 s on PostgreSQL
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # before what failed is tried again; doubled from try to try
MOST_FAILED_ROUNDS = 5  # in a row, before the thread gives up
NOT_RECORDED = "The usage of this request could not be recorded."
NO_DATABASE = "The server's database does not answer."


class Ledger:
    """Opens and closes usage rows. What cannot be committed now is kept and tried again, in order."""

    def __init__(self, *, open_seconds: float = OPEN_SECONDS, close_seconds: float = CLOSE_SECONDS) -> None:
        self._open_seconds = open_seconds
        self._close_seconds = close_seconds
        self.worker_id = UUID(int=0)
        self.quarantined = 0  # entries in the database, not of this process alone
        self.has_failed = self._has_ended = False
        self.on_end: Callable[[], None] = lambda: None
        self._queue: queue.SimpleQueue[Entry | Question | Post | None] = queue.SimpleQueue()
        self._unwritten: list[Entry] = []
        self._questions: list[Question] = []
        self._posts = Posts()
        self._several = False
        self._refused = False
        self._pause = self._paused_until = 0.0
        self._stop_by: float | None = None
        self._tended = self._deleted = time.monotonic()
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

    @property
    def has_stopped(self) -> bool:
        """Whether nothing will ever be written again, however long one waits."""
        return self.has_failed or (self._thread.ident is not None and not self._thread.is_alive())

    def stop(self) -> None:
        """Write what is left, give the lease back and end the thread."""
        self._queue.put(None)
        self._thread.join(timeout=self._close_seconds)

    async def open(self, row: UsageRecord, hold: Hold | None = None) -> None:
        """Commit the row of a request that begins, and what it reserves of its budgets.

        Raises UsageNotRecorded if that cannot be done in `open_seconds`, BudgetExceeded if a budget does not cover it.
        """
        committed = asyncio.get_running_loop().create_future()
        clean_opening(row)  # once: the closing row is the same object
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
        """Call a function that uses the database in the ledger's thread, after what was entered before it.

        Raises what the function raises if that is an AgentError; its other failures are logged, and raised as one.
        """
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._refuse_if_ended(NO_DATABASE)
        self._queue.put(Question(function, done))
        return await within(self._open_seconds, done, NO_DATABASE)

    def post(self, function: Callable[[], object], key: Hashable = None) -> None:
        """Have a function called in the ledger's thread, and do not wait for it.

        With the id of a run as `key` it is called before the run's closing row is committed, and once for all posts of
        that run that come while it waits: it has to read what is current when it is called.
        """
        if self._posts.announce(key):
            self._queue.put(Post(function, key))

    async def _commit(self, entry: Entry, seconds: float) -> None:
        self._refuse_if_ended(NOT_RECORDED)
        self._queue.put(entry)
        await within(seconds, entry.committed, NOT_RECORDED)

    def _refuse_if_ended(self, words: str) -> None:
        if self._has_ended:
            raise UsageNotRecorded(words)

    def _work(self) -> None:
        try:
            worker_id = workers.register()
        except Exception as error:
            self._registered.set_exception(error)
            return
        self._registered.set_result(worker_id)
        lease = Lease(worker_id, self._end)
        try:
            lease.start()
            self._rounds(lease)
            lease.stop()
            self._guarded(lambda: workers.leave(worker_id))
            connection.close()
        except BaseException as error:
            self._end(error)
            self._fail_all()
            lease.stop()

    def _rounds(self, lease: Lease) -> None:
        failed = 0
        while self._stop_by is None or (self._is_busy and time.monotonic() < self._stop_by):
            try:
                self._round(lease)
                failed = 0
            except Exception as error:
                failed += 1
                if failed == MOST_FAILED_ROUNDS:
                    raise
                note("round", "The usage writer failed, and goes on", error)
                time.sleep(FIRST_PAUSE)

    def _round(self, lease: Lease) -> None:
        self._gather()
        if time.monotonic() >= self._paused_until:
            self._do_posts()
            self._write()
        questions, self._questions = self._questions, []
        answer(questions)
        self._tend(lease)

    @property
    def _is_busy(self) -> bool:
        return bool(self._unwritten or self._posts.waiting or self._questions)

    def _gather(self) -> None:
        """Wait for entries and take all there are; the last is None."""
        pause = max(0.0, self._paused_until - time.monotonic())
        try:
            entry = self._queue.get(timeout=pause if self._is_busy else workers.RENEW_SECONDS)
            if self._several:
                time.sleep(GATHER_SECONDS)
            while entry is not None:
                if isinstance(entry, Entry):
                    self._unwritten.append(entry)
                elif isinstance(entry, Post):
                    self._posts.waiting.append(entry)
                else:
                    self._questions.append(entry)
                entry = self._queue.get_nowait()
            self._stop_by = time.monotonic() + self._close_seconds
        except queue.Empty:
            return

    def _do_posts(self) -> None:
        """Do some of the posts: all those of runs that end, as a closed run has to be found with what it saved."""
        if self._posts.waiting:
            ending = {entry.row.id for entry in self._unwritten if not entry.opens}
            self._note_answer(self._posts.perform(ending, POST_SECONDS))

    def _write(self) -> None:
        """Write what waits, and of the runs with very many steps one: all the others would wait for them."""
        waiting = [entry for entry in self._unwritten if not (entry.opens and entry.committed.done())]
        self._several = len(waiting) > 1
        light = [entry for entry in waiting if len(entry.steps or ()) < MANY_STEPS]
        heavy = [entry for entry in waiting if len(entry.steps or ()) >= MANY_STEPS]
        again = self._written(light)
        self._unwritten = again + heavy
        if heavy and not again:
            self._unwritten = heavy[1:] + self._written(heavy[:1])

    def _written(self, batch: list[Entry]) -> list[Entry]:
        """Write entries, confirm those that are settled, and return those to be tried again."""
        if not batch:
            return []
        settled, again = write(batch)
        self._note_answer(not again)
        confirm(settled)
        return again

    def _note_answer(self, answered: bool) -> None:
        """Note whether the database took what it was given; if not, leave it alone for a while."""
        self._refused = not answered
        self._pause = 0.0 if answered else min(max(FIRST_PAUSE, 2 * self._pause), LONGEST_PAUSE)
        self._paused_until = time.monotonic() + self._pause

    def _tend(self, lease: Lease) -> None:
        """Do what is due every few seconds."""
        if time.monotonic() - self._tended >= workers.RENEW_SECONDS:
            self._refused = not (self._guarded(workers.reap) if lease.is_sound else answers())
            self._guarded(ModelPrice.objects.apply_due)
            self._guarded(self._count_quarantined)
            self._tended = time.monotonic()
        if time.monotonic() - self._deleted >= retention.PAUSE_SECONDS:
            self._guarded(retention.delete_some)
            self._deleted = time.monotonic()

    def _count_quarantined(self) -> None:
        self.quarantined = QuarantinedEntry.objects.count()

    def _guarded(self, function: Callable[[], object]) -> bool:
        """Do something with the database that is due again anyway, and say whether it could be done."""
        try:
            function()
        except AWAY as error:
            logger.warning("The database does not answer: %s", words(error))
            connection.close()
            return False
        except Exception as error:
            note("work", f"{getattr(function, '__name__', 'A task')} failed", error)
            return False
        return True

    def _end(self, error: BaseException) -> None:
        note("round", "The usage writer cannot go on, this process ends", error)
        self.has_failed = True
        self.on_end()

    def _fail_all(self) -> None:
        """Fail what waits for this thread; what comes later is refused at once."""
        self._has_ended = True
        self._queue.put(None)
        self._gather()
        for entry in self._unwritten:
            entry.failure = UsageNotRecorded(NOT_RECORDED)
        confirm(self._unwritten)
        for question in self._questions:
            settle(question.done, error=UsageNotRecorded(NO_DATABASE))
