"""Clients that break the rules of HTTP, or leave in the middle; each goes on until it is cancelled."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from tests.deploy.topology import KEY, Topology
from tests.live.asking import body

PAUSE = 0.05  # between two attacks of one client
Attack = Callable[[Topology], Awaitable[bytes]]


@asynccontextmanager
async def connected(site: Topology) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    address = urlsplit(site.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(site: Topology, *headers: str, method: str = "POST") -> bytes:
    lines = [
        f"{method} /v1/chat/completions HTTP/1.1",
        f"Host: {urlsplit(site.url).netloc}",
        f"Authorization: Bearer {KEY}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


async def status_line(reader: asyncio.StreamReader) -> bytes:
    with suppress(ConnectionError):
        return (await reader.readline()).strip()
    return b""


async def bad_chunk(site: Topology) -> bytes:
    async with connected(site) as (reader, writer):
        writer.write(head(site, "Transfer-Encoding: chunked") + b"zz\r\n")
        return await status_line(reader)


async def bad_chunk_of_a_get(site: Topology) -> bytes:
    async with connected(site) as (reader, writer):
        writer.write(head(site, "Transfer-Encoding: chunked", method="GET") + b"2\r\n{}\r\nzz\r\n")
        return await status_line(reader)


async def stalled_body(site: Topology) -> bytes:
    async with connected(site) as (reader, writer):
        writer.write(head(site, "Content-Length: 1000") + b'{"model": ')
        return await status_line(reader)


async def oversized_headers(site: Topology) -> bytes:
    async with connected(site) as (reader, writer):
        writer.write(head(site, "Content-Length: 2", f"X-Large: {'x' * 40_000}") + b"{}")
        return await status_line(reader)


async def aborted_upload(site: Topology) -> bytes:
    async with connected(site) as (_, writer):
        writer.write(head(site, "Content-Length: 1000000") + b" " * 100_000)
        with suppress(ConnectionError):
            await writer.drain()
    return b""


async def deaf(site: Topology) -> bytes:
    """Ask for a long answer and read nothing of it; the proxy takes some megabytes for it."""
    asked = json.dumps(body("expert", stream=True)).encode()
    async with connected(site) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(head(site, f"Content-Length: {len(asked)}") + asked)
        await asyncio.Event().wait()
    return b""


@asynccontextmanager
async def attacked(site: Topology, attack: Attack, clients: int = 10) -> AsyncIterator[set[bytes]]:
    """Let clients attack until the end of the block, which learns what they were answered."""
    answers: set[bytes] = set()

    async def attack_on() -> None:
        while True:
            answers.add(await attack(site))
            await asyncio.sleep(PAUSE)

    attacking = [asyncio.create_task(attack_on()) for _ in range(clients)]
    try:
        yield answers
        assert not any(task.done() for task in attacking)
    finally:
        for task in attacking:
            task.cancel()
        await asyncio.gather(*attacking, return_exceptions=True)
