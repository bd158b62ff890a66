"""One process that serves requests: the only one, or one of several under a supervisor."""

import asyncio
import gc
import json
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.db import connections

from agents.providers.embedded import STOPPED, Embedded, EmbeddedModelUnavailable, Endpoint
from agents.runs import engine
from agents.setup import SetupError
from agents.snapshot import Snapshot
from openfang_site.observability.workers import desk, directory_of_server
from openfang_site.seats import Seat
from openfang_site.server import Limits, serve
from openfang_site.worker_process import ENDPOINT, READY, Place

logger = logging.getLogger(__name__)

MOST_OPEN_FILES = 65_536
# Objects that are made and not freed until the youngest are looked through (5,000 in about a millisecond), how often
# that is done until the middle generation is, and how often that until all are.
YOUNG_OBJECTS, YOUNG_COLLECTIONS, MIDDLE_COLLECTIONS = 5_000, 4, 50


def serve_alone(listener: socket.socket, on_ready: Callable[[Snapshot], None]) -> None:
    """Serve until a signal."""
    _serve(listener, None, lambda: on_ready(engine.snapshot))


def serve_supervised(place: Place) -> None:
    """Serve until a signal, or until the supervisor is gone."""

    def on_ready() -> None:
        supervisor = SupervisorLink(socket.socket(fileno=place.channel))
        engine.providers.embedded = supervisor
        links.append(asyncio.get_running_loop().create_task(supervisor.attend()))

    links: list[asyncio.Task[None]] = []
    with desk.shared(directory_of_server(), worker=str(place.seat)):
        _serve(socket.socket(fileno=place.listener), Seat(place.seats, place.seat), on_ready)


def _serve(listener: socket.socket, seat: Seat | None, tell_ready: Callable[[], None]) -> None:
    allow_many_open_files()
    engine.ledger.on_end = stop_this_process
    engine.start()
    connections.close_all()  # this thread needs the database no more
    from openfang_site.asgi import application, refused  # noqa: PLC0415 -- loads what the checks before it can do without

    warming_up: list[asyncio.Task[None]] = []

    def on_ready(_port: int) -> None:
        spare_streams_the_collector()
        tell_ready()
        if uses_embedded_model(engine.snapshot):
            warming_up.append(asyncio.get_running_loop().create_task(engine.providers.embedded.warm_up()))

    def on_drain() -> None:
        logger.info("Stopping: running answers have %d s to end, or until a second Ctrl-C", limits.drain_seconds)
        engine.drain()

    async def on_stopped() -> None:
        for task in warming_up:
            task.cancel()
        await engine.aclose()

    limits = Limits(body_bytes=settings.OPENFANG_MAX_BODY_BYTES, drain_seconds=settings.OPENFANG_DRAIN_SECONDS)
    serve(
        application,
        listener,
        limits=limits,
        seat=seat,
        on_ready=on_ready,
        on_drain=on_drain,
        on_cancel=engine.cancel_runs,
        on_stopped=on_stopped,
        on_refusal=refused,
    )
    if engine.ledger.has_failed:
        raise SetupError("The usage writer cannot go on, so this process has ended; the log says why.")


def stop_this_process() -> None:
    """Stop as at a SIGTERM, so that running answers can end; the exit code then tells that it was no ordinary stop."""
    os.kill(os.getpid(), signal.SIGTERM)


def spare_streams_the_collector() -> None:
    """Have Python look through everything for garbage seldom: with 1,000 streams open it stops them all for 0.17 s.

    What is loaded by now stays, and is looked through no more. A request to /v1 leaves nothing to the collector; pages
    do, and runs that fail.
    """
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, YOUNG_COLLECTIONS, MIDDLE_COLLECTIONS)


def allow_many_open_files() -> None:
    """Have more than the 1,024 with which shells and service managers start programs: a stream takes two."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < most:
        with suppress(ValueError, OSError):  # macOS has a lower limit, which it does not tell
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def uses_embedded_model(snapshot: Snapshot) -> bool:
    first_models = (agent.models[0] for agent in snapshot.agents if agent.models)
    return any(model.provider.kind == "embedded" for model in first_models)


class SupervisorLink(Embedded):
    """The supervisor as a worker knows it: the keeper of the embedded model, whose end is the worker's, too."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._writer: asyncio.Future[asyncio.StreamWriter] = asyncio.get_running_loop().create_future()
        self._answer: asyncio.Future[Endpoint] | None = None

    async def attend(self) -> None:
        """Say that this worker serves, hear the supervisor's answers, and stop when it is gone."""
        reader, writer = await asyncio.open_unix_connection(sock=self._channel)
        self._writer.set_result(writer)
        writer.write(READY)
        try:
            with suppress(ConnectionError):  # it may have been killed before it read what it was told
                async for line in reader:
                    self._hear(line)
            if not engine.stopping:
                logger.warning("The supervisor is gone; this worker stops.")
                os.kill(os.getpid(), signal.SIGTERM)
        finally:
            self._hear(json.dumps({"error": STOPPED, "retryable": False}).encode())
            writer.close()

    async def endpoint(self) -> Endpoint:
        """Ask the supervisor for the model; callers at the same time share the question."""
        writer = await self._writer
        if writer.is_closing():
            raise EmbeddedModelUnavailable(STOPPED, retryable=False)
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            writer.write(ENDPOINT)
        return await asyncio.shield(self._answer)

    async def aclose(self) -> None:
        """Leave the model running: other workers use it."""

    def _hear(self, line: bytes) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            return
        said = json.loads(line)
        if "error" in said:
            answer.set_exception(EmbeddedModelUnavailable(said["error"], retryable=said["retryable"]))
            answer.exception()  # nobody may wait any more
        else:
            answer.set_result(Endpoint(**said))
