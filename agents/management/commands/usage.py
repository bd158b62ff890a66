from argparse import ArgumentTypeError
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from django.core.management import CommandError
from django.core.management.base import CommandParser
from django.utils import timezone

from agents.management.base import OpenFangCommand, add_json, table
from agents.management.lookup import find_agent, find_key
from agents.setup import prepare
from agents.usage.periods import DAY, HOUR, Lately, Period
from agents.usage.reports import NUMBERS, Figures, Report, report

PERIODS = {period.code: period for period in Lately}
BY = ("agent", "key", "model", "day")
Rows = list[tuple[str, Figures]]


class Command(OpenFangCommand):
    help = "Tell what was used in a period, and what it cost: by agent, by key, by model or by day. Times are UTC."
    examples = ("usage", "usage --period 7d --by model", "usage --from 2026-11-01 --to 2026-11-30 --by key --json")

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--period", choices=PERIODS, default="30d", help="which comes to its end now (default: 30d)"
        )
        parser.add_argument("--from", type=day, dest="first", metavar="DATE", help="a period of whole days instead")
        parser.add_argument("--to", type=day, dest="last", metavar="DATE", help="its last day (default: today)")
        parser.add_argument("--by", choices=BY, default="agent", help="(default: agent; up to 2 days, day is by hour)")
        parser.add_argument("--agent", metavar="NAME", help="only of this agent")
        parser.add_argument("--key", metavar="NAME", help="only with this key")
        add_json(parser)

    def handle(self, *, by: str, agent: str | None, key: str | None, json: bool, **options: Any) -> None:
        prepare()
        period = period_of(options["period"], options["first"], options["last"])
        scope: dict[str, Any] = {}
        if agent is not None:
            scope["agent_id"] = find_agent(agent).pk
        if key is not None:
            scope["api_key_id"] = find_key(key).pk
        found = report(period, scope)
        rows = rows_of(found, by)
        if json:
            self.write_json(
                {
                    "from": period.stretch.start.isoformat(),
                    "to": period.stretch.end.isoformat(),
                    "total": facts_of(found.total),
                    "by": by,
                    "rows": [{by: name, **facts_of(figures)} for name, figures in rows],
                }
            )
            return
        self.explain(f"{period.stretch.start:%Y-%m-%d %H:%M} to {period.stretch.end:%Y-%m-%d %H:%M} UTC")
        if not found.total.requests:
            self.stdout.write("There were no requests.")
            return
        heading = "hour" if by == "day" and found.period.step < DAY else by
        headings = [heading.upper(), "REQUESTS", "FAILED", "PROMPT", "CACHED", "COMPLETION", "COST"]
        self.stdout.write(table(headings, [*map(row, rows), row(("total", found.total))]))
        if found.total.unpriced:
            self.explain(f"Requests whose cost is unknown, and comes on top: {found.total.unpriced:,}.")


def period_of(code: str, first: date | None, last: date | None) -> Period:
    now = timezone.now()
    if first is None and last is None:
        return Period.lately(PERIODS[code], now)
    first, last = first or last or now.date(), last or now.date()
    if first > last:
        raise CommandError(f"The period ends on {last}, before it begins on {first}.")
    return Period.between(first, last, now)


def rows_of(found: Report, by: str) -> Rows:
    match by:
        case "agent":
            return [(share.name, share.figures) for share in found.agents]
        case "key":
            return [(share.name or "(no key)", share.figures) for share in found.keys]
        case "model":
            return [
                (f"{share.key[0]}/{share.key[1]}" if share.key[1] else "(none)", share.figures)
                for share in found.models
            ]
        case _:
            form = "%Y-%m-%d" if found.period.step >= DAY else "%Y-%m-%d %H:%M"
            # Of steps as short as an hour or less, most are empty.
            points: Iterable[tuple[Any, Figures]] = found.points
            if found.period.step <= HOUR:
                points = [point for point in found.points if point[1].requests]
            return [(f"{start:{form}}", figures) for start, figures in points]


def facts_of(figures: Figures) -> dict[str, Any]:
    return {name: getattr(figures, name) for name in NUMBERS}


def row(named: tuple[str, Figures]) -> list[str]:
    name, figures = named
    numbers = (
        figures.requests,
        figures.errors,
        figures.prompt_tokens,
        figures.cached_tokens,
        figures.completion_tokens,
    )
    return [name, *(f"{number:,}" for number in numbers), usd(figures.known_cost)]


def usd(amount: Decimal | None) -> str:
    """Return an amount; of one that is less than a cent its first digits that tell something."""
    if amount is None:
        return "?"
    return (
        f"${amount:,.2f}"
        if amount >= 1 or not amount
        else f"${amount:.2g}"
        if amount < Decimal("0.01")
        else f"${amount:.3f}"
    )


def day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is not a date such as 2026-11-30") from None
