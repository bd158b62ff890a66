"""A worker as its supervisor knows it: the process, and the channel on which the two talk.

The worker says READY when it serves, and ENDPOINT when it wants to know where the embedded model is, of which there is
one for all workers. The channel's end tells either that the other is gone.
"""

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass

from agents.private_process import handing_over
from agents.providers.embedded import Embedded, EmbeddedModelUnavailable

READY, ENDPOINT = b"ready\n", b"endpoint\n"


@dataclass(frozen=True)
class Place:
    """What a worker inherits: descriptors of the socket, of its channel and of the seats, and the number of its own."""

    listener: int
    channel: int
    seats: int
    seat: int

    @property
    def descriptors(self) -> list[int]:
        return [self.listener, self.channel, self.seats]


class WorkerEnded(Exception):
    """A worker has ended before it served."""


class WorkerProcess:
    """A worker's process, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, channel: socket.socket, seat: int) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.seat = seat
        self.began = loop.time()
        self.dismissed = False
        self.gone = asyncio.Event()
        self._process = process
        self._channel = channel
        self._serves: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def start(cls, command: Sequence[str], listener: int, seats: int, seat: int) -> "WorkerProcess":
        """Start a worker that inherits the socket and the seats."""
        ours, its = socket.socketpair()
        place = Place(listener, its.fileno(), seats, seat)
        with its, handing_over() as (environment, descriptors):
            process = await asyncio.create_subprocess_exec(
                *command,
                *map(str, astuple(place)),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[*place.descriptors, *descriptors],
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which passes it on
            )
        return cls(process, ours, seat)

    async def until_it_serves(self) -> None:
        """Raises WorkerEnded."""
        await asyncio.shield(self._serves)

    def dismiss(self) -> None:
        """Have it end when its answers have, or at once if it has been told before."""
        self.dismissed = True
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def attend(self, model: Embedded) -> int:
        """Answer its questions until it ends; returns its exit status, or the signal that killed it as a negative."""
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(self._listen(model))
            status = await self._process.wait()
            listening.cancel()
        if not self._serves.done():
            self._serves.set_exception(WorkerEnded(ending(status)))
            self._serves.exception()  # nobody may wait any more
        self.gone.set()
        return status

    async def _listen(self, model: Embedded) -> None:
        reader, writer = await asyncio.open_unix_connection(sock=self._channel)
        try:
            with suppress(ConnectionError):
                async for line in reader:
                    if line == READY:
                        self._serves.set_result(None)
                    elif line == ENDPOINT:
                        writer.write(await _where(model))
        finally:
            writer.close()


async def _where(model: Embedded) -> bytes:
    said: dict[str, str | bool]
    try:
        endpoint = await model.endpoint()
    except EmbeddedModelUnavailable as error:
        said = {"error": str(error), "retryable": error.retryable}
    else:
        said = {"base_url": endpoint.base_url, "api_key": endpoint.api_key}
    return json.dumps(said).encode() + b"\n"


def ending(status: int) -> str:
    return f"exit status {status}" if status >= 0 else f"signal {-status}"
