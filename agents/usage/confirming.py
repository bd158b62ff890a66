"""What happens on the event loops once entries are settled: watchers hear of it, and requests go on."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import TypeVar

from django.dispatch import Signal

from agents.errors import AgentError, UsageNotRecorded
from agents.usage.entries import Entry

T = TypeVar("T")

# Sent from the ledger's thread after a commit: `ids` of requests that have begun or ended, the `loop` they are on, and
# the entries that have `closed` rows.
requests_changed = Signal()


def confirm(entries: Sequence[Entry]) -> None:
    """Tell who watches, and let the requests go on that wait for these entries, each on its own event loop."""
    if not entries:
        return
    loop = entries[-1].committed.get_loop()
    written = [entry for entry in entries if entry.failure is None]
    ids = [entry.row.id for entry in written if entry.refusal is None]
    closed = [entry for entry in written if not entry.opens]
    # send_robust: a receiver that fails must not keep these requests waiting.
    requests_changed.send_robust(None, ids=ids, closed=closed, loop=loop)
    waiting: dict[asyncio.AbstractEventLoop, list[Entry]] = {}
    for entry in entries:
        waiting.setdefault(entry.committed.get_loop(), []).append(entry)
    # Last: this thread now waits for more, and does not hold up those that go on.
    for loop, confirmed in waiting.items():
        # The loop may have been closed under an abandoned request.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(_resolve, confirmed)


def _resolve(entries: list[Entry]) -> None:
    for entry in entries:
        if entry.committed.done():
            continue
        failure: AgentError | None = entry.failure or entry.refusal
        if failure is not None:
            entry.committed.set_exception(failure)
            entry.committed.exception()  # a row that is closed later has no waiter
        else:
            entry.committed.set_result(None)


async def within(seconds: float, done: asyncio.Future[T], otherwise: str) -> T:
    """Wait for the ledger's thread. Raises UsageNotRecorded after so long; asyncio.timeout would cost far more."""

    def give_up() -> None:
        if not done.done():
            done.set_exception(UsageNotRecorded(otherwise))

    patience = done.get_loop().call_later(seconds, give_up)
    try:
        return await done
    finally:
        patience.cancel()
