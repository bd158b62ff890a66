"""The dashboard's charts, as Chart.js reads them; unfold's script draws each canvas of the class `chart`."""

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from agents.usage.periods import DAY, Period
from agents.usage.reports import Figures

Points = Sequence[tuple[datetime, Figures]]
Series = tuple[str, str, Callable[[Figures], Any]]
"""A name, a colour, and the value of each step."""

COLOURS = {
    "main": "var(--color-primary-600)",
    "light": "var(--color-primary-300)",
    "bad": "var(--color-red-500)",
    "grey": "var(--color-base-400)",
}
TICKS = {"color": "#9ca3af", "maxRotation": 0, "autoSkipPadding": 16}


def charts(period: Period, points: Points) -> list[dict[str, str]]:
    def bars(title: str, summary: str, *series: Series) -> dict[str, str]:
        return {"kind": "bar", "title": title, "summary": summary, **_drawn(period, points, series, stacked=True)}

    def lines(title: str, summary: str, *series: Series) -> dict[str, str]:
        return {"kind": "line", "title": title, "summary": summary, **_drawn(period, points, series, stacked=False)}

    return [
        bars(
            "Requests",
            "how many were answered, failed or were left by their clients",
            ("answered", "main", lambda used: used.requests - used.errors - used.cancelled),
            ("failed", "bad", lambda used: used.errors),
            ("cancelled", "grey", lambda used: used.cancelled),
        ),
        bars(
            "Tokens",
            "how many were read and written",
            ("prompt", "light", lambda used: used.prompt_tokens),
            ("completion", "main", lambda used: used.completion_tokens),
        ),
        bars(
            "Cost in US dollars",
            "in US dollars, where it is known",
            ("US dollars", "main", lambda used: float(used.cost)),
        ),
        lines(
            "Duration in seconds",
            "about how many seconds half, and all but a twentieth, of the requests took at most",
            ("about p50", "light", lambda used: _seconds(used.duration(0.5))),
            ("about p95", "main", lambda used: _seconds(used.duration(0.95))),
        ),
    ]


def _drawn(period: Period, points: Points, series: Sequence[Series], *, stacked: bool) -> dict[str, str]:
    datasets = [
        {
            "label": label,
            "data": [value(figures) for _, figures in points],
            "backgroundColor": COLOURS[colour],
            "borderColor": COLOURS[colour],
        }
        for label, colour, value in series
    ]
    data = {"labels": [step_name(period, start) for start, _ in points], "datasets": datasets}
    return {"data": json.dumps(data), "options": json.dumps(_options(stacked=stacked, legend=len(series) > 1))}


def _options(*, stacked: bool, legend: bool) -> dict[str, Any]:
    labels = {"boxHeight": 6, "boxWidth": 6, "usePointStyle": True, "pointStyle": "circle", "color": "#9ca3af"}
    return {
        "animation": False,
        "responsive": True,
        "maintainAspectRatio": False,
        "interaction": {"mode": "index", "intersect": False},
        "spanGaps": True,
        "datasets": {
            "bar": {"maxBarThickness": 28, "borderRadius": 3},
            "line": {"borderWidth": 2, "pointRadius": 2, "tension": 0.25},
        },
        "plugins": {"legend": {"display": legend, "align": "end", "labels": labels}},
        "scales": {
            "x": {"stacked": stacked, "grid": {"display": False}, "ticks": TICKS},
            "y": {"stacked": stacked, "beginAtZero": True, "border": {"display": False}, "grid": {}, "ticks": TICKS},
        },
    }


def step_name(period: Period, start: datetime) -> str:
    """Return how a step of a period is called: by its day, or by its clock time and, at midnight, its day."""
    if period.step >= DAY:
        return f"{start.day} {start:%b}"
    return f"{start.day} {start:%b}" if start.hour == start.minute == 0 else f"{start:%H:%M}"


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else round(milliseconds / 1000, 2)
