"""A crowd of clients at a slow provider: all are answered, by few threads and few database connections."""

import asyncio
import json
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest

from tests.live import Live
from tests.live.asking import TIMEOUT, body, somebody, text_of
from tests.unprivileged import needs_root
from tests.upstream import Upstream, hangs, says

CROWD = 300
THREADS = 20
CONNECTIONS = 4  # the usage writer, the lease, the snapshot, and what reads for a page


def threads_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def connections_of(pid: int, database: Path) -> int:
    """How often the process has the database's main file open: once a connection.

    SQLite keeps what a closed connection had open for the next one: this is the most there ever were at once.
    """
    opened = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            opened.append(os.readlink(entry))
    return opened.count(str(database))


async def ask_for(session: aiohttp.ClientSession, live: Live, name: str, number: int) -> str:
    streamed = number % 2 == 0
    request = body(stream=streamed, user=name)
    async with session.post(f"{live.base_url}/chat/completions", json=request) as response:
        assert response.status == 200
        if not streamed:
            return str((await response.json())["choices"][0]["message"]["content"])
        lines = (await response.text()).strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    return text_of([json.loads(line.removeprefix("data: ")) for line in lines])


@needs_root
@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells what a process has open")
async def test_a_crowd_is_answered_by_few_threads_and_connections(server: Live, upstream: Upstream):
    name = somebody()
    upstream.default = hangs(says("Here you are."))
    database = (server.data_dir / "openfang.sqlite3").resolve()
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.timeout(TIMEOUT):
        asking = [asyncio.create_task(ask_for(session, server, name, number)) for number in range(CROWD)]
        await asyncio.to_thread(upstream.wait_for_requests, CROWD, TIMEOUT)
        assert threads_of(server.process.pid) < THREADS
        assert 1 <= connections_of(server.process.pid, database) <= CONNECTIONS
        assert len(server.usage(f"end_user = '{name}' AND status = 'running'")) == CROWD
        upstream.release()
        answers = await asyncio.gather(*asking)
    assert Counter(answers) == {"Here you are.": CROWD}
    assert connections_of(server.process.pid, database) <= CONNECTIONS
    assert Counter(row["status"] for row in server.usage(f"end_user = '{name}'")) == {"ok": CROWD}
