"""The benchmarks run, and what they put under load is left clean; how long it takes is not asked here."""

import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.leaving import leave
from benchmarks.loads import LOADS, Load
from benchmarks.measure import Figures, WrongAnswer, measure, put_under
from benchmarks.report import report
from benchmarks.targets import BARE, DIRECT, GUARDED, OURS, TWO_WORKERS, Target, targets
from tests.live.asking import eventually
from tests.openai_compat.limits_parts import need_redis
from tests.unprivileged import needs_root

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux accounts for threads"),
]

THREADS, CONNECTIONS = 20, 4
SMALL = [load for load in LOADS if load.connections <= 16]
CROWD = Load("20 slow streams", "slow-10-1", 20, stream=True, once=True)


@pytest.fixture(scope="module")
def started() -> Iterator[list[Target]]:
    with targets([]) as servers:
        yield servers


def named(servers: list[Target], name: str) -> Target:
    return next(target for target in servers if target.name == name)


def statuses(database: Path) -> Counter[str]:
    with closing(sqlite3.connect(database, timeout=20)) as opened:
        return Counter(status for (status,) in opened.execute("SELECT status FROM agents_usagerecord"))


@needs_root
async def test_every_load_is_answered_and_leaves_closed_rows_few_threads_and_few_connections(started: list[Target]):
    for name in (OURS, GUARDED, BARE, DIRECT):
        target, asked = named(started, name), 0
        for load in filter(target.can, [*SMALL, CROWD]):
            measured = await put_under(target, load, count=load.connections)
            assert len(measured.answers.took) == load.connections
            assert measured.cpu_seconds > 0
            assert 0 < measured.threads < THREADS
            asked += load.connections
        if target.database is not None:
            assert statuses(target.database) == {"ok": asked}
            assert 1 <= target.process.open_files(target.database) <= CONNECTIONS


async def test_two_workers_share_the_loads_that_are_spread(started: list[Target]):
    need_redis()
    target, asked = named(started, TWO_WORKERS), 0
    for load in filter(target.can, LOADS):
        assert load.connections >= 16
        measured = await put_under(target, load, count=load.connections)
        assert len(measured.answers.took) == load.connections
        asked += load.connections
    assert target.database is not None
    assert statuses(target.database) == {"ok": asked}
    with closing(sqlite3.connect(target.database)) as opened:
        shares = opened.execute("SELECT count(*) FROM agents_usagerecord GROUP BY worker_id").fetchall()
    assert len(shares) == 2


async def test_streams_that_their_clients_leave_end_as_cancelled(started: list[Target]):
    target = named(started, OURS)
    database = target.database
    assert database is not None
    before = statuses(database)
    took = await leave(target, named(started, DIRECT), times=3)
    assert len(took) == 3
    assert all(milliseconds > 0 for milliseconds in took)
    eventually(lambda: statuses(database) - before == {"cancelled": 3})


async def test_an_answer_that_is_not_the_expected_one_ends_the_run(started: list[Target]):
    with pytest.raises(WrongAnswer, match=r"OpenFang, strange: HTTP/1.1 404"):
        await put_under(named(started, OURS), Load("strange", "missing", 1), count=1)


async def test_the_page_has_a_line_for_each_server_under_each_load(started: list[Target]):
    said: list[str] = []
    figures: Figures = await measure(started, [LOADS[1], CROWD], rounds=2, seconds=0.1, tell=said.append)
    page = report(figures, {OURS: 100.0}, {OURS: [0.5, 9.0, 1.5]}, {"litellm": "1.2.3"})
    table = page.split("## Reply, 16 connections\n\n")[1].split("\n\n")[0].splitlines()
    assert [line.split(" | ")[0] for line in table] == [
        "| server",
        "| ---",
        *(f"| {target.name}" for target in started),
    ]
    assert len({line.count("|") for line in table}) == 1
    assert ("| reply, 16 connections |" in page) == any(target.name == TWO_WORKERS for target in started)
    assert "litellm 1.2.3" in page
    assert "| OpenFang | 100 |" in page
    assert "| OpenFang | 3 | 1.5 | 9.0 |" in page
    assert len(said) == 2 * len(started) + len([target for target in started if target.can(CROWD)])
