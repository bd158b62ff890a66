"""The search for leaks runs, and knows one when it sees one; how much memory a server takes is not asked here."""

from pathlib import Path
from unittest.mock import Mock

import pytest
from msgspec import structs

from benchmarks import leaks
from benchmarks.leaks import Held, Leak, find_leaks
from tests.unprivileged import needs_root

pytestmark = pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux accounts for threads")

CLEAN = Held(tasks=1, runs=0, threads=8, sockets=5, open_rows=0, megabytes=120.0)


@needs_root
@pytest.mark.slow
async def test_streams_of_which_some_are_left_leave_nothing(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(leaks, "GROWTH", 2.0)  # after so few streams the server still grows
    said: list[str] = []
    await find_leaks(100, tell=said.append)
    assert [line.split(":")[0] for line in said] == ["warm", "after 50 streams", "after 100 streams"]
    assert all(line.endswith(" 0 open rows") for line in said)


@pytest.mark.parametrize("left", [{"tasks": 2}, {"runs": 1}, {"threads": 9}, {"sockets": 6}, {"open_rows": 1}])
async def test_what_is_left_is_a_leak(monkeypatch: pytest.MonkeyPatch, left: dict[str, int]):
    monkeypatch.setattr(leaks, "SETTLE_SECONDS", 0.0)
    found = [CLEAN, structs.replace(CLEAN, **left)]
    monkeypatch.setattr(leaks, "look", lambda *_: found.pop(0))
    assert await leaks.settled(Mock(), Path(), CLEAN) == CLEAN
    with pytest.raises(Leak, match=r"^0 s after the last stream there are 120\.0 MB, "):
        await leaks.settled(Mock(), Path(), CLEAN)
