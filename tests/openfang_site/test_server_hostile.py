"""The whole server, as it is started, among hostile clients: its memory stays small, and others are served."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.live import Live
from tests.live.asking import ask, content_of
from tests.upstream import Upstream, says

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells the memory of a process"),
]
MEGABYTE = 2**20
MOST_MEGABYTES = 300
IDLE = 500


def megabytes(live: Live, line: str = "VmRSS") -> float:
    status = Path(f"/proc/{live.process.pid}/status").read_text().splitlines()
    return next(int(row.split()[1]) / 1024 for row in status if row.startswith(f"{line}:"))


@pytest.fixture(scope="module")
def hostile_server(session_upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(tmp_path_factory.mktemp("hostile"), cast=session_upstream.base_url) as live:
        yield live


@pytest.fixture
def hostile(hostile_server: Live, upstream: Upstream) -> Iterator[Live]:
    """A server that serves others, and is small, when the test is over; the peak counts, not only what is left."""
    yield hostile_server
    upstream.says("Still here.")
    assert content_of(ask(hostile_server)) == "Still here."
    assert megabytes(hostile_server, "VmHWM") < MOST_MEGABYTES


@asynccontextmanager
async def connection(live: Live) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(live.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def others_are_served(live: Live, upstream: Upstream) -> None:
    upstream.says("Served.")
    assert content_of(await asyncio.to_thread(ask, live)) == "Served."


async def test_five_hundred_idle_connections(hostile: Live, upstream: Upstream) -> None:
    address = urlsplit(hostile.url)
    opened = [socket.create_connection((address.hostname, address.port)) for _ in range(IDLE)]
    try:
        await others_are_served(hostile, upstream)
    finally:
        for idle in opened:
            idle.close()


async def test_a_hundred_slow_lorises_are_closed(hostile: Live, upstream: Upstream) -> None:
    address = urlsplit(hostile.url)

    async def loris() -> bytes:
        async with connection(hostile) as (reader, writer):
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: " + address.netloc.encode() + b"\r\n")
            closed = asyncio.create_task(reader.read())
            while not closed.done():
                with suppress(ConnectionError):
                    writer.write(b"x-a: b\r\n")
                    await writer.drain()
                await asyncio.wait((closed,), timeout=1)
            with suppress(ConnectionError):
                return await closed
        return b""

    async with asyncio.timeout(120):  # a header may take 20 s
        lorises = [asyncio.create_task(loris()) for _ in range(100)]
        await others_are_served(hostile, upstream)
        for said in await asyncio.gather(*lorises):
            assert not said.startswith(b"HTTP/1.1 200")


async def test_a_chunked_body_of_a_gigabyte_is_cut_off(hostile: Live, upstream: Upstream) -> None:
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    chunk = b"100000\r\n" + b"x" * MEGABYTE + b"\r\n"
    async with connection(hostile) as (reader, writer), asyncio.timeout(120):
        writer.write(head + b"Transfer-Encoding: chunked\r\n\r\n")
        refusal = asyncio.create_task(reader.readline())
        with suppress(ConnectionError):
            for _ in range(1024):
                writer.write(chunk)
                await writer.drain()
        assert b"413" in await refusal
        await others_are_served(hostile, upstream)


async def test_clients_that_never_read_hold_no_memory(hostile: Live, upstream: Upstream) -> None:
    upstream.turns(*[says(["x" * 100_000] * 400) for _ in range(10)])
    body = b'{"model": "coder", "stream": true, "messages": [{"role": "user", "content": "Hi"}]}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    address = urlsplit(hostile.url)
    deaf = []
    for _ in range(10):
        client = socket.create_connection((address.hostname, address.port))
        client.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        deaf.append(client)
    try:
        await upstream.received(10)
        await others_are_served(hostile, upstream)
        assert megabytes(hostile) < MOST_MEGABYTES
    finally:
        for client in deaf:
            client.close()
