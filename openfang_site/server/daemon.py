import asyncio
import logging
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import daphne.server
from twisted.logger import STDLibLogObserver, globalLogBeginner

from openfang_site.seats import Seat
from openfang_site.server.http import Channel, HTTPFactory
from openfang_site.server.limits import Limits
from openfang_site.server.port import take_connections
from openfang_site.server.reactor import reactor
from openfang_site.server.refusals import Headers, OnRefusal, Refusal
from openfang_site.server.websocket import WebSocket, WebSocketFactory

logger = logging.getLogger("openfang.server")

Message = dict[str, Any]
Application = Callable[..., Awaitable[None]]


class Server(daphne.server.Server):  # type: ignore[misc]
    """Daphne's server with limits, back-pressure, and a stop in which running answers end first."""

    def __init__(
        self, application: Application, listener: socket.socket, limits: Limits, seat: Seat, on_refusal: OnRefusal
    ) -> None:
        super().__init__(
            application,
            endpoints=[f"fd:fileno={listener.fileno()}"],
            signal_handlers=False,
            # One message for the whole body: in messages of 8 KB, 1 MB costs 23 ms in Channels.
            request_buffer_size=limits.body_bytes + 1,
            server_name="",
        )
        self.listener = listener
        self.limits = limits
        self.seat = seat
        self.on_refusal = on_refusal
        self.loop: asyncio.AbstractEventLoop = reactor._asyncioEventloop
        self.now = self.loop.time
        self.connections: dict[Any, dict[str, Any]] = {}
        self.channels: set[Channel] = set()
        self.draining = False
        self._asked_to_stop = asyncio.Event()
        self._settled = asyncio.Event()

    # Running and stopping

    def run(
        self,
        on_ready: Callable[[int], None],
        on_drain: Callable[[], None],
        on_cancel: Callable[[], None],
        on_stopped: Callable[[], Awaitable[None]],
    ) -> None:
        """Serve until a signal; returns when nothing runs any more, and raises what a hook raised."""
        # Twisted logs what a protocol raises; everything else it says is below a warning.
        observers: list[Any] = [STDLibLogObserver("twisted")]
        globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False, discardBuffer=True)
        asyncio.set_event_loop(self.loop)
        port = self.listener.getsockname()[1]
        self._open()
        life = self.loop.create_task(self._live(partial(on_ready, port), on_drain, on_cancel, on_stopped))
        for signal_number in (signal.SIGINT, signal.SIGTERM):
            self.loop.add_signal_handler(signal_number, self.stop)
        reactor.run(installSignalHandlers=False)
        life.result()

    def _open(self) -> None:
        self.ws_factory = WebSocketFactory(self)
        self.port: Any = take_connections(self.listener, HTTPFactory(self), self.seat)
        self.listener.close()  # Twisted has its own copy: with two, the system would go on accepting after a stop
        self.loop.call_later(self.limits.sweep_seconds, self._sweep)
        self.loop.call_later(2, self.timeout_checker)

    async def _live(
        self,
        on_ready: Callable[[], None],
        on_drain: Callable[[], None],
        on_cancel: Callable[[], None],
        on_stopped: Callable[[], Awaitable[None]],
    ) -> None:
        try:
            on_ready()
            await self._asked_to_stop.wait()
            await self._drain()
            on_drain()
            await self._until_settled(self.limits.drain_seconds)
            on_cancel()
            await self._cancel()
        finally:
            try:
                await on_stopped()
            finally:
                await self._end_tasks(asyncio.all_tasks() - {asyncio.current_task()})
                await self.loop.shutdown_asyncgens()
                reactor.stop()

    def stop(self) -> None:
        """The first call lets running answers end, the second cancels them at once."""
        if self._asked_to_stop.is_set():
            self._settled.set()
        self._asked_to_stop.set()

    async def _drain(self) -> None:
        self.draining = True
        self.port.take_all()
        await self.port.stopListening().asFuture(self.loop)
        self.seat.leave()
        for channel in tuple(self.channels):
            channel.close_unless_busy()
        for protocol in tuple(self.connections):
            if isinstance(protocol, WebSocket):
                protocol.go_away()
        self._settle()

    async def _until_settled(self, seconds: float) -> None:
        """Wait until no connection and no application is left, or until a second signal."""
        try:
            async with asyncio.timeout(seconds):
                await self._settled.wait()
        except TimeoutError:
            return

    async def _cancel(self) -> None:
        running = {task for details in self.connections.values() if (task := details.get("application_instance"))}
        if running:
            logger.warning("Cancelling %d requests that have not ended", len(running))
            await self._end_tasks(running)
        for channel in tuple(self.channels):
            channel.close()
        self._settled.clear()
        self._settle()
        await self._until_settled(1)  # for the last bytes to leave

    async def _end_tasks(self, tasks: "set[asyncio.Task[Any]]") -> None:
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self.limits.cancel_seconds)

    def _settle(self) -> None:
        if self.draining and not self.channels and not self.connections:
            self._settled.set()

    # Connections and applications

    def create_application(self, protocol: Any, scope: dict[str, Any]) -> "asyncio.Queue[Message] | None":
        queue: asyncio.Queue[Message] | None = super().create_application(protocol, scope)
        if queue is not None:
            task = self.connections[protocol]["application_instance"]
            task.add_done_callback(partial(self._application_ended, protocol))
        return queue

    async def handle_reply(self, protocol: Any, message: Message) -> None:
        """Pass on what the application sends, once the client has read enough of what was sent before."""
        details = self.connections.get(protocol)
        if details is None or "disconnected" in details:
            return
        channel = protocol.channel
        if channel is not None and channel.full:
            await channel.drained()
        await super().handle_reply(protocol, message)

    def _application_ended(self, protocol: Any, task: "asyncio.Task[None]") -> None:
        # Daphne looks for ended applications once a second, and until then keeps each with its request.
        details = self.connections[protocol]
        del details["application_instance"]
        error = None if task.cancelled() else task.exception()
        if error is not None:
            logger.error("Exception inside application", exc_info=error)
        if "disconnected" in details:
            del self.connections[protocol]
            self._settle()
        else:
            protocol.application_ended()

    def protocol_disconnected(self, protocol: Any) -> None:
        details = self.connections.get(protocol)
        if details is None:
            return
        if "application_instance" in details:
            details.setdefault("disconnected", time.time())
        else:
            del self.connections[protocol]
            self._settle()

    def channel_opened(self, channel: Channel) -> None:
        self.channels.add(channel)
        self.seat.count(len(self.channels))

    def channel_closed(self, channel: Channel) -> None:
        self.channels.discard(channel)
        self.seat.count(len(self.channels))
        self._settle()

    def _sweep(self) -> None:
        """Hold every client to its deadline, and every application to the time it has after its client has left."""
        self.loop.call_later(self.limits.sweep_seconds, self._sweep)
        now = self.now()
        for channel in tuple(self.channels):
            channel.check(now)
        long_ago = time.time() - self.application_close_timeout
        for details in tuple(self.connections.values()):
            if details.get("disconnected", long_ago) < long_ago and (task := details.get("application_instance")):
                logger.warning("Cancelling a request whose client left %d seconds ago", self.application_close_timeout)
                task.cancel()


def _nothing(*_: object) -> None:
    pass


async def _nothing_more() -> None:
    pass


def _no_headers(_: Refusal) -> Headers:
    return []


def serve(
    application: Application,
    listener: socket.socket,
    *,
    limits: Limits | None = None,
    seat: Seat | None = None,
    on_ready: Callable[[int], None] = _nothing,
    on_drain: Callable[[], None] = _nothing,
    on_cancel: Callable[[], None] = _nothing,
    on_stopped: Callable[[], Awaitable[None]] = _nothing_more,
    on_refusal: OnRefusal = _no_headers,
) -> None:
    """Serve an ASGI application on a socket from `listen` until SIGINT or SIGTERM, then let running answers end.

    With a `seat` the socket is one that other workers take connections from, too.
    `on_ready(port)` is called in the event loop, `on_drain()` when no new connection is taken any more,
    `on_cancel()` before what still runs is cancelled, `on_stopped()` when no application runs any more.
    `on_refusal(refusal)` is told of requests that the application does not see, and may give their answers headers.
    One call a process: a Twisted reactor can't run twice.
    """
    Server(application, listener, limits or Limits(), seat or Seat.alone(), on_refusal).run(
        on_ready, on_drain, on_cancel, on_stopped
    )
