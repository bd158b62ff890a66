"""One whole run: everything started, put under every load in turn, and ended."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.loads import CROWDS, LOADS
from benchmarks.measure import measure
from benchmarks.peers import Peer
from benchmarks.processes import ROOT
from benchmarks.report import report
from benchmarks.targets import targets

ROUNDS, SECONDS = 5, 5.0


async def run(installed: list[Peer], *, quick: bool, tell: Callable[[str], object]) -> str:
    """Measure and return the page that says what was measured."""
    rounds, seconds = (1, 1.0) if quick else (ROUNDS, SECONDS)
    loads = LOADS if quick else [*LOADS, *CROWDS]
    with targets(installed) as started:
        idle_mb = {target.name: target.process.rss_mb for target in started}
        figures = await measure(started, loads, rounds=rounds, seconds=seconds, tell=tell)
    return report(figures, idle_mb, {peer.name: peer.version(peer.folder) for peer in installed})


def write(page: str) -> Path:
    path = ROOT / "docs" / "benchmarks.md"
    path.write_text(page)
    return path
