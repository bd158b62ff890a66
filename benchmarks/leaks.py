"""Whether the server keeps anything of requests that are over: short streams, some of which their clients leave."""

import asyncio
import random
import socket
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from msgspec import Struct, structs

from benchmarks.load import ask
from benchmarks.loads import Load
from benchmarks.processes import printed_url, running
from benchmarks.targets import Target, ours

STREAMS, CONNECTIONS = 10_000, 32
LEFT = 0.1  # of the streams, at a random moment of the second that they take
GROWTH = 1.05  # of the memory, in the second half
MOST_THREADS = 20
MOST_RUNS = 4  # the last one may be held by what has ended it
SETTLE_SECONDS = 60.0
WHOLE = Load("whole", "stream-50", 1, stream=True)
LONG = Load("long", "slow-10-1", 1, stream=True)


class Leak(Exception):
    """Something is left of requests that are over."""


class Held(Struct, frozen=True):
    """What the server has at a moment."""

    tasks: int
    runs: int
    threads: int
    sockets: int
    open_rows: int
    megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.megabytes:.1f} MB, {self.tasks} tasks, {self.runs} runs, {self.threads} threads, "
            f"{self.sockets} sockets, {self.open_rows} open rows"
        )

    def no_more_than(self, other: "Held") -> bool:
        return (
            self.tasks <= other.tasks
            and self.runs <= other.runs
            and self.threads <= other.threads
            and self.sockets <= other.sockets
            and self.open_rows <= other.open_rows
        )


async def find_leaks(streams: int = STREAMS, *, tell: Callable[[str], object]) -> None:
    """Put a server of its own under the streams, in two halves. Raises Leak."""
    with tempfile.TemporaryDirectory(prefix="openfang-leaks-") as folder:
        window = Path(folder, "window")
        program = [sys.executable, "-m", "benchmarks.inside", str(window)]
        with (
            running([sys.executable, "-m", "benchmarks.upstream"], printed_url) as (_, upstream),
            ours(Path(folder, "data"), upstream, program=program) as target,
        ):
            idle = look(target, window)
            await put_under(target, max(streams // 20, CONNECTIONS))
            # Threads are made when they are first needed; connections to a provider are kept for a while.
            most = structs.replace(idle, runs=MOST_RUNS, threads=MOST_THREADS, sockets=idle.sockets + 2 * CONNECTIONS)
            first = await settled(target, window, most)
            tell(f"warm: {first}")
            halves = []
            for half in (1, 2):
                await put_under(target, streams // 2)
                halves.append(await settled(target, window, structs.replace(most, threads=first.threads)))
                tell(f"after {half * (streams // 2):,} streams: {halves[-1]}")
    if halves[1].megabytes > halves[0].megabytes * GROWTH:
        raise Leak(f"The memory has grown from {halves[0].megabytes:.1f} to {halves[1].megabytes:.1f} MB.")


async def put_under(target: Target, streams: int) -> None:
    """Ask for so many streams, and leave some of them."""
    numbers = iter(range(streams))

    async def connection() -> None:
        for _ in numbers:
            if random.random() < LEFT:
                await leave(target)
            else:
                answers = await ask(target.request(WHOLE), connections=1, count=1)
                if answers.failed:
                    raise Leak(answers.failed[0])

    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))


async def leave(target: Target) -> None:
    """Ask for a stream of a second, and cut the connection at some moment of it."""
    request = target.request(LONG)
    _, writer = await asyncio.open_connection(request.host, request.port)
    writer.write(request.data)
    await asyncio.sleep(random.random())
    writer.transport.abort()


async def settled(target: Target, window: Path, most: Held) -> Held:
    """Return what the server has when it has ended what was under way. Raises Leak if it keeps more than the most."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        held = look(target, window)
        if held.no_more_than(most):
            return held
        if time.monotonic() > deadline:
            raise Leak(f"{SETTLE_SECONDS:.0f} s after the last stream there are {held}, and not at most {most}.")
        await asyncio.sleep(0.5)


def look(target: Target, window: Path) -> Held:
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(window))
        tasks, runs = map(int, visitor.recv(100).split())
    assert target.database is not None
    with closing(sqlite3.connect(target.database, timeout=20)) as database:
        [(open_rows,)] = database.execute("SELECT count(*) FROM agents_usagerecord WHERE status = 'running'")
    process = target.process
    return Held(tasks, runs, process.threads, process.sockets, open_rows, process.rss_mb)
