"""A server that is killed: no request is forgotten, and no answer that was given to its end is called lost."""

import asyncio

import aiohttp

from tests.live import Live
from tests.live.asking import ask, body, content_of, row_of
from tests.upstream import Upstream, stalls

STREAMS = 50


async def test_every_admitted_request_has_a_row_after_a_kill(server: Live, upstream: Upstream):
    """Half of the answers are at their end at about the time of the kill, the others never get there."""
    upstream.default = stalls("One ", then="two")
    admitted: set[str] = set()
    done: set[str] = set()
    all_admitted = asyncio.Event()
    some_done = asyncio.Event()
    server_gone = asyncio.Event()

    async def read(session: aiohttp.ClientSession) -> None:
        try:
            async with session.post(f"{server.base_url}/chat/completions", json=body(stream=True)) as response:
                assert response.status == 200
                request_id = response.headers["x-request-id"].removeprefix("req_")
                admitted.add(request_id)
                if len(admitted) == STREAMS:
                    all_admitted.set()
                async for line in response.content:
                    if line == b"data: [DONE]\n":
                        done.add(request_id)
                        some_done.set()
        except aiohttp.ClientError:
            await server_gone.wait()

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        reading = [asyncio.create_task(read(session)) for _ in range(STREAMS)]
        async with asyncio.timeout(60):
            await all_admitted.wait()
            for request in upstream.requests[::2]:
                request.release()
            await some_done.wait()
        server.kill()
        server_gone.set()
        await asyncio.gather(*reading)
    worker = server.rows("SELECT id FROM agents_worker")
    server.start()

    rows = {row["id"]: row for row in server.usage()}
    assert done
    assert admitted == rows.keys()
    assert {rows[request_id]["status"] for request_id in done} == {"ok"}
    assert {row["status"] for row in rows.values()} == {"ok", "lost"}
    lost = [row for row in rows.values() if row["status"] == "lost"]
    assert all(row["error_code"] == "server_lost" and row["ended_at"] for row in lost)
    [now] = server.rows("SELECT id FROM agents_worker")
    assert now not in worker
    [sums] = server.rows("SELECT sum(requests) AS requests, sum(lost) AS lost FROM agents_usagerollup")
    assert sums == {"requests": len(rows), "lost": len(lost)}
    upstream.says("Hello again")
    answer = ask(server)
    assert content_of(answer) == "Hello again"
    assert row_of(server, answer)["worker_id"] == now["id"]
