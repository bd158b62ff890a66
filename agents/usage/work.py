"""Other work with the database that the ledger's thread does: questions that are waited for, and posts that are not."""

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Hashable, Sequence
from contextlib import suppress
from typing import Any

from django.db import DatabaseError, connection
from msgspec import Struct

from agents.errors import AgentError, RunFailed, UsageNotRecorded
from agents.usage.failures import AWAY, note, words
from agents.usage.writing import MOST_TRIES, answers

logger = logging.getLogger(__name__)


class Question(Struct, eq=False):
    """A function and the future that gets its result."""

    function: Callable[[], Any]
    done: asyncio.Future[Any]


class Post(Struct, eq=False):
    """A function to call without waiting for its result; `key` names the run it is about, if any."""

    function: Callable[[], object]
    key: Hashable = None
    tries: int = 0


def answer(questions: Sequence[Question]) -> None:
    """Answer each question whose asker still waits; what one fails with is its own."""
    for question in questions:
        if question.done.done():
            continue
        try:
            result = question.function()
        except Exception as error:
            settle(question.done, error=_shown(error))
        else:
            settle(question.done, result)


def _shown(error: Exception) -> AgentError:
    """Return what the asker gets for an error."""
    if isinstance(error, AgentError):
        return error
    if isinstance(error, AWAY):
        logger.warning("The database does not answer: %s", words(error))
        connection.close()
        return UsageNotRecorded("The server's database does not answer.")
    note("work", "A question to the database failed", error)
    if isinstance(error, DatabaseError):
        return UsageNotRecorded("The server's database refused this request; the server's log says why.")
    return RunFailed("The server failed to answer this request.")


def settle(done: asyncio.Future[Any], result: object = None, *, error: AgentError | None = None) -> None:
    """Give a future of an event loop its result or its error."""

    def resolve() -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)

    with suppress(RuntimeError):  # the loop is closed, so there is no waiter left
        done.get_loop().call_soon_threadsafe(resolve)


class Posts:
    """Posts that wait to be done. Of one key only one waits: its function reads what is current when it is called."""

    def __init__(self) -> None:
        self.waiting: list[Post] = []
        self._keys: set[Hashable] = set()

    def announce(self, key: Hashable) -> bool:
        """Say whether a post has to be queued; called on the event loop, after what its function reads was changed."""
        if key is None:
            return True
        if key in self._keys:
            return False
        self._keys.add(key)
        return True

    def perform(self, urgent: Collection[Hashable], seconds: float) -> bool:
        """Do the posts of these keys, then others for so many seconds; false if the database does not answer."""
        deadline = time.monotonic() + seconds
        first = [post for post in self.waiting if post.key in urgent]
        rest = [post for post in self.waiting if post.key not in urgent]
        self.waiting = [*first, *rest]
        while self.waiting:
            if len(self.waiting) <= len(rest) and time.monotonic() >= deadline:
                break
            if not self._do(self.waiting[0]):
                return False
            self.waiting.pop(0)
        return True

    def _do(self, post: Post) -> bool:
        # Before the call: a change from now on needs another post, as the function may have read already.
        self._keys.discard(post.key)
        try:
            post.function()
        except AWAY as error:
            connection.close()
            post.tries += 1
            if post.tries < MOST_TRIES or not answers():
                logger.warning("The database does not answer, a post is tried again: %s", words(error))
                self.announce(post.key)
                return False
            note("work", f"A post to the database was given up after {post.tries} tries", error)
        except Exception as error:
            note("work", "A post to the database failed", error)
        return True
