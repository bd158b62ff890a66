"""The measuring of clients beside an LLM API that lies runs; how long they wait is not asked here."""

from pathlib import Path

import pytest

from benchmarks.beside import measure_beside
from benchmarks.liars import LIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux accounts for threads"),
]


async def test_clients_are_measured_alone_beside_each_lie_and_beside_all():
    said: list[str] = []
    figures = await measure_beside(seconds=0.3, tell=said.append)
    assert list(figures) == ["alone", *LIES, "all"]
    assert all(figure.took for figure in figures.values())
    assert not figures["alone"].others
    assert all(set(figure.others) <= {"200", "502"} for figure in figures.values())
    assert [line.split(":")[0] for line in said] == list(figures)
