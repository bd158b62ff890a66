"""Putting targets under loads in turn, so that whatever else the machine does falls on all of them."""

import asyncio
from collections import defaultdict
from collections.abc import Callable

from msgspec import Struct

from benchmarks.load import Answers, ask
from benchmarks.loads import Load
from benchmarks.targets import Target


class WrongAnswer(Exception):
    """A target answered something else than the load expects; figures of such a run mean nothing."""


class Measured(Struct):
    """One target under one load once; `grown_mb` is the memory it had more at the most."""

    answers: Answers
    cpu_seconds: float
    rss_mb: float
    grown_mb: float
    threads: int

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds * 1000 / len(self.answers.took)


WATCH_SECONDS = 0.5
Figures = dict[tuple[str, str], list[Measured]]


async def put_under(target: Target, load: Load, *, seconds: float = 0.0, count: int = 0) -> Measured:
    """Put a target under a load, for some seconds or so many requests."""
    process, request = target.process, target.request(load)
    cpu, rss = process.cpu_seconds, process.rss_mb
    asking = asyncio.create_task(
        ask(request, connections=load.connections, count=load.connections, opened_within=load.within)
        if load.once
        else ask(request, connections=load.connections, seconds=seconds, count=count)
    )
    most_mb, threads = rss, process.threads
    while not asking.done():
        await asyncio.wait((asking,), timeout=WATCH_SECONDS)
        most_mb, threads = max(most_mb, process.rss_mb), max(threads, process.threads)
    answers = asking.result()
    if answers.failed:
        raise WrongAnswer(f"{target.name}, {load.name}: {answers.failed[0]}")
    return Measured(answers, process.cpu_seconds - cpu, most_mb, most_mb - rss, threads)


async def measure(
    targets: list[Target], loads: list[Load], *, rounds: int, seconds: float, tell: Callable[[str], object]
) -> Figures:
    """Run every load on every target, in turn, so many rounds."""
    figures: Figures = defaultdict(list)
    for load in loads:
        able = [target for target in targets if target.can(load)]
        for number in range(1 if load.once else rounds + 1):
            for target in tuple(able):
                try:
                    measured = await put_under(target, load, seconds=seconds)
                except WrongAnswer as error:
                    if target.agents:
                        raise
                    # Not every release of what is not ours takes every load.
                    tell(f"Left out: {error}")
                    able.remove(target)
                    continue
                if load.once or number:  # the first round only warms
                    figures[load.name, target.name].append(measured)
                    tell(f"{load.name}: {target.name}: {measured.cpu_ms:.2f} ms CPU")
                await asyncio.sleep(0.2)  # for what a target still has to do
    return figures
