"""The load tool: connections over plain sockets that send one request again and again and time what comes back."""

import asyncio
import re
import statistics
import time
from collections.abc import Callable

from msgspec import Struct, field

WRITTEN_AT = re.compile(rb'"content":\s*"(\d+\.\d+) "')


class Answers(Struct):
    """What came back; times are in seconds. `chunk_delays` is known for streams that say when they were written."""

    took: list[float] = field(default_factory=list)
    first_byte: list[float] = field(default_factory=list)
    chunk_delays: list[float] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def per_second(self) -> float:
        return len(self.took) / self.seconds

    @property
    def median_ms(self) -> float:
        return statistics.median(self.took) * 1000

    @property
    def first_byte_ms(self) -> float:
        return statistics.median(self.first_byte) * 1000


class Request(Struct, frozen=True):
    """One request, ready to be sent; an answer is right if it is a 200 that contains `expected`."""

    host: str
    port: int
    data: bytes
    expected: bytes


class Connection(asyncio.Protocol):
    """Sends the request, reads the answer, and goes on while `more()` is true."""

    def __init__(self, request: Request, answers: Answers, more: Callable[[], bool]) -> None:
        self._request = request
        self._answers = answers
        self._more = more
        self._answer = bytearray()
        self._seen = 0
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._send()

    def _send(self) -> None:
        if not self._more():
            self._transport.close()
            return
        self._answer.clear()
        self._seen, self._first = 0, 0.0
        self._sent = time.perf_counter()
        self._transport.write(self._request.data)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._answer += data
        if not self._first and self._answer.find(b"\r\n\r\n", 0, -4) > 0:
            self._first = time.perf_counter()
        for written in WRITTEN_AT.finditer(self._answer, self._seen):
            self._answers.chunk_delays.append(now - float(written[1]))
            self._seen = written.end()
        if self._complete():
            self._note()
            self._send()

    def _complete(self) -> bool:
        head, _, body = self._answer.partition(b"\r\n\r\n")
        head = head.lower()
        if b"content-length:" in head:
            return len(body) >= int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        return body.endswith(b"0\r\n\r\n")

    def _note(self) -> None:
        now = time.perf_counter()
        if self._answer.startswith(b"HTTP/1.1 200") and self._request.expected in self._answer:
            self._answers.took.append(now - self._sent)
            self._answers.first_byte.append(self._first - self._sent)
        else:
            self._answers.failed.append(bytes(self._answer[:1000]).decode(errors="replace"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._complete():
            self._answers.failed.append(f"The connection was lost in mid-answer: {exc}")
        if not self.ended.done():
            self.ended.set_result(None)


async def ask(
    request: Request, *, connections: int, seconds: float = 0.0, count: int = 0, opened_within: float = 0.0
) -> Answers:
    """Send the request over so many connections at once, for so many seconds or so many times.

    The connections are opened one after the other within some seconds, or in one instant.
    """
    answers, began, sent = Answers(), time.perf_counter(), 0

    def more() -> bool:
        nonlocal sent
        if answers.failed or (time.perf_counter() - began >= seconds if seconds else sent >= count):
            return False
        sent += 1
        return True

    async def one(number: int) -> None:
        await asyncio.sleep(number * opened_within / connections)
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: Connection(request, answers, more), request.host, request.port
        )
        await connection.ended

    await asyncio.gather(*map(one, range(connections)))
    answers.seconds = time.perf_counter() - began
    return answers
