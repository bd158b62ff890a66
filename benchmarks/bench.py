"""One whole run: everything started, put under every load in turn, and ended."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.leaving import leave
from benchmarks.loads import CROWDS, LOADS
from benchmarks.measure import measure
from benchmarks.peers import Peer
from benchmarks.processes import ROOT
from benchmarks.report import report
from benchmarks.targets import DIRECT, targets

ROUNDS, SECONDS = 5, 5.0


async def run(installed: list[Peer], *, quick: bool, tell: Callable[[str], object]) -> str:
    """Measure and return the page that says what was measured."""
    rounds, seconds = (1, 1.0) if quick else (ROUNDS, SECONDS)
    loads = LOADS if quick else [*LOADS, *CROWDS]
    with targets(installed) as started:
        idle_mb = {target.name: target.process.rss_mb for target in started}
        figures = await measure(started, loads, rounds=rounds, seconds=seconds, tell=tell)
        upstream = next(target for target in started if target.name == DIRECT)
        left = {target.name: await leave(target, upstream) for target in started if target.agents}
    return report(figures, idle_mb, left, {peer.name: peer.version(peer.folder) for peer in installed})


def write(page: str) -> Path:
    path = ROOT / "docs" / "benchmarks.md"
    path.write_text(page)
    return path
