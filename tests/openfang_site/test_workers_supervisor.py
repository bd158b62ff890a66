"""The supervisor with small scripts for workers: they do not start, die again and again, or do not end."""

import asyncio
import resource
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
from django.db import connections
from django.utils import timezone

from agents.models import Status, UsageRecord, Worker
from agents.setup import SetupError
from openfang_site import supervisor, worker
from openfang_site.seats import Seat, seats_file
from openfang_site.supervisor import Supervisor
from tests.live.asking import eventually

SERVES = "import os, sys, time; channel = int(sys.argv[2]); os.write(channel, b'ready\\n');"
LASTING = SERVES + "os.read(channel, 1)"
BROKEN = "import sys; sys.exit(3)"
# The one in the first seat serves and ends, while the other has not come so far.
SHORT = "import os, sys; sys.argv[4] == '0' or os.read(int(sys.argv[2]), 1);" + SERVES + "sys.exit(7)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + SERVES + "time.sleep(600)"

T = TypeVar("T")

pytestmark = pytest.mark.django_db(transaction=True)


class Running:
    """A supervisor that runs, and when it was ready."""

    def __init__(self, script: str, pauses: tuple[float, ...]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        command = [sys.executable, "-c", script]
        self.supervisor = Supervisor(self.listener, 2, command=command, pauses=pauses)
        self.ready = asyncio.Event()

    async def run(self) -> None:
        with self.listener:
            await self.supervisor.run(self.ready.set)

    @property
    def pids(self) -> list[int]:
        return [each.pid for each in self.supervisor._workers]


@asynccontextmanager
async def running(script: str, pauses: tuple[float, ...] = (0.0, 0.0)) -> AsyncIterator[tuple[Running, Any]]:
    """Run a supervisor beside the block, which hears of its end from the task."""
    started = Running(script, pauses)
    task = asyncio.create_task(started.run())
    try:
        async with asyncio.timeout(120):
            yield started, task
    finally:
        if not task.done():
            started.supervisor.stop()
            await task


async def kill_one(started: Running) -> None:
    [victim, *_] = started.supervisor._workers
    victim.kill()
    await victim.gone.wait()


async def until(condition: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, condition)


async def test_it_is_ready_when_all_workers_are():
    async with running(LASTING) as (started, task):
        await started.ready.wait()
        assert len(started.pids) == 2
        started.supervisor.stop()
        await task
        assert started.pids == []


async def test_a_worker_that_does_not_start_ends_the_start():
    async with running(BROKEN) as (started, task):
        with pytest.raises(SetupError, match=r"^A worker did not start: exit status 3\.$"):
            await task
        assert not started.ready.is_set()


async def test_a_worker_that_ends_while_others_start_ends_the_start():
    async with running(SHORT) as (started, task):
        with pytest.raises(SetupError, match=r"^A worker did not start: exit status 7\.$"):
            await task
        assert not started.ready.is_set()
        assert started.pids == []


async def test_workers_that_die_again_and_again_end_the_server():
    async with running(LASTING, pauses=(0.0, 0.0, 0.01)) as (started, task):
        await started.ready.wait()
        for _ in range(2):
            await kill_one(started)
            await until(lambda: len(started.pids) == 2)
        await kill_one(started)
        with pytest.raises(SetupError, match=r"^Workers end soon after their start, 3 in a row: the log says why\.$"):
            await task
        assert started.pids == []


async def test_a_worker_that_lived_long_does_not_count(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(supervisor, "YOUNG_SECONDS", 0.0)
    async with running(LASTING, pauses=(0.0, 0.0)) as (started, _):
        await started.ready.wait()
        for _ in range(4):
            await kill_one(started)
            await until(lambda: len(started.pids) == 2)


async def test_the_rows_of_a_worker_that_was_killed_are_lost_at_once():
    async with running(LASTING) as (started, _):
        await started.ready.wait()
        [victim, other] = started.supervisor._workers
        theirs, others = [await in_database(partial(running_row, each.pid)) for each in (victim, other)]
        victim.kill()
        await victim.gone.wait()
        await until(lambda: len(started.pids) == 2)
        assert await in_database(partial(status_of, theirs)) == Status.LOST
        assert await in_database(partial(status_of, others)) == Status.RUNNING


async def in_database(function: Callable[[], T]) -> T:
    """Call a function in a thread that keeps no connection: the supervisor closes the pool that they come from."""

    def call() -> T:
        try:
            return function()
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


def running_row(pid: int) -> uuid.UUID:
    """Enter a request that a worker answers."""
    worker = Worker.objects.create(hostname=socket.gethostname(), pid=pid, lease_expires_at="2999-01-01T00:00:00Z")
    row = UsageRecord.objects.create(
        worker_id=worker.pk, started_at=timezone.now(), agent_id=uuid.uuid4(), agent_name="coder"
    )
    return row.pk


def status_of(row_id: uuid.UUID) -> str:
    return UsageRecord.objects.get(pk=row_id).status


async def test_a_worker_that_cannot_be_replaced_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    flag = tmp_path / "broken"
    async with running(f"import os, sys; os.path.exists({str(flag)!r}) and sys.exit(3);" + LASTING) as (started, _):
        await started.ready.wait()
        before = started.pids
        flag.touch()
        started.supervisor.replace_all()
        await until(lambda: "No more workers are replaced, the new one did not start: exit status 3." in caplog.text)
        assert started.pids == before


async def test_a_worker_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch, settings: Any):
    monkeypatch.setattr(supervisor, "CLEAN_UP_SECONDS", 0.1)
    settings.OPENFANG_DRAIN_SECONDS = 0
    async with running(STUBBORN) as (started, task):
        await started.ready.wait()
        started.supervisor.stop()
        await task
        assert started.pids == []


async def test_a_signal_while_workers_start_ends_it_quietly():
    async with running("import time; time.sleep(600)") as (started, task):
        await until(lambda: len(started.pids) == 2)
        signal.raise_signal(signal.SIGTERM)
        await task
        assert not started.ready.is_set()


def test_the_one_with_the_fewest_connections_is_not_told_to_wait():
    with seats_file(4) as file:
        first, second = Seat(file.fileno(), 0), Seat(file.fileno(), 2)
        first.count(3)
        second.count(2)
        assert (first.another_has_fewer(), second.another_has_fewer()) == (True, False)
        second.leave()
        second.count(1)  # the connections of one that drains count no more
        assert not first.another_has_fewer()


def test_a_worker_may_have_more_files_open_than_it_was_started_with():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        worker.allow_many_open_files()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(hard, worker.MOST_OPEN_FILES), hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
