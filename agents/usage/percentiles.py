from collections.abc import Sequence

from agents.models.rollup import HISTOGRAM_BOUNDS


def about(histogram: Sequence[int], share: float) -> int | None:
    """Return about how many milliseconds that share of the counted took at most; None if nothing was counted.

    Within its bucket a share is taken to be spread evenly. Beyond the last bound nothing more is known than the bound.
    """
    wanted = share * sum(histogram)
    if not wanted:
        return None
    below, lower = 0, 0
    for bound, count in zip(HISTOGRAM_BOUNDS, histogram, strict=False):
        if below + count >= wanted:
            return round(lower + (bound - lower) * (wanted - below) / count)
        below, lower = below + count, bound
    return HISTOGRAM_BOUNDS[-1]
