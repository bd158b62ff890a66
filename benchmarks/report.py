"""The measured figures as docs/benchmarks.md shows them."""

import os
import platform
import statistics
from collections.abc import Callable, Iterable
from importlib.metadata import version

from benchmarks.loads import CROWDS, LOADS, Load
from benchmarks.measure import Figures, Measured
from benchmarks.targets import BARE, DIRECT, OURS, TWO_WORKERS

INTRODUCTION = """# Benchmarks

What a request costs on this server, beside what else could stand in its place, under the same load in the same run.
`./openfang bench` measures anew and writes this page; `--peers` installs LiteLLM and Portkey's gateway first, so that
they are measured, too. The LLM API behind all of them is a small program that answers at once.

- **OpenFang** has usage rows on, as always; **OpenFang, key** has a key, its limits and a budget besides.
- **OpenFang, two workers** is two processes on one port, with a Redis (where `redis-server` is installed).
- **bare consumer** is a Channels consumer on Daphne that does nothing but pass a request on: the floor.
- **no server** is the load tool against the LLM API itself.

CPU is what the operating system has accounted to the processes of a server, divided by its requests. Everything,
the load tool and the LLM API too, shares the cores of one machine, so requests a second say less than CPU does.
"""


def report(
    figures: Figures, idle_mb: dict[str, float], left_ms: dict[str, list[float]], versions: dict[str, str]
) -> str:
    """Return the page: a table for each load, in which every line is a server."""
    sections = [INTRODUCTION, machine(versions)]
    for load in (*LOADS, *CROWDS):
        measured = {server: rounds for (name, server), rounds in figures.items() if name == load.name}
        if measured:
            sections.append(f"## {load.name[0].upper()}{load.name[1:]}\n\n{_table(load, measured)}")
    sections.append(_workers(figures))
    sections.append(_leaving(left_ms))
    idle = "\n".join(f"| {server} | {megabytes:.0f} |" for server, megabytes in idle_mb.items())
    sections.append(f"## Memory before the first request\n\n| server | MB |\n|---|---|\n{idle}")
    return "\n\n".join(section.strip() for section in sections if section) + "\n"


def _workers(figures: Figures) -> str:
    lines = []
    for load in LOADS:
        one, two = (figures.get((load.name, server)) for server in (OURS, TWO_WORKERS))
        if one and two:
            first, second = _middle(one, _per_second), _middle(two, _per_second)
            lines.append(f"| {load.name} | {first:.0f} | {second:.0f} | {second / first:.2f} |")
    head = ["| load | requests/s of one | of two | times |", "|---|---|---|---|"]
    return "\n".join(["## Two workers", "", *head, *lines]) if lines else ""


def _leaving(left_ms: dict[str, list[float]]) -> str:
    lines = [
        f"| {server} | {len(took)} | {statistics.median(took):.1f} | {max(took):.1f} |"
        for server, took in left_ms.items()
    ]
    return "\n".join(
        [
            "## A client leaves in the middle of a stream",
            "",
            "Until the LLM API sees that it is no longer asked.",
            "",
            "| server | times | median ms | longest ms |",
            "|---|---|---|---|",
            *lines,
        ]
    )


def machine(versions: dict[str, str]) -> str:
    packages = {name: version(name) for name in ("django", "channels", "daphne", "aiohttp", "uvloop")} | versions
    listed = ", ".join(f"{name} {number}" for name, number in packages.items())
    return (
        f"Machine: {platform.system()} {platform.machine()}, {os.cpu_count()} cores; {os.getloadavg()[0]:.1f} programs "
        f"ran on average in the last minute. Python {platform.python_version()}, {listed}."
    )


def _table(load: Load, measured: dict[str, list[Measured]]) -> str:
    heads = ["server", "CPU ms", "x bare"]
    if load.once:
        heads += ["chunk delay p99 ms", "KB a stream"]
    else:
        heads += ["requests/s", "median ms", "first byte ms", "added ms"]
    lines = [[server, *_cells(load, server, measured)] for server in measured]
    rows = [[*heads, "MB", "threads"], ["---"] * (len(heads) + 2), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(load: Load, server: str, measured: dict[str, list[Measured]]) -> Iterable[str]:
    rounds = measured[server]
    yield _spread(rounds, lambda one: one.cpu_ms, 2)
    yield f"{_middle(rounds, _cpu) / _middle(measured[BARE], _cpu):.1f}" if BARE in measured else ""
    if load.once:
        delays = sorted(rounds[0].answers.chunk_delays)
        yield f"{delays[len(delays) * 99 // 100] * 1000:.0f}" if delays else ""
        yield f"{rounds[0].grown_mb * 1024 / load.connections:.0f}"
    else:
        yield _spread(rounds, _per_second, 0)
        yield _spread(rounds, lambda one: one.answers.median_ms, 1)
        yield f"{_middle(rounds, _first_byte):.1f}"
        yield (
            f"{_middle(rounds, _first_byte) - _middle(measured[DIRECT], _first_byte):.1f}" if DIRECT in measured else ""
        )
    yield f"{rounds[-1].rss_mb:.0f}"
    yield str(rounds[-1].threads)


def _cpu(one: Measured) -> float:
    return one.cpu_ms


def _per_second(one: Measured) -> float:
    return one.answers.per_second


def _first_byte(one: Measured) -> float:
    return one.answers.first_byte_ms


def _middle(rounds: list[Measured], figure: Callable[[Measured], float]) -> float:
    return statistics.median(map(figure, rounds))


def _spread(rounds: list[Measured], figure: Callable[[Measured], float], digits: int) -> str:
    """Return the median with the lowest and the highest, if there was more than one round."""
    low, middle, high = (f"{find(map(figure, rounds)):.{digits}f}" for find in (min, statistics.median, max))
    return middle if len(rounds) == 1 else f"{middle} ({low} to {high})"
