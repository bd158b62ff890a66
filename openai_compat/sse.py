"""Streaming a run: one task reads it ahead, the other writes what is there, or a filler when there is nothing."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, suppress

from django.http.response import HttpResponseBase

from agents.errors import AgentError, UsageNotRecorded
from agents.types import Delta, Event, Finished
from openai_compat.errors import error_frame
from openai_compat.rendering import DONE, ChunkRenderer

# How far a run is read ahead of a client that takes nothing: small chunks by their number, large ones by their size.
READ_AHEAD = 256
READ_AHEAD_CHARACTERS = 65_536
# An error in the first seconds keeps its HTTP status; after that a client should see that it is being answered.
# Longer than the 5 s in which the usage row must have been opened, so that its failure is always a 503.
FIRST_EVENT_SECONDS = 6.0
# nginx and most load balancers cut an answer that is silent for 60 s; some clients do after 30 s.
SILENCE_SECONDS = 15.0


class RunReader:
    """Reads a run's events in a task of its own, a bounded way ahead of whoever takes them."""

    def __init__(self, events: AsyncGenerator[Event, None]) -> None:
        self._events: deque[Event] = deque()
        self._characters = 0
        self._room = asyncio.Event()
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._patient_until = 0.0
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._read(events))

    async def _read(self, events: AsyncGenerator[Event, None]) -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    self._events.append(event)
                    self._wake()
                    if type(event) is Delta:
                        self._characters += len(event.text) + len(event.reasoning)
                    if len(self._events) >= READ_AHEAD or self._characters >= READ_AHEAD_CHARACTERS:
                        self._room.clear()
                        await self._room.wait()
        finally:
            self._wake()

    async def first(self) -> None:
        """Wait a little for the first event. Raises what the run fails with before it has answered anything."""
        await self._wait(FIRST_EVENT_SECONDS)
        if self._task.done() and not self._events:
            await self._task

    @property
    def silent(self) -> bool:
        return not self._events

    async def take(self) -> list[Event]:
        """Return the events that are there, waiting for one; none after a silence. Raises what the run failed with."""
        await self._wait(SILENCE_SECONDS)
        taken = list(self._events)
        self._events.clear()
        self._characters = 0
        self._room.set()
        if not taken and self._task.done():
            await self._task
        return taken

    async def _wait(self, seconds: float) -> None:
        """Wait until there are events, the run is over, or the seconds are."""
        if self._events or self._task.done():
            return
        self._patient_until = self._loop.time() + seconds
        if self._timer is None:
            self._timer = self._loop.call_at(self._patient_until, self._look)
        self._waiter = self._loop.create_future()
        await self._waiter

    def _look(self) -> None:
        """End a wait that has been long enough. One timer serves many waits: one for each costs more than a chunk."""
        self._timer = None
        if self._waiter is not None and self._loop.time() < self._patient_until:
            self._timer = self._loop.call_at(self._patient_until, self._look)
        else:
            self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    async def aclose(self) -> None:
        """End the run, if it is not over, and wait until it has cleaned up."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None  # which holds this reader
        if not self._task.done():
            self._task.cancel()
            await asyncio.wait((self._task,))
        with suppress(asyncio.CancelledError):
            self._task.exception()  # an error is seen so, and a cancellation, which holds this reader, is not kept


class EventStream(HttpResponseBase):
    """A streamed answer: the consumer sends `frames()` as they come, and closes it, whatever happens."""

    def __init__(self, reader: RunReader, renderer: ChunkRenderer, *, include_usage: bool) -> None:
        super().__init__(content_type="text/event-stream; charset=utf-8")
        self["Cache-Control"] = "no-cache, no-transform"
        self["X-Accel-Buffering"] = "no"
        self._reader = reader
        self._renderer = renderer
        self._include_usage = include_usage
        self.ended = False

    async def frames(self) -> AsyncIterator[bytes]:
        """Yield the stream in pieces, each of all the chunks that were ready at once; with the last it is `ended`."""
        unsent = self._renderer.role()
        if self._reader.silent:
            # Servers hold the head of an answer back until its body begins.
            yield unsent
            unsent = b""
        try:
            while True:
                events = await self._reader.take()
                finished = events.pop() if events and isinstance(events[-1], Finished) else None
                unsent += self._renderer.deltas(event for event in events if isinstance(event, Delta))
                if isinstance(finished, Finished):
                    self.ended = True
                    yield unsent + self._renderer.end(finished, include_usage=self._include_usage)
                    return
                yield unsent or self._renderer.silence()
                unsent = b""
        except UsageNotRecorded as error:
            self.ended = True
            # Whoever sees [DONE] may rely on the usage row.
            yield unsent + error_frame(error)
        except AgentError as error:
            self.ended = True
            yield unsent + error_frame(error) + DONE

    async def aclose(self) -> None:
        await self._reader.aclose()
