"""How long other clients wait while some use an LLM API that lies."""

import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct, field

from benchmarks.liars import LIES
from benchmarks.load import Answers, ask
from benchmarks.loads import Load
from benchmarks.measure import WrongAnswer
from benchmarks.processes import printed_url, running
from benchmarks.targets import Target, ours

SECONDS, LIARS_EACH = 10.0, 4
GOOD = [Load("reply", "reply", 8), Load("50-chunk stream", "stream-50", 4, stream=True)]
SLOWEST_SECONDS = 1.0  # for 99 of 100 answers of the good


class Beside(Struct):
    """What the good clients waited, in seconds, and what became of the requests of the others, by status."""

    good: list[Answers]
    others: Counter[str] = field(default_factory=Counter)

    @property
    def took(self) -> list[float]:
        return sorted(seconds for answers in self.good for seconds in answers.took)

    @property
    def p99(self) -> float:
        return self.took[len(self.took) * 99 // 100]

    def __str__(self) -> str:
        took = self.took
        others = ", ".join(f"{count} x {status}" for status, count in sorted(self.others.items()))
        return (
            f"{len(took):,} answers, median {took[len(took) // 2] * 1000:.0f} ms, p99 {self.p99 * 1000:.0f} ms, "
            f"longest {took[-1] * 1000:.0f} ms" + (f"; the others got {others}" if others else "")
        )


async def measure_beside(
    *, database_url: str = "", seconds: float = SECONDS, tell: Callable[[str], object]
) -> dict[str, Beside]:
    """Measure the good clients alone, beside each kind of liar, and beside all of them."""
    figures = {}
    crowds: dict[str, list[str]] = {"alone": [], **{lie: [lie] * LIARS_EACH for lie in LIES}, "all": list(LIES)}
    with (
        tempfile.TemporaryDirectory(prefix="openfang-beside-") as folder,
        running([sys.executable, "-m", "benchmarks.upstream"], printed_url) as (_, upstream),
        ours(Path(folder, "data"), upstream, database_url=database_url) as target,
    ):
        for name, lies in crowds.items():
            figures[name] = await put_beside(target, lies, seconds)
            tell(f"{name}: {figures[name]}")
    return figures


async def put_beside(target: Target, lies: Sequence[str], seconds: float) -> Beside:
    """Let the good clients ask as fast as they can, and a client for each of the lies beside them."""
    until = time.monotonic() + seconds
    statuses: Counter[str] = Counter()
    async with asyncio.TaskGroup() as tasks:
        for lie in lies:
            tasks.create_task(ask_on(target, lie, until, statuses))
        good = [
            tasks.create_task(ask(target.request(load), connections=load.connections, seconds=seconds)) for load in GOOD
        ]
    answers = [task.result() for task in good]
    for failed in (answer.failed for answer in answers if answer.failed):
        raise WrongAnswer(failed[0])
    return Beside(answers, statuses)


async def ask_on(target: Target, lie: str, until: float, statuses: Counter[str]) -> None:
    """Ask for one lie after the other, whatever comes back."""
    request = target.request(Load(lie, lie, 1, stream=True))
    data = request.data.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
    while time.monotonic() < until:
        reader, writer = await asyncio.open_connection(request.host, request.port)
        writer.write(data)
        said = await reader.read()
        writer.close()
        statuses[said[9:12].decode() if b"[DONE]" in said or said[9:12] != b"200" else "200, broken off"] += 1
