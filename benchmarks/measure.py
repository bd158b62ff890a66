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
    """One target under one load once."""

    answers: Answers
    cpu_seconds: float
    rss_mb: float
    threads: int

    @property
    def cpu_ms(self) -> float:
        return self.cpu_seconds * 1000 / len(self.answers.took)


Figures = dict[tuple[str, str], list[Measured]]


async def put_under(target: Target, load: Load, *, seconds: float = 0.0, count: int = 0) -> Measured:
    began = target.process.cpu_seconds
    request = target.request(load)
    if load.once:
        answers = await ask(request, connections=load.connections, count=load.connections)
    else:
        answers = await ask(request, connections=load.connections, seconds=seconds, count=count)
    if answers.failed:
        raise WrongAnswer(f"{target.name}, {load.name}: {answers.failed[0]}")
    used = target.process.cpu_seconds - began
    return Measured(answers, used, target.process.rss_mb, target.process.threads)


async def measure(
    targets: list[Target], loads: list[Load], *, rounds: int, seconds: float, tell: Callable[[str], None]
) -> Figures:
    """Run every load on every target, in turn, so many rounds."""
    figures: Figures = defaultdict(list)
    for load in loads:
        able = [target for target in targets if target.agents or not load.agents_only]
        for target in able:
            await put_under(target, load, seconds=min(seconds, 1))  # warm
        for _ in range(1 if load.once else rounds):
            for target in able:
                measured = await put_under(target, load, seconds=seconds)
                figures[load.name, target.name].append(measured)
                tell(f"{load.name}: {target.name}: {measured.cpu_ms:.2f} ms CPU")
                await asyncio.sleep(0.2)  # for what a target still has to do
    return figures
