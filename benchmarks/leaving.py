"""How soon the LLM API is no longer asked when a client has left its stream."""

import asyncio
import json
import time

from benchmarks.loads import LEAVING
from benchmarks.targets import Target

TIMES, PATIENCE = 50, 10.0


async def leave(target: Target, upstream: Target, *, times: int = TIMES) -> list[float]:
    """Leave so many streams after their first chunk; return the milliseconds until each was left upstream."""
    took = []
    for _ in range(times):
        before = len(await _left(upstream))
        request = target.request(LEAVING)
        reader, writer = await asyncio.open_connection(request.host, request.port)
        writer.write(request.data)
        await reader.readuntil(b'"content":"word')
        began = time.monotonic()
        writer.transport.abort()
        async with asyncio.timeout(PATIENCE):
            while len(left := await _left(upstream)) == before:  # noqa: ASYNC110 -- another process knows
                await asyncio.sleep(0.01)
        took.append((left[-1] - began) * 1000)
    return took


async def _left(upstream: Target) -> list[float]:
    """Return when the streams were left, by the clock that the processes of a machine share."""
    request = upstream.request(LEAVING)
    reader, writer = await asyncio.open_connection(request.host, request.port)
    writer.write(b"GET /left HTTP/1.1\r\n\r\n")
    said = await reader.read()
    writer.close()
    moments: list[float] = json.loads(said.partition(b"\r\n\r\n")[2])
    return moments
